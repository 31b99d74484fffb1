#include "db/store_queries.hpp"

#include "db/document_outcome.hpp"
#include "db/migrator_session.hpp"
#include "db/row_reader.hpp"
#include "db/session_queries.hpp"

#include <charconv>
#include <utility>

namespace colloquy::db {
namespace {

const error no_such_store{error_code::not_found, "no such store"};

constexpr const char* failed_elsewhere = "another program could not convert it";

constexpr oid store_types[] = {oids::text, oids::text};
constexpr statement read_store{
    "read_store", "SELECT version, target, collections FROM document_stores WHERE tenant_id = $1 AND name = $2",
    store_types};

// The target that was seen is an array, because a parameter is never null: its first element may be missing.
constexpr oid begin_types[] = {oids::text, oids::text, oids::text, oids::text_array, oids::text};
constexpr statement begin_migration{"begin_store_migration",
                                    "UPDATE document_stores SET target = $5 WHERE tenant_id = $1 AND name = $2"
                                    " AND version = $3 AND target IS NOT DISTINCT FROM ($4)[1]",
                                    begin_types};

constexpr oid failed_types[] = {oids::text, oids::text, oids::int8, oids::int8, oids::int8};
// One row more than the page tells that there is another; it has no document, as those have not that come when the page
// is full of bytes.
#define COLLOQUY_FAILED_PAGE                                                                                           \
  " FROM (SELECT f.*, row_number() OVER w AS n, sum(octet_length(f.document::text)) OVER w"                            \
  " - octet_length(f.document::text) AS bytes_before FROM (SELECT * FROM failed_migrations WHERE tenant_id = $1"       \
  " AND store = $2 AND number > $3 ORDER BY number LIMIT $4 + 1) AS f WINDOW w AS (ORDER BY f.number)) AS p"           \
  " ORDER BY p.number"
#define COLLOQUY_FAILED_DOCUMENT "CASE WHEN p.n <= $4 AND p.bytes_before < $5 THEN p.document::text END"
constexpr statement list_failed{"list_failed_migrations",
                                "SELECT p.number, p.collection, " COLLOQUY_FAILED_DOCUMENT
                                ", p.reason, p.failed_at" COLLOQUY_FAILED_PAGE,
                                failed_types};
constexpr statement read_failed{"read_failed_migrations",
                                "SELECT p.number, p.collection, " COLLOQUY_FAILED_DOCUMENT
                                ", p.document ->> 'id', CASE WHEN jsonb_typeof(p.document -> 'version') = 'string'"
                                " THEN p.document ->> 'version' END" COLLOQUY_FAILED_PAGE,
                                failed_types};

std::string encode_texts(const std::vector<std::string>& values) {
  array_builder out(oids::text, values.size(), values.size() * 16);
  for (const auto& value : values)
    out.add(value);
  return std::move(out).finish();
}

statement_call read_store_call(const store_place& store) {
  return {&read_store, {store.tenant.text(), store.store}};
}

std::string encode_size(std::size_t value) {
  return encode_int8(static_cast<std::int64_t>(value));
}

statement_call failed_call(const statement& what, const store_place& store, std::int64_t after, std::size_t limit) {
  return {
      &what,
      {store.tenant.text(), store.store, encode_int8(after), encode_size(limit), encode_size(limits::page_bytes_max)}};
}

/// What a migration has in hand at a time; conversions are sent back with what they were made from.
constexpr std::size_t unsettled_bytes_max = std::size_t{4} << 20;

std::string unsettled_sql(const std::string& settled) {
  return "(o.version IS NULL OR o.version <> ALL (" + settled + "))";
}

std::string in_collection(const collection_sql& collection) {
  return "o.tenant_id = $1 AND o.collection_id = " + collection.id;
}

/// An empty text stands for null.
std::string add_texts_or_nulls(composed_statement& statement, const std::vector<std::string>& values) {
  array_builder out(oids::text, values.size(), values.size() * 16);
  for (const auto& value : values) {
    out.add_text_or_null(value);
  }
  return statement.add(oids::text_array, std::move(out).finish());
}

result<store_record> read_record(const rows& found) {
  if (found.count() == 0)
    return no_such_store;
  row_reader row(found, 0);
  store_record record;
  record.version = row.text();
  record.target = row.optional_text();
  record.collections = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  return record;
}

} // namespace

// ---- the record

/// The version that another program has recorded last; null if none has.
std::string recorded_sql(composed_statement& statement, const document_tables& tables, const std::string& metadata) {
  const auto place = find_collection(statement, tables, metadata);
  return "(SELECT o.version FROM " + place.table + " AS o WHERE " + in_collection(place) +
         " AND o.version IS NOT NULL ORDER BY o.sort_key DESC, o.id DESC LIMIT 1)";
}

/// A relation, after a comma.
std::string taken_over_sql(composed_statement& statement, const std::string& collection, std::size_t number) {
  const auto table = quote_identifier(document_tables::failed_table_of(collection));
  return ", failed_" + std::to_string(number) +
         " AS (INSERT INTO failed_migrations (tenant_id, store, collection, document, reason) SELECT $1, m.name, " +
         statement.add_text(collection) +
         ", jsonb_build_object('id', f.id, 'version', NULL, 'creation_utc', NULL) ||"
         " CASE WHEN jsonb_typeof(f.data) = 'object' THEN f.data"
         " WHEN f.data IS NULL THEN '{}' ELSE jsonb_build_object('data', f.data) END, " +
         statement.add_text(failed_elsewhere) + " FROM made AS m, " + table +
         " AS f WHERE f.tenant_id = $1 ORDER BY f.id RETURNING octet_length(document::text) AS bytes)";
}

unit open_store_unit(const document_tables& tables, const open_store& wanted) {
  const auto collections = wanted.collections.empty() ? std::vector{wanted.store} : wanted.collections;
  composed_statement statement(wanted.tenant);
  std::string recorded, taken_over, bytes = "0";
  for (std::size_t i = 0; i < collections.size(); ++i)
    if (const auto* own = tables.find_table(collections[i]); own && !own->metadata.empty()) {
      recorded += recorded_sql(statement, tables, own->metadata) + ", ";
      taken_over += taken_over_sql(statement, collections[i], i);
      bytes += " + coalesce((SELECT sum(f.bytes) FROM failed_" + std::to_string(i) + " AS f), 0)";
    }
  auto sql = "WITH made AS (INSERT INTO document_stores (tenant_id, name, version, collections) SELECT $1, " +
             statement.add_text(wanted.store) + ", coalesce(" + recorded + statement.add_text(wanted.version) + "), " +
             statement.add_texts(collections) + " ON CONFLICT (tenant_id, name) DO NOTHING RETURNING name)" +
             taken_over + " SELECT (" + bytes + ")::bigint FROM made AS m";
  auto work = begin_documents_unit(wanted.tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  work.calls.push_back(read_store_call({wanted.tenant, wanted.store}));
  return work;
}

result<store_record> decode_store(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  auto record = read_record(outcome.results.back());
  if (!record)
    return record;
  if (const auto& made = outcome.results[outcome.results.size() - 2]; made.count() == 1) {
    record->was_made = true;
    record->bytes = row_reader(made, 0).int8();
  }
  return record;
}

unit begin_migration_unit(const store_place& store, const store_record& seen, const std::string& target) {
  const auto seen_target = seen.target ? std::vector{*seen.target} : std::vector<std::string>{};
  return {{tenant_call(store.tenant),
           {&begin_migration, {store.tenant.text(), store.store, seen.version, encode_texts(seen_target), target}}}};
}

result<bool> decode_begun(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return outcome.results.back().affected() == 1;
}

unit finish_migration_unit(const document_tables& tables, const store_place& store, const std::string& target,
                           const std::vector<std::string>& collections, const std::vector<std::string>& settled) {
  composed_statement statement(store.tenant);
  auto sql = "UPDATE document_stores AS s SET version = s.target, target = NULL WHERE s.tenant_id = $1 AND s.name = " +
             statement.add_text(store.store) + " AND s.target = " + statement.add_text(target);
  const auto unsettled = unsettled_sql(statement.add_texts(settled));
  for (const auto& name : collections) {
    const auto collection = find_collection(statement, tables, name);
    sql += " AND NOT EXISTS (SELECT FROM " + collection.table + " AS o WHERE " + in_collection(collection) + " AND " +
           unsettled + ")";
  }
  auto work = begin_documents_unit(store.tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  work.calls.push_back(read_store_call(store));
  return work;
}

result<store_record> decode_finished(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return read_record(outcome.results.back());
}

// ---- documents on their way

unit unsettled_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                    const std::vector<std::string>& settled, const std::string& after, std::size_t limit) {
  composed_statement statement(store.tenant);
  const auto place = find_collection(statement, tables, collection);
  auto sql = "SELECT p.id, p.version, p.data::text FROM (SELECT f.*, sum(f.bytes) OVER (ORDER BY f.id) - f.bytes AS"
             " bytes_before FROM (SELECT o.id, o.version, o.bytes, o.data FROM " +
             place.table + " AS o WHERE " + in_collection(place) + " AND o.id > " + statement.add_text(after) +
             " AND " + unsettled_sql(statement.add_texts(settled)) + " ORDER BY o.id LIMIT " +
             statement.add_int8(static_cast<std::int64_t>(limit)) + ") AS f) AS p WHERE p.bytes_before < " +
             statement.add_int8(static_cast<std::int64_t>(unsettled_bytes_max)) + " ORDER BY p.id";
  auto work = begin_documents_unit(store.tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<std::vector<unsettled_document>> decode_unsettled(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<unsettled_document> documents;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    unsettled_document document{row.text(), {}, {}};
    document.version = row.optional_text();
    document.document = row.text();
    documents.push_back(std::move(document));
  }
  return documents;
}

/// Rows are changed by their keys alone, never joined: a plan made while the table was empty would go through all of
/// it. The store's row is locked against its end, each document against everybody: what was changed while it was waited
/// for is not the text any more that was read. The collection's row is locked against its deletion, else what fails
/// would be kept for a new one of the name; in a table of its own there may be documents without such a row.
unit write_converted_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                          const std::string& target, const std::vector<document_conversion>& conversions) {
  std::vector<std::string> ids, befores, afters, reasons;
  for (const auto& each : conversions) {
    ids.push_back(each.id);
    befores.push_back(each.before);
    afters.push_back(each.after);
    reasons.push_back(each.reason);
  }
  composed_statement statement(store.tenant);
  const auto place = find_collection(statement, tables, collection);
  const auto name = statement.add_text(store.store);
  const auto given = statement.add_texts(ids) + ", " + statement.add_texts(befores) + ", " +
                     add_texts_or_nulls(statement, afters) + ", " + statement.add_texts(reasons);
  const auto is_it = in_collection(place) + " AND o.id = ";
  const std::string rows_at_least = tables.find(collection) ? "0" : "1";
  auto sql =
      "WITH home AS MATERIALIZED (SELECT c.id FROM collections AS c WHERE c.tenant_id = $1 AND c.name = " + place.name +
      " FOR KEY SHARE), store AS MATERIALIZED (SELECT s.name FROM document_stores AS s WHERE s.tenant_id = $1 AND "
      "s.name = " +
      name + " AND s.target = " + statement.add_text(target) +
      " FOR SHARE), locked AS MATERIALIZED (SELECT d.id, d.bytes, g.after, g.reason FROM unnest(" + given +
      ") AS g(id, before, after, reason), LATERAL (SELECT o.id, o.bytes FROM " + place.table + " AS o WHERE " + is_it +
      "g.id AND o.data::text = g.before FOR UPDATE OF o) AS d WHERE EXISTS (SELECT FROM store) AND (SELECT count(*) "
      "FROM home) >= " +
      rows_at_least + "), changed AS (UPDATE " + place.table +
      " AS o SET data = (SELECT jsonb_object_agg(l.id, l.after::jsonb) FROM locked AS l WHERE l.after IS NOT NULL) -> "
      "o.id"
      " WHERE " +
      is_it +
      "ANY (ARRAY(SELECT l.id FROM locked AS l WHERE l.after IS NOT NULL)) RETURNING o.id, o.bytes), moved AS"
      " (DELETE FROM " +
      place.table + " AS o WHERE " + is_it +
      "ANY (ARRAY(SELECT l.id FROM locked AS l WHERE l.after IS NULL)) RETURNING o.id, o.data), failed AS (INSERT INTO"
      " failed_migrations (tenant_id, store, collection, document, reason) SELECT $1, " +
      name + ", " + place.name +
      ", m.data, l.reason FROM moved AS m JOIN locked AS l ON l.id = m.id ORDER BY m.id RETURNING number) SELECT"
      " (SELECT count(*) FROM changed), (SELECT count(*) FROM failed),"
      " coalesce((SELECT sum(c.bytes - l.bytes) FROM changed AS c JOIN locked AS l ON l.id = c.id), 0)::bigint";
  auto work = begin_documents_unit(store.tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<conversions_written> decode_converted(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  conversions_written written;
  written.migrated = row.int8();
  written.failed = row.int8();
  written.bytes = row.int8();
  return written;
}

// ---- those that failed

result<unit> list_failed_unit(const list_failed_migrations& wanted) {
  std::int64_t after = 0;
  const auto* end = wanted.cursor.data() + wanted.cursor.size();
  if (!wanted.cursor.empty()) {
    const auto [stop, problem] = std::from_chars(wanted.cursor.data(), end, after);
    if (problem != std::errc{} || stop != end || after < 1)
      return error{error_code::invalid_request, "the cursor is not one that a page of failed migrations ended with"};
  }
  const store_place store{wanted.tenant, wanted.store};
  return unit{
      {tenant_call(wanted.tenant), failed_call(list_failed, store, after, wanted.limit), read_store_call(store)}};
}

result<failed_migration_page> decode_failed_page(const list_failed_migrations&, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  if (outcome.results.back().count() == 0)
    return no_such_store;
  const auto& found = outcome.results[outcome.results.size() - 2];
  failed_migration_page page;
  std::int64_t last = 0;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    const auto number = row.int8();
    failed_migration failed{row.text(), {}, {}, {}};
    auto document = row.optional_text();
    if (!document) {
      page.next_cursor = std::to_string(last);
      break;
    }
    failed.document = std::move(*document);
    failed.reason = row.text();
    failed.failed_at = row.time();
    page.items.push_back(std::move(failed));
    last = number;
  }
  return page;
}

unit failed_unit(const store_place& store, std::int64_t after, std::size_t limit) {
  return {{tenant_call(store.tenant), failed_call(read_failed, store, after, limit)}};
}

result<std::vector<failed_document>> decode_failed(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<failed_document> failed;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    failed_document each;
    each.number = row.int8();
    each.collection = row.text();
    auto document = row.optional_text();
    if (!document)
      break;
    each.document = std::move(*document);
    each.id = row.text();
    each.version = row.optional_text();
    failed.push_back(std::move(each));
  }
  return failed;
}

/// Of several with one id the first is a document again.
unit write_retried_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                        const std::vector<retried_conversion>& conversions) {
  array_builder numbers(oids::int8, conversions.size(), conversions.size() * 8);
  std::vector<std::string> afters, reasons;
  for (const auto& each : conversions) {
    numbers.add_int8(each.number);
    afters.push_back(each.after);
    reasons.push_back(each.reason);
  }
  composed_statement statement(store.tenant);
  const auto place = find_collection(statement, tables, collection);
  const auto is_it = "f.tenant_id = $1 AND f.store = " + statement.add_text(store.store) + " AND f.number = ";
  const auto given = statement.add(oids::int8_array, std::move(numbers).finish()) + ", " +
                     add_texts_or_nulls(statement, afters) + ", " + statement.add_texts(reasons);
  auto sql =
      "WITH " + home_sql(place) +
      ", locked AS MATERIALIZED (SELECT f.number, f.bytes, g.after::jsonb AS after, g.reason FROM unnest(" + given +
      ") AS g(number, after, reason), LATERAL (SELECT f.number, octet_length(f.document::text) AS bytes FROM"
      " failed_migrations AS f WHERE " +
      is_it +
      "g.number FOR UPDATE OF f) AS f), fit AS MATERIALIZED (SELECT DISTINCT ON (l.after ->> 'id') l.* FROM locked AS l"
      " WHERE l.after IS NOT NULL AND EXISTS (SELECT FROM home) AND (l.after ->> 'id') <> ALL (ARRAY(SELECT t.id FROM"
      " locked AS k, LATERAL (SELECT o.id FROM " +
      place.table + " AS o WHERE " + in_collection(place) +
      " AND o.id = k.after ->> 'id' OFFSET 0) AS t)) ORDER BY l.after ->> 'id', l.number), made AS (" +
      insert_sql(place, "g.after", "fit AS g, home AS h RETURNING bytes") +
      "), gone AS (DELETE FROM failed_migrations AS f WHERE " + is_it +
      "ANY (ARRAY(SELECT g.number FROM fit AS g))), kept AS (UPDATE failed_migrations AS f SET reason = (SELECT CASE "
      "WHEN"
      " l.after IS NULL THEN l.reason ELSE 'its id has been taken by another document' END FROM locked AS l"
      " WHERE l.number = f.number), failed_at = clock_timestamp() WHERE " +
      is_it +
      "ANY (ARRAY(SELECT l.number FROM locked AS l EXCEPT SELECT g.number FROM fit AS g)) RETURNING f.number)"
      " SELECT (SELECT count(*) FROM made), (SELECT count(*) FROM kept),"
      " (coalesce((SELECT sum(m.bytes) FROM made AS m), 0) - coalesce((SELECT sum(g.bytes) FROM fit AS g), 0))::bigint";
  auto work = begin_documents_unit(store.tenant, std::nullopt);
  work.calls.push_back(make_collection_call(store.tenant, collection));
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

} // namespace colloquy::db
