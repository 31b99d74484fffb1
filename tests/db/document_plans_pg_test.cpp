// Which index serves: every statement about documents as the service's connections plan it, on tables that were empty
// when it was planned, and on filled ones.
#include "db/document_table_adoption.hpp"
#include "db/store_queries.hpp"
#include "tests/db/document_store.hpp"

#include <array>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

test_connection planner(const test_database& database, const std::string& tenant = "acme") {
  test_connection connection(database.service_conninfo());
  for (const auto& [name, value] : target_of(database).settings)
    connection.exec("SELECT set_config('" + name + "', '" + value + "', false)");
  connection.exec("SELECT set_config('colloquy.tenants', '" + tenant + "', false)");
  return connection;
}

/// Prepared once for each shape, as a connection of the service has it.
class prepared {
public:
  explicit prepared(const test_database& database)
    : connection_(planner(database)) {}

  std::string plan(const unit& work, const std::string& options = "COSTS OFF") {
    return plan(work.calls.back(), options);
  }
  std::string plan(const statement_call& call, const std::string& options = "COSTS OFF") {
    const auto types = call.own ? std::span<const oid>(call.own->parameter_types) : call.what->parameter_types;
    connection_.exec("DEALLOCATE ALL");
    PQclear(PQprepare(connection_.raw(), "planned", call.own ? call.own->sql.c_str() : call.what->sql,
                      static_cast<int>(types.size()), types.data()));
    std::string arguments;
    for (std::size_t i = 0; i < call.parameters.size(); ++i)
      arguments += (arguments.empty() ? "(" : ", ") + literal(types[i], *call.parameters[i]);
    std::string plan;
    for (const auto& row : connection_.exec("EXPLAIN (" + options + ") EXECUTE planned" + arguments + ")"))
      plan += row.front() + "\n";
    return plan;
  }

private:
  /// Decoded by the server itself, from the binary that the service sends.
  std::string literal(oid type, const std::string& bytes) {
    const char* value = bytes.data();
    const int length = static_cast<int>(bytes.size()), format = 1;
    const result_ptr held(
        PQexecParams(connection_.raw(), "SELECT quote_literal($1::text)", 1, &type, &value, &length, &format, 0));
    if (PQresultStatus(held.get()) != PGRES_TUPLES_OK)
      FAIL(PQresultErrorMessage(held.get()));
    return std::string(PQgetvalue(held.get(), 0, 0)) +
           "::" + connection_.value("SELECT " + std::to_string(type) + "::regtype");
  }

  test_connection connection_;
};

bool has(const std::string& plan, const std::string& text) {
  return plan.find(text) != std::string::npos;
}

void fill(document_store& store) {
  store.database.exec("INSERT INTO collections (tenant_id, name) SELECT 't' || n, 'things' FROM generate_series(1, 20)"
                      " AS n UNION ALL SELECT 'acme', 'things'");
  store.database.exec(R"sql(INSERT INTO documents (tenant_id, collection_id, data)
    SELECT c.tenant_id, c.id, jsonb_build_object('id', 'd' || lpad(n::text, 6, '0'), 'version', '1', 'creation_utc',
           CASE WHEN n % 10 > 0 THEN '2026-' || lpad((n / 2)::text, 6, '0') END, 'session_id', 's' || n % 500,
           'customer_id', 'c' || n % 50, 'agent_id', 'a' || n % 5, 'rare', n % 1000, 'common', n % 2, 'name', 'n' || n % 100)
      FROM collections AS c, generate_series(1, CASE c.tenant_id WHEN 'acme' THEN 20000 ELSE 500 END) AS n)sql");
  store.database.exec("ANALYZE");
}

find_documents with_cursor(find_documents wanted) {
  wanted.cursor = document_position{"2026-005000", "d010000"};
  return wanted;
}

void check_plans(document_store& store) {
  prepared service(store.database);
  const auto plan_of = [&](const find_documents& wanted) { return service.plan(*find_unit(store.tables, wanted)); };
  const std::string order = "using idx_documents_order", key = "using documents_pkey",
                    terms = "using document_terms_pkey on document_terms t";
  struct expectation {
    std::string where, index, condition;
  };
  const std::vector<expectation> expected{
      {"{}", order, "ROW(sort_key, id) > ROW("},
      {R"({"creation_utc": {"$eq": "2026-000007"}})", order, "(sort_key >= "},
      {R"({"creation_utc": {"$gte": "2026-000007", "$lt": "2026-000008"}})", order, "(sort_key >= "},
      {R"({"session_id": {"$eq": "s7"}})", "using idx_documents_session_id", "(session_id = "},
      {R"({"customer_id": {"$eq": "c7"}})", "using idx_documents_customer_id", "(customer_id = "},
      {R"({"agent_id": {"$eq": "a1"}})", "using idx_documents_agent_id", "(agent_id = "},
      {R"({"rare": {"$eq": 7}})", terms, "(term = "},
      {R"({"rare": {"$in": [7, 8, 9]}})", terms, "(term = "},
      {R"({"rare": {"$eq": 7}, "common": {"$eq": 1}, "name": {"$gt": "a"}})", terms, "(term = "},
      {R"({"$or": [{"rare": {"$eq": 7}}, {"name": {"$eq": "n3"}, "common": {"$ne": 1}}]})", terms, "(term = "},
      {R"({"id": {"$eq": "d000007"}})", key, "(id = "},
      {R"({"id": {"$in": ["d000007", "d000008"]}, "common": {"$eq": 1}})", key, "(id = "}};
  for (const auto& each : expected)
    for (const bool deep : {false, true}) {
      auto wanted = store.query(each.where);
      if (deep)
        wanted = with_cursor(wanted);
      const auto plan = plan_of(wanted);
      INFO(each.where << (deep ? " deep in\n" : "\n") << plan);
      CHECK(!has(plan, "Seq Scan"));
      CHECK(!has(plan, "Bitmap"));
      CHECK(has(plan, each.index));
      if (each.where != "{}" || deep)
        CHECK(has(plan, each.condition));
      if (each.index == terms) { // a document is looked up by its key, never searched for
        CHECK(has(plan, key));
        CHECK(!has(plan, order));
        if (deep)
          CHECK(has(plan, "ROW(sort_key, id) > ROW("));
      }
      if (each.index == key)
        CHECK(!has(plan, order));
    }
  for (const auto& each : expected) {
    update_document wanted = store.change(each.where, R"({"v": 1})");
    const auto update = service.plan(update_unit(store.tables, wanted));
    INFO("update " << each.where << "\n" << update);
    CHECK(has(update, each.index));
    CHECK(has(update, "LockRows"));
    CHECK(!has(update, "Seq Scan"));
    wanted.is_upsert = true;
    CHECK(!has(service.plan(upsert_unit(store.tables, wanted)), "Seq Scan"));
    CHECK(
        !has(service.plan(delete_unit(store.tables, {store.tenant, store.collection, wanted.where, {}})), "Seq Scan"));
  }
  const auto insert = service.plan(insert_unit(store.tables, {store.tenant, store.collection, {document_of("x")}}));
  INFO(insert);
  CHECK(has(insert, key));
  CHECK(!has(insert, order));
  const store_place shop{store.tenant, "shop"};
  for (const auto& work : {unsettled_unit(store.tables, shop, "things", {"2"}, "", 10),
                           write_converted_unit(store.tables, shop, "things", "2", {{"x", "{}", "{}", ""}}),
                           write_retried_unit(store.tables, shop, "things", {{1, "{}", ""}}),
                           delete_collection_unit(store.tables, {store.tenant, "things"})}) {
    const auto plan = service.plan(work);
    INFO(plan);
    CHECK(!has(plan, "Seq Scan"));
    CHECK(!has(plan, order));
  }
  const auto erase = erase_documents_unit({store.tenant, 1});
  for (std::size_t i = 1; i < erase.calls.size(); ++i) {
    const auto plan = service.plan(erase.calls[i]);
    INFO(plan);
    CHECK(!has(plan, "Seq Scan"));
    CHECK(!has(plan, order));
  }
}

/// Rows that were read from the tables, of all loops, as the plan says after running.
std::int64_t rows_read(const std::string& plan) {
  std::int64_t sum = 0;
  for (std::size_t at = 0; (at = plan.find("Scan using", at)) != std::string::npos; ++at) {
    const auto actual = plan.find("actual rows=", at), loops = plan.find("loops=", at);
    if (actual == std::string::npos || plan.find('\n', at) < actual)
      continue;
    sum += std::stoll(plan.substr(actual + 12)) * std::stoll(plan.substr(loops + 6));
  }
  return sum;
}

} // namespace

TEST_CASE("documents are found by the index that fits, whatever the tables held when it was planned") {
  document_store store;
  check_plans(store);
  fill(store);
  check_plans(store);
}

TEST_CASE("a page deep in costs as the first one, and an equality as many rows as it returns") {
  document_store store;
  fill(store);
  prepared service(store.database);
  const std::string analyze = "ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF";
  // The count of all matches is another matter: it is in both.
  const auto cost = [&](const std::string& where, bool deep, std::size_t limit) {
    auto wanted = store.query(where);
    wanted.limit = limit;
    if (deep)
      wanted = with_cursor(wanted);
    return rows_read(service.plan(*find_unit(store.tables, wanted), analyze));
  };
  for (const std::string where : {"{}", R"({"common": {"$eq": 1}})", R"({"agent_id": {"$eq": "a1"}})"}) {
    INFO(where);
    const auto first = cost(where, false, 10), deep = cost(where, true, 10), double_page = cost(where, true, 20);
    CHECK(deep <= first + 10);
    CHECK(double_page - deep <= 25);
  }
  CHECK(cost(R"({"rare": {"$eq": 7}})", false, 100) <= 60);
  CHECK(cost(R"({"rare": {"$eq": 7}, "common": {"$eq": 1}})", false, 100) <= 1100); // the rarer one is looked for
  CHECK(cost(R"({"$or": [{"rare": {"$eq": 7}}, {"rare": {"$eq": 8}}]})", false, 100) <= 120);
  for (const std::size_t limit : {10, 100}) { // with a count of its own, and without
    CHECK(cost(R"({"rare": {"$in": [7, 8, 9]}})", false, limit) <= 300);
    CHECK(
        cost(
            R"({"$or": [{"rare": {"$in": [7, 8]}}, {"id": {"$eq": "d000001"}}, {"creation_utc": {"$eq": "2026-000009"}}]})",
            false, limit) <= 250);
  }
}

TEST_CASE("in tables of their own, too, an equality goes by the indexes that those have") {
  auto database = test_database::make();
  config::settings settings;
  settings.sessions_table_prefix = "parlant_sessions_";
  settings.customers_table_prefix = "parlant_customers_";
  document_tables tables(settings);
  REQUIRE(adopt_store_tables(database.owner_conninfo(), "public", tables));
  document_store store(std::move(database), tables);
  const std::string terms = "using document_terms_pkey on document_terms t";
  for (const auto& [collection, field, index] : std::vector<std::array<std::string, 3>>{
           {"parlant_customers_", "customer_id", "using idx_parlant_customers__customer_id"},
           {"parlant_sessions_events", "session_id", "using idx_parlant_sessions_events_session_id"},
           {"parlant_sessions_events", "customer_id", terms},
           {"parlant_sessions_events", "agent_id", terms},
           {"parlant_customers_customer_tag_associations", "customer_id", terms},
           {"parlant_customers_metadata", "session_id", terms}}) {
    store.collection = collection;
    store.fill({document_of("a", "\"" + field + "\": \"x\""), document_of("b", "\"" + field + "\": \"y\"")});
    const auto where = "{\"" + field + R"(": {"$eq": "x"}})";
    CHECK(store.found(where) == "a");
    const auto plan = prepared(store.database).plan(*find_unit(store.tables, store.query(where)));
    INFO(collection << " by " << field << "\n" << plan);
    CHECK(has(plan, index));
    CHECK(!has(plan, "Seq Scan"));
    CHECK(!has(plan, "using idx_" + collection + "_creation_utc"));
    REQUIRE(store.drop());
  }
}
