#include "db/document_queries.hpp"

#include "db/document_cursor.hpp"
#include "db/document_matches.hpp"
#include "db/document_outcome.hpp"
#include "db/row_reader.hpp"

#include <utility>

namespace colloquy::db {

unit begin_documents_unit(const tenant_id& tenant, const std::optional<std::string>& as_user) {
  unit work{{tenant_call(tenant)}};
  if (as_user)
    work.calls.push_back(user_call(*as_user));
  return work;
}

// ---- pages

/// One more than the page tells whether there is another; so does one that has no data because the page was full of
/// bytes before it. All that match are counted only if neither this page nor its cursor shows it.
result<unit> find_unit(const document_tables& tables, const find_documents& wanted) {
  auto begin = read_cursor(wanted);
  if (!begin)
    return begin.failure();
  composed_statement statement(wanted.tenant);
  const document_matches matches(statement, tables, wanted.collection, with_user(wanted.where, wanted.as_user));
  const auto limit = statement.add_int8(static_cast<std::int64_t>(wanted.limit));
  const auto bytes = statement.add_int8(static_cast<std::int64_t>(limits::page_bytes_max));
  const bool is_first = !begin->after.has_value();
  const auto page = matches.select(place_order{wanted.order, std::move(begin->after)}, wanted.limit + 1);
  const auto all = "(" + matches.count() + ")";
  const auto shows_all = "(SELECT count(*) FROM page) <= " + limit;
  auto total = all, stamp = matches.stamp();
  if (is_first) { // then it needs no stamp either
    total = "CASE WHEN " + shows_all + " THEN (SELECT count(*) FROM page) ELSE " + all + " END";
    stamp = "CASE WHEN " + shows_all + " THEN 0 ELSE " + stamp + " END";
  } else if (begin->counted) {
    total = "CASE WHEN s.stamp = " + statement.add_int8(begin->counted->stamp) + " THEN " +
            statement.add_int8(begin->counted->total) + " ELSE " + all + " END";
  }
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  work.calls.push_back(std::move(statement).finish(
      "WITH page AS MATERIALIZED (" + page +
      "), numbered AS (SELECT p.*, row_number() OVER () AS n, sum(p.bytes) OVER (ROWS UNBOUNDED PRECEDING)"
      " - p.bytes AS bytes_before FROM page AS p), counted AS MATERIALIZED (SELECT " +
      total + " AS total, s.stamp FROM (SELECT " + stamp +
      " AS stamp OFFSET 0) AS s) SELECT c.total, c.stamp, n.sort_key, n.id, CASE WHEN n.n <= " + limit +
      " AND n.bytes_before < " + bytes +
      " THEN n.data::text END FROM counted AS c LEFT JOIN numbered AS n ON true ORDER BY n.n"));
  return work;
}

result<document_page> decode_page(const find_documents& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  document_page page;
  document_place last;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    page.total_count = row.int8();
    const auto stamp = row.int8();
    if (row.next_is_null()) // the row that has nothing but the count
      break;
    document_place place{row.text(), ""};
    place.second = row.text();
    auto document = row.optional_text();
    if (!document) {
      page.next_cursor = to_cursor(wanted, last, {page.total_count, stamp});
      break;
    }
    page.documents.push_back(std::move(*document));
    last = std::move(place);
  }
  return page;
}

std::optional<unit> find_few_unit(const document_tables& tables, const find_documents& wanted) {
  const auto begin = read_cursor(wanted);
  const auto where = with_user(wanted.where, wanted.as_user);
  if (!begin || begin->after || !find_cover(where))
    return std::nullopt;
  composed_statement statement(wanted.tenant);
  const document_matches matches(statement, tables, wanted.collection, where);
  const auto page = matches.select(place_order{wanted.order, std::nullopt}, wanted.limit + 1);
  const auto limit = statement.add_int8(static_cast<std::int64_t>(wanted.limit));
  const auto bytes = statement.add_int8(static_cast<std::int64_t>(limits::page_bytes_max));
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  // All or none: what will be asked for once more is not read and sent.
  work.calls.push_back(std::move(statement).finish("SELECT CASE WHEN count(*) OVER w <= " + limit +
                                                   " AND sum(p.bytes) OVER w < " + bytes +
                                                   " THEN p.data::text END FROM (" + page + ") AS p WINDOW w AS ()"));
  return work;
}

result<std::optional<document_page>> decode_few(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  document_page page;
  for (int i = 0; i < found.count(); ++i) {
    auto document = row_reader(found, i).optional_text();
    if (!document)
      return std::optional<document_page>();
    page.documents.push_back(std::move(*document));
  }
  page.total_count = found.count();
  return std::optional(std::move(page));
}

// ---- one

unit find_one_unit(const document_tables& tables, const find_document& wanted) {
  composed_statement statement(wanted.tenant);
  const document_matches matches(statement, tables, wanted.collection, with_user(wanted.where, wanted.as_user));
  match_order order;
  if (const auto* places = std::get_if<document_order>(&wanted.order))
    order = place_order{*places, std::nullopt};
  else
    order = std::get<std::vector<field_order>>(wanted.order);
  auto sql = "SELECT f.data::text FROM (" + matches.select(order, 1) + ") AS f";
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<found_document> decode_one(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return found_document{};
  return found_document{std::string(found.get(0, 0))};
}

// ---- collections

namespace {

constexpr oid list_types[] = {oids::text, oids::text, oids::int8};
constexpr statement list_statement{"list_collections",
                                   "SELECT name, created_at FROM collections WHERE tenant_id = $1 AND name > $2"
                                   " ORDER BY name LIMIT $3",
                                   list_types};

} // namespace

unit collections_unit(const list_collections& wanted) {
  const auto limit = static_cast<std::int64_t>(wanted.limit) + 1; // one more tells whether there is a next page
  return {{tenant_call(wanted.tenant), {&list_statement, {wanted.tenant.text(), wanted.cursor, encode_int8(limit)}}}};
}

result<collection_page> decode_collections(const list_collections& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  collection_page page;
  for (int i = 0; i < found.count(); ++i) {
    if (page.collections.size() == wanted.limit) {
      page.next_cursor = page.collections.back().name;
      break;
    }
    row_reader row(found, i);
    collection_record record{row.text(), {}};
    record.created_at = row.time();
    page.collections.push_back(std::move(record));
  }
  return page;
}

} // namespace colloquy::db
