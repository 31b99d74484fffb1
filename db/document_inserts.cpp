// Inserting documents, and the rows of collections.
#include "db/document_matches.hpp"
#include "db/document_outcome.hpp"
#include "db/document_repeat.hpp"
#include "db/row_reader.hpp"

#include <utility>

namespace colloquy::db {
namespace {

constexpr oid make_types[] = {oids::text, oids::text};
constexpr statement make_collection{
    "make_collection",
    "INSERT INTO collections (tenant_id, name) VALUES ($1, $2) ON CONFLICT (tenant_id, name) DO NOTHING", make_types};
constexpr statement lock_for_upsert{"lock_collection_for_upsert",
                                    "SELECT FROM collections WHERE tenant_id = $1 AND name = $2 FOR NO KEY UPDATE",
                                    make_types};

} // namespace

statement_call make_collection_call(const tenant_id& tenant, const std::string& collection) {
  return {&make_collection, {tenant.text(), collection}};
}

statement_call lock_collection_call(const tenant_id& tenant, const std::string& collection) {
  return {&lock_for_upsert, {tenant.text(), collection}};
}

std::string home_sql(const collection_sql& collection) {
  return "home AS MATERIALIZED (SELECT c.id FROM collections AS c WHERE c.tenant_id = $1 AND c.name = " +
         collection.name + " FOR KEY SHARE)";
}

std::string insert_sql(const collection_sql& collection, const std::string& data, const std::string& rest) {
  return collection.has_own_table
             ? "INSERT INTO " + collection.table + " (tenant_id, data) SELECT $1, " + data + " FROM " + rest
             : "INSERT INTO documents (tenant_id, collection_id, data) SELECT $1, h.id, " + data + " FROM " + rest;
}

/// xmin tells the row of a collection that only this transaction has made.
std::string unmake_sql(const collection_sql& collection) {
  return ", unmade AS (DELETE FROM collections AS c WHERE c.tenant_id = $1 AND c.name = " + collection.name +
         " AND c.xmin = pg_current_xact_id()::xid AND (SELECT o.state NOT IN ('done', 'same', 'inserted')"
         " FROM outcome AS o))";
}

/// All is judged before the first is inserted. In the order of their ids, so that two requests with the same ones
/// cannot wait for each other.
unit insert_unit(const document_tables& tables, const insert_documents& wanted) {
  composed_statement statement(wanted.tenant);
  const auto collection = find_collection(statement, tables, wanted.collection);
  const document_repeat repeat(statement, wanted.tenant, wanted.repeat);
  const auto given = statement.add_jsonbs(wanted.documents);
  std::string foreign;
  if (wanted.as_user)
    foreign = " WHEN EXISTS (SELECT FROM given AS g WHERE (g.data -> 'customer_id') IS DISTINCT FROM " +
              statement.add_jsonb(to_json({literal_kind::string, *wanted.as_user})) + ") THEN 'forbidden'";
  const std::string there = "o.tenant_id = $1 AND o.collection_id = " + collection.id + " AND o.id = g.id";
  auto sql = repeat.with() + "given AS MATERIALIZED (SELECT g.n, g.data, g.data ->> 'id' AS id FROM unnest(" + given +
             ") WITH ORDINALITY AS g(data, n)), " + home_sql(collection) +
             ", twice AS MATERIALIZED (SELECT g.id FROM given AS g GROUP BY g.id HAVING count(*) > 1 ORDER BY min(g.n)"
             " LIMIT 1), taken AS MATERIALIZED (SELECT g.id FROM given AS g, LATERAL (SELECT FROM " +
             collection.table + " AS o WHERE " + there +
             " OFFSET 0) AS o ORDER BY g.n LIMIT 1), outcome AS MATERIALIZED (SELECT CASE WHEN NOT " +
             repeat.is_first() + " THEN 'repeated'" + foreign +
             " WHEN EXISTS (SELECT FROM twice) OR EXISTS (SELECT FROM taken) THEN 'taken'"
             " WHEN NOT EXISTS (SELECT FROM home) THEN 'race' ELSE 'done' END AS state), made AS (" +
             insert_sql(collection, "g.data",
                        "given AS g, home AS h, outcome AS o WHERE o.state = 'done' ORDER BY g.id RETURNING bytes") +
             ")" + repeat.keep("'{}'::jsonb") + unmake_sql(collection) +
             " SELECT o.state, coalesce((SELECT t.id FROM twice AS t), (SELECT t.id FROM taken AS t)),"
             " (SELECT array_agg(g.id ORDER BY g.n) FROM given AS g),"
             " coalesce((SELECT sum(m.bytes) FROM made AS m), 0)::bigint, " +
             repeat.fingerprint() + " FROM outcome AS o";
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  if (repeat.insert_key())
    work.calls.push_back(*repeat.insert_key());
  work.calls.push_back(make_collection_call(wanted.tenant, wanted.collection));
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<written<documents_inserted>> decode_inserted(const insert_documents& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return write_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  const auto state = row.text();
  if (state == states::taken)
    return taken_error(row.text());
  if (auto refused = refusal_of(state))
    return *refused;
  row.skip();
  written<documents_inserted> done;
  done.reply.ids = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  done.bytes = row.int8();
  if (state != states::repeated)
    return done;
  done.is_repeated = true;
  if (auto same = check_fingerprint(*wanted.repeat, row.bytes()); !same)
    return same.failure();
  return done;
}

} // namespace colloquy::db
