#include "bench/documents/tickets.hpp"

#include "bench/bench_failure.hpp"

namespace colloquy::bench {
namespace {

const std::string paged = "paged";

/// The document of the number `n`, of `keys` customers.
std::string document_sql(std::size_t keys) {
  return "jsonb_build_object('id', 'ticket-' || lpad(n::text, 8, '0'), 'version', '1', 'creation_utc',"
         " to_char(timestamp '2026-01-01' + n * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
         " 'customer_id', 'customer-' || n % " +
         std::to_string(keys) + ", 'order', 'order-' || n / " + std::to_string(documents_per_key) +
         ", 'state', CASE n % 2 WHEN 0 THEN 'open' ELSE 'closed' END, 'priority', n % 10, 'tags', '[\"a\", "
         "\"b\"]'::jsonb,"
         " 'subject', 'What somebody asks about number ' || n || ', in as many words as a sentence of this kind has')";
}

std::size_t keys_of(std::size_t documents) {
  return documents / documents_per_key;
}

/// `tenants` gives rows of `tenant`, `numbers` rows of `n`.
void insert(bench_database& database, const std::string& tenants, const std::string& numbers, std::size_t keys,
            std::size_t expected) {
  const auto made = database.value(
      "WITH given AS MATERIALIZED (SELECT tenant FROM " + tenants +
      "), made AS (INSERT INTO collections (tenant_id, name) SELECT g.tenant, '" + tickets_collection +
      "' FROM given AS g ON CONFLICT (tenant_id, name) DO NOTHING RETURNING id) SELECT count(*) FROM made");
  const auto inserted =
      database.value("WITH made AS (INSERT INTO documents (tenant_id, collection_id, data) SELECT c.tenant_id, c.id, " +
                     document_sql(keys) + " FROM (SELECT tenant FROM " + tenants +
                     ") AS g JOIN collections AS c ON c.tenant_id = g.tenant AND c.name = '" + tickets_collection +
                     "', " + numbers + " RETURNING 1) SELECT count(*) FROM made");
  if (inserted != std::to_string(expected))
    throw bench_failure(inserted + " documents were inserted instead of " + std::to_string(expected) + ", into " +
                        made + " new collections");
}

std::string numbers_sql(std::size_t first, std::size_t end) {
  return "generate_series(" + std::to_string(first) + ", " + std::to_string(end) + " - 1) AS n";
}

} // namespace

tenant_id ticket_tenant(std::size_t number) {
  return tenant_id::parse("tenant-" + std::to_string(number)).value_or(tenant_id());
}

tenant_id paged_tenant() {
  return tenant_id::parse(paged).value_or(tenant_id());
}

std::string ticket_key(const char* kind, std::size_t number) {
  return std::string(kind) + "-" + std::to_string(number);
}

void insert_tickets(bench_database& database, std::size_t first, std::size_t end, std::size_t documents) {
  insert(database,
         "(SELECT 'tenant-' || t AS tenant FROM generate_series(" + std::to_string(first) + ", " + std::to_string(end) +
             " - 1) AS t) AS x",
         numbers_sql(0, documents), keys_of(documents), (end - first) * documents);
}

void insert_paged_tickets(bench_database& database, std::size_t first, std::size_t end, std::size_t documents) {
  insert(database, "(SELECT '" + paged + "' AS tenant) AS x", numbers_sql(first, end), keys_of(documents), end - first);
}

document_position ticket_place(bench_database& database, std::size_t number) {
  const auto member = [&](const char* name) {
    return database.value("SELECT " + document_sql(1) + " ->> '" + name + "' FROM (SELECT " + std::to_string(number) +
                          " AS n) AS x");
  };
  return {member("creation_utc"), member("id")};
}

std::string ticket_document(bench_database& database, std::size_t number, std::size_t documents) {
  return database.value("SELECT " + document_sql(keys_of(documents)) + "::text FROM (SELECT " + std::to_string(number) +
                        " AS n) AS x");
}

void check_same_rows(bench_database& database, const tenant_id& tenant, const std::string& collection,
                     const std::string& document) {
  for (const std::string table : {"documents", "document_terms"}) {
    const auto rows_of = [&](const std::string& name) {
      return "(SELECT to_jsonb(r) - 'collection_id' FROM " + table +
             " AS r JOIN collections AS c ON c.tenant_id = r.tenant_id AND c.id = r.collection_id WHERE c.tenant_id = "
             "'" +
             tenant.text() + "' AND c.name = '" + name + "' AND r.id = '" + document + "')";
    };
    const auto differing =
        database.value("SELECT count(*) FROM ((" + rows_of(collection) + " EXCEPT " + rows_of(tickets_collection) +
                       ") UNION ALL (" + rows_of(tickets_collection) + " EXCEPT " + rows_of(collection) + ")) AS x");
    const auto there = database.value("SELECT count(*) FROM " + rows_of(collection) + " AS x");
    if (differing != "0" || there == "0")
      throw bench_failure(differing + " rows of " + table + " differ between what SQL and what the service has made");
  }
}

} // namespace colloquy::bench
