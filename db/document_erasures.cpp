#include "db/document_erasures.hpp"

#include "db/document_outcome.hpp"
#include "db/document_sql.hpp"
#include "db/row_reader.hpp"
#include "db/session_queries.hpp"
#include "db/system_statements.hpp"

#include <limits>
#include <utility>

namespace colloquy::db {
namespace {

constexpr oid lock_types[] = {oids::text, oids::text};
constexpr statement lock_for_delete{
    "lock_collection_for_delete", "SELECT FROM collections WHERE tenant_id = $1 AND name = $2 FOR UPDATE", lock_types};

/// What of it waits to be converted goes with it, else it would come back into a new one of the name.
#define COLLOQUY_FORGET_FAILED                                                                                         \
  "forgotten AS (DELETE FROM failed_migrations AS f WHERE f.tenant_id = $1 AND f.collection = $2"                      \
  " RETURNING octet_length(f.document::text) AS bytes)"
#define COLLOQUY_BYTES_FORGOTTEN "coalesce((SELECT sum(f.bytes) FROM forgotten AS f), 0)::bigint"

constexpr oid hide_types[] = {oids::text, oids::text};
constexpr statement hide_collection{
    "hide_collection",
    "WITH home AS (DELETE FROM collections AS c WHERE c.tenant_id = $1 AND c.name = $2 RETURNING c.id), noted AS "
    "(INSERT"
    " INTO document_erasures (tenant_id, collection_id) SELECT $1, h.id FROM home AS h), " COLLOQUY_FORGET_FAILED
    " SELECT (SELECT h.id FROM home AS h), coalesce((SELECT sum(n.documents) FROM collection_counts AS n WHERE"
    " n.tenant_id = $1 AND n.collection_id = (SELECT h.id FROM home AS h)), 0)::bigint, " COLLOQUY_BYTES_FORGOTTEN,
    hide_types};

constexpr oid leave_types[] = {oids::text, oids::text};
constexpr statement leave_collection{
    "leave_collection",
    "WITH home AS (DELETE FROM collections AS c WHERE c.tenant_id = $1 AND c.name = $2 RETURNING c.id),"
    " " COLLOQUY_FORGET_FAILED " SELECT (SELECT count(*) FROM home AS h), " COLLOQUY_BYTES_FORGOTTEN,
    leave_types};

constexpr oid erase_types[] = {oids::text, oids::int8, oids::int8};
constexpr statement erase_documents{
    "erase_documents",
    "WITH erasure AS MATERIALIZED (SELECT e.collection_id FROM document_erasures AS e WHERE e.tenant_id = $1 AND"
    " e.collection_id = $2 FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM documents AS d WHERE d.tenant_id = $1 AND"
    " d.collection_id = (SELECT e.collection_id FROM erasure AS e) AND d.id = ANY (ARRAY(SELECT o.id FROM documents AS "
    "o"
    " WHERE o.tenant_id = $1 AND o.collection_id = (SELECT e.collection_id FROM erasure AS e) ORDER BY o.id LIMIT $3))"
    " RETURNING d.bytes), finished AS (DELETE FROM document_erasures AS e WHERE e.tenant_id = $1 AND e.collection_id ="
    " (SELECT x.collection_id FROM erasure AS x) AND (SELECT count(*) FROM gone) < $3) SELECT (SELECT count(*) FROM"
    " gone), coalesce((SELECT sum(g.bytes) FROM gone AS g), 0)::bigint",
    erase_types};

/// By a statement of its own: the triggers of the one before have counted.
constexpr oid forget_types[] = {oids::text, oids::int8};
constexpr statement forget_counts{
    "forget_collection_counts",
    "DELETE FROM collection_counts AS c WHERE c.tenant_id = $1 AND c.collection_id = $2 AND NOT EXISTS (SELECT FROM"
    " document_erasures AS e WHERE e.tenant_id = $1 AND e.collection_id = $2)",
    forget_types};

/// Of one that has a table of its own, where the documents have the collection's number for good: in one transaction,
/// so that nobody sees a part of it, and a crash leaves all. A statement takes so many that it ends in time, the last
/// one what has come meanwhile.
unit delete_own_unit(const document_tables& tables, const delete_collection& wanted, std::size_t documents_max,
                     std::int64_t documents) {
  auto work = begin_documents_unit(wanted.tenant, std::nullopt);
  work.calls.push_back({&lock_for_delete, {wanted.tenant.text(), wanted.collection}});
  const auto step = [&](std::size_t most) {
    composed_statement statement(wanted.tenant);
    const auto collection = find_collection(statement, tables, wanted.collection);
    const auto in_it = [&](const std::string& alias) {
      return alias + ".tenant_id = $1 AND " + alias + ".collection_id = " + collection.id;
    };
    auto sql = "WITH gone AS (DELETE FROM " + collection.table + " AS d WHERE " + in_it("d") +
               " AND d.id = ANY (ARRAY(SELECT o.id FROM " + collection.table + " AS o WHERE " + in_it("o") +
               " ORDER BY o.id LIMIT " + statement.add_int8(static_cast<std::int64_t>(most)) +
               ")) RETURNING d.bytes) SELECT count(*), coalesce(sum(g.bytes), 0)::bigint FROM gone AS g";
    work.calls.push_back(std::move(statement).finish(std::move(sql)));
  };
  for (auto left = documents; left > 0; left -= static_cast<std::int64_t>(documents_max))
    step(documents_max);
  step(std::numeric_limits<std::int32_t>::max());
  work.calls.push_back({&leave_collection, {wanted.tenant.text(), wanted.collection}});
  return work;
}

} // namespace

unit count_collection_unit(const document_tables& tables, const delete_collection& wanted) {
  composed_statement statement(wanted.tenant);
  const auto collection = find_collection(statement, tables, wanted.collection);
  auto work = begin_documents_unit(wanted.tenant, std::nullopt);
  work.calls.push_back(
      std::move(statement).finish("SELECT coalesce(sum(n.documents), 0)::bigint FROM collection_counts AS n WHERE"
                                  " n.tenant_id = $1 AND n.collection_id = " +
                                  collection.id));
  return work;
}

result<std::int64_t> decode_collection_count(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return row_reader(outcome.results.back(), 0).int8();
}

unit delete_collection_unit(const document_tables& tables, const delete_collection& wanted, std::size_t documents_max,
                            std::int64_t documents) {
  if (tables.find(wanted.collection))
    return delete_own_unit(tables, wanted, documents_max, documents);
  auto work = begin_documents_unit(wanted.tenant, std::nullopt);
  work.calls.push_back({&lock_for_delete, {wanted.tenant.text(), wanted.collection}});
  work.calls.push_back({&hide_collection, {wanted.tenant.text(), wanted.collection}});
  return work;
}

result<collection_deletion> decode_deletion(const delete_collection& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  collection_deletion deleted;
  const bool is_hidden = outcome.results.back().columns() == 3;
  const bool was_there = is_hidden ? !row.next_is_null() : row.int8() > 0;
  if (is_hidden) {
    if (was_there)
      deleted.hidden = collection_erasure{wanted.tenant, row.int8()};
    else
      row.skip();
    deleted.documents = row.int8();
  }
  deleted.bytes = -row.int8();
  // The statements between the lock, which gives no column, and the last one.
  for (auto at = outcome.results.size() - 1; !is_hidden && outcome.results[at - 1].columns() == 2; --at) {
    row_reader step(outcome.results[at - 1], 0);
    deleted.documents += step.int8();
    deleted.bytes -= step.int8();
  }
  if (!was_there && deleted.documents == 0)
    return error{error_code::not_found, "no such collection"};
  return deleted;
}

unit erase_documents_unit(const collection_erasure& what, std::size_t documents_max) {
  const auto tenant = what.tenant.text();
  const auto collection = encode_int8(what.collection);
  return {{tenant_call(what.tenant),
           {&erase_documents, {tenant, collection, encode_int8(static_cast<std::int64_t>(documents_max))}},
           {&forget_counts, {tenant, collection}}}};
}

result<erased_documents> decode_erased_documents(const unit_outcome& outcome, std::size_t documents_max) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results[outcome.results.size() - 2], 0);
  erased_documents erased;
  erased.is_more = row.int8() >= static_cast<std::int64_t>(documents_max);
  erased.bytes = -row.int8();
  return erased;
}

unit find_erasures_unit(std::size_t limit) {
  return {{as_system_call(),
           {&system_statements::find_document_erasures, {encode_int8(static_cast<std::int64_t>(limit))}}}};
}

result<std::vector<collection_erasure>> decode_erasures_found(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& rows = outcome.results.back();
  std::vector<collection_erasure> found;
  for (int i = 0; i < rows.count(); ++i) {
    row_reader row(rows, i);
    auto tenant = tenant_id::parse(row.text());
    const auto collection = row.int8();
    if (tenant)
      found.push_back({std::move(*tenant), collection});
  }
  return found;
}

} // namespace colloquy::db
