// Tables that a framework's stores had before: made, or adopted with what is in them, and used as any collection is.
#include "db/doctor_schema.hpp"
#include "db/document_table_adoption.hpp"
#include "db/migrator.hpp"
#include "db/store_queries.hpp"
#include "tests/db/document_store.hpp"

#include <algorithm>
#include <thread>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

config::settings all_prefixes() {
  config::settings settings;
  settings.sessions_table_prefix = "parlant_sessions_";
  settings.customers_table_prefix = "parlant_customers_";
  settings.context_variables_table_prefix = "parlant_context_variables_";
  return settings;
}

std::vector<std::string> adopt(const test_database& database, const document_tables& tables) {
  auto adopted = adopt_store_tables(database.owner_conninfo(), "public", tables);
  if (!adopted)
    FAIL(adopted.failure().message);
  return *adopted;
}

/// All that the catalog says of the schema, by name.
std::string shape_of(const test_database& database) {
  std::string out;
  for (const auto& row : database.exec(R"sql(
    SELECT concat_ws(' ', 'r', c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relacl) AS line
      FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'i ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT concat_ws(' ', 'p', tablename, policyname, roles, qual, with_check) FROM pg_policies
    UNION ALL SELECT 't ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', 'a', attrelid::regclass, attname, format_type(atttypid, atttypmod), attcollation)
      FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
       AND NOT attisdropped
    ORDER BY 1)sql"))
    out += row.front() + "\n";
  return out;
}

/// As such a database is made by hand, with documents that say all, little, and something else than their columns.
void make_by_hand(const test_database& database, const document_tables& tables) {
  for (const auto& each : tables.all()) {
    const auto t = each.table;
    if (!each.holds_documents) {
      database.exec("SET client_min_messages = error; CREATE TABLE " + t +
                    " (id TEXT, data JSONB DEFAULT '{}'::jsonb); INSERT INTO " + t +
                    " VALUES ('f', '{\"id\": \"f\"}')");
    } else {
      database.exec(
          "SET client_min_messages = error; CREATE TABLE " + t +
          " (id TEXT NOT NULL PRIMARY KEY, version TEXT, creation_utc TEXT, session_id TEXT, customer_id TEXT,"
          " agent_id TEXT, data JSONB NOT NULL DEFAULT '{}'::jsonb);"
          "CREATE INDEX idx_" +
          each.collection + "_creation_utc ON " + t + " (creation_utc)");
      for (const auto& column : each.id_columns)
        database.exec("CREATE INDEX idx_" + each.collection + "_" + column + " ON " + t + " (" + column + ") WHERE " +
                      column + " IS NOT NULL");
      if (each.has_index_on_data)
        database.exec("SET client_min_messages = error; CREATE INDEX idx_" + each.collection + "_data_gin ON " + t +
                      " USING GIN (data)");
      database.exec("INSERT INTO " + t + R"sql( VALUES
        ('whole', '0.1', '2026-02', 's1', 'c1', 'a1', '{"id": "whole", "version": "0.1", "creation_utc": "2026-02",
          "session_id": "s1", "customer_id": "c1", "agent_id": "a1", "k": 1.0}'),
        ('bare', '0.1', '2026-01', 's2', NULL, NULL, '{"k": 1}'),
        ('empty', NULL, NULL, NULL, NULL, NULL, '{}'),
        ('Other', '0.2', '2026-03', NULL, 'c9', NULL, '{"id": "else", "customer_id": "c1", "creation_utc": "2026-04"}'))sql");
    }
    database.exec("ALTER TABLE " + t + " ENABLE ROW LEVEL SECURITY; CREATE POLICY \"Allow all operations on " + t +
                  "\" ON " + t + " FOR ALL USING (true) WITH CHECK (true); ALTER TABLE " + t +
                  " OWNER TO colloquy_owner");
  }
}

} // namespace

TEST_CASE("the stores' tables have the names that users know") {
  const document_tables tables(all_prefixes());
  std::string names;
  for (const auto& each : tables.all())
    names += each.table + " ";
  CHECK(names ==
        "parlant_sessions_ parlant_sessions__failed_migrations parlant_sessions_metadata parlant_sessions_events"
        " parlant_sessions_events_failed_migrations parlant_customers_ parlant_customers__failed_migrations"
        " parlant_customers_metadata parlant_customers_customer_tag_associations"
        " parlant_customers_customer_tag_associations_failed_migrations parlant_context_variables_"
        " parlant_context_variables__failed_migrations parlant_context_variables_metadata"
        " parlant_context_variables_variable_tag_associations"
        " parlant_context_variables_variable_tag_associations_failed_migr parlant_context_variables_values"
        " parlant_context_variables_values_failed_migrations ");
  CHECK(*tables.find("parlant_sessions_events") == "parlant_sessions_events");
  CHECK(tables.find("parlant_sessions_events_failed_migrations") == nullptr);
  CHECK(tables.find("Parlant_sessions_events") == nullptr);
  CHECK(document_tables().find("parlant_sessions_events") == nullptr);
}

TEST_CASE("what is missing is made: 17 tables and 27 indexes beside the keys; once more changes nothing") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  const auto missing = find_missing_of_store_tables(database.service_conninfo(), "public", tables);
  CHECK(missing->size() == 17);
  CHECK(missing->front() == "table parlant_sessions_");
  CHECK(adopt(database, tables).size() == 17);
  CHECK(database.value("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'parlant%'") == "17");
  CHECK(database.value("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_parlant%'") == "27");
  CHECK(database.value(
            "SELECT count(*) FROM pg_policies WHERE tablename LIKE 'parlant%' AND policyname LIKE 'Allow%'") == "0");
  CHECK(find_missing_of_store_tables(database.service_conninfo(), "public", tables)->empty());
  const auto shape = shape_of(database);
  CHECK(adopt(database, tables).empty());
  CHECK(shape_of(database) == shape);

  auto printed = test_database::make();
  test_connection owner(printed.owner_conninfo());
  for (int i = 0; i < 2; ++i)
    owner.exec("SET client_min_messages = error;" + print_adoption_sql("public", tables));
  CHECK(shape_of(printed) == shape);
}

TEST_CASE("tables with the longest prefix have different indexes") {
  auto database = test_database::make();
  config::settings settings;
  settings.context_variables_table_prefix = std::string(37, 'p');
  const document_tables tables(settings);
  adopt(database, tables);
  CHECK(find_missing_of_store_tables(database.owner_conninfo(), "public", tables)->empty());
  CHECK(database.value("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_pppp%'") == "10");
  const auto shape = shape_of(database);
  CHECK(adopt(database, tables).empty());
  CHECK(shape_of(database) == shape);
}

TEST_CASE("a database made by hand is adopted, and every document is found") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  database.exec("GRANT ALL ON parlant_sessions_ TO PUBLIC");
  CHECK(!find_missing_of_store_tables(database.owner_conninfo(), "public", tables)->empty());
  CHECK(adopt(database, tables).size() == 17);
  CHECK(find_missing_of_store_tables(database.owner_conninfo(), "public", tables)->empty());
  CHECK(database.value("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_parlant%'") == "27");
  CHECK(database.value("SELECT stored_bytes FROM tenants WHERE tenant_id = 'default'") ==
        database.value("SELECT 10 * sum(bytes) FROM parlant_sessions_"));
  document_store store(std::move(database), tables);
  store.tenant = tenant_id::parse("default").value();
  for (const auto& each : tables.all()) {
    if (!each.holds_documents)
      continue;
    INFO(each.table);
    store.collection = each.collection;
    CHECK(
        store.find(store.query("{}"))->documents ==
        std::vector<std::string>{
            R"({"id": "empty", "version": null, "creation_utc": null})",
            R"({"k": 1, "id": "bare", "version": "0.1", "session_id": "s2", "creation_utc": "2026-01"})",
            R"({"k": 1.0, "id": "whole", "version": "0.1", "agent_id": "a1", "session_id": "s1", "customer_id": "c1", "creation_utc": "2026-02"})",
            R"({"id": "Other", "version": "0.2", "customer_id": "c1", "creation_utc": "2026-04"})"});
    CHECK(store.found("{}") == "empty bare whole Other");
    CHECK(store.found(R"({"k": {"$eq": 1}})") == "bare whole");
    CHECK(store.found(R"({"session_id": {"$eq": "s2"}})") == "bare");
    CHECK(store.found(R"({"customer_id": {"$eq": "c1"}})") == "whole Other");
    CHECK(store.found(R"({"creation_utc": {"$gt": "2026-03"}})") == "Other");
    CHECK(store.found(R"({"version": {"$eq": null}})") == "empty");
    for (const std::string id : {"whole", "bare", "empty", "Other"})
      CHECK(store.found("{\"id\": {\"$eq\": \"" + id + "\"}}") == id);
    CHECK(store.terms_fit(each.table));
    store.tenant = tenant_id::parse("acme").value();
    CHECK(store.found("{}") == "");
    store.fill({document_of("whole", R"("customer_id": "ada")")});
    CHECK(store.found("{}") == "whole");
    store.tenant = tenant_id::parse("default").value();
    CHECK(store.found(R"({"id": {"$eq": "whole"}, "customer_id": {"$eq": "c1"}})") == "whole");
  }
  CHECK(store.count("documents") == "0");
  CHECK(store.count("parlant_sessions__failed_migrations", "data = '{\"id\": \"f\"}' AND tenant_id = 'default'") ==
        "1");
}

TEST_CASE("a store in adopted tables has the version that is recorded there, and what could not be converted") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  database.exec("DELETE FROM parlant_customers_metadata; DELETE FROM parlant_sessions_metadata; INSERT INTO"
                " parlant_customers_metadata (id, version, creation_utc) VALUES ('old', '0.0.9', '2025'),"
                " ('m', '0.1.0', '2026')");
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.tenant = tenant_id::parse("default").value();
  const auto open = [&](const std::string& name, std::vector<std::string> collections) {
    return decode_store(
        store.run(open_store_unit(tables, {store.tenant, name, "0.2.0", false, {}, std::move(collections)})));
  };
  const auto customers = open("customers", {"parlant_customers_", "parlant_customers_customer_tag_associations"});
  REQUIRE(customers);
  CHECK(customers->was_made);
  CHECK(customers->version == "0.1.0");
  CHECK(customers->bytes == 2 * 50);
  CHECK(open("customers", {})->bytes == 0);
  CHECK(open("parlant_sessions_", {})->version == "0.2.0"); // nothing is recorded
  const list_failed_migrations wanted{store.tenant, "customers"};
  const auto failed = decode_failed_page(wanted, store.run(list_failed_unit(wanted).value()));
  REQUIRE(failed);
  REQUIRE(failed->items.size() == 2);
  CHECK(failed->items.at(0).collection == "parlant_customers_");
  CHECK(failed->items.at(1).collection == "parlant_customers_customer_tag_associations");
  // As a document that was adopted, so that it can be converted.
  CHECK(failed->items.at(0).document == R"({"id": "f", "version": null, "creation_utc": null})");
  CHECK(store.count("parlant_customers__failed_migrations") == "1"); // it is left as it is
  store.tenant = tenant_id::parse("acme").value();
  CHECK(open("customers", {"parlant_customers_"})->version == "0.2.0");
}

TEST_CASE("what could not be converted and is no object is kept whole in a document") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  database.exec("UPDATE parlant_customers__failed_migrations SET data = '[1]'");
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.tenant = tenant_id::parse("default").value();
  REQUIRE(decode_store(store.run(open_store_unit(
      tables, {store.tenant, "customers", "1", false, {}, std::vector<std::string>{"parlant_customers_"}}))));
  const list_failed_migrations wanted{store.tenant, "customers"};
  const auto failed = decode_failed_page(wanted, store.run(list_failed_unit(wanted).value()));
  REQUIRE(failed);
  CHECK(failed->items.at(0).document == R"({"id": "f", "data": [1], "version": null, "creation_utc": null})");
}

TEST_CASE("adopted documents whose creation time is no text are paged like all others") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  database.exec("INSERT INTO parlant_customers_ (id, data) VALUES ('n1', '{\"creation_utc\": 17}'),"
                " ('n2', '{\"creation_utc\": {}}')");
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.tenant = tenant_id::parse("default").value();
  store.collection = "parlant_customers_";
  for (const bool is_descending : {false, true}) {
    auto wanted = store.query("{}");
    wanted.order.is_descending = is_descending;
    wanted.limit = 1;
    std::vector<std::string> ids;
    for (std::string next = " "; !next.empty();) {
      const auto page = store.find(wanted);
      REQUIRE(page);
      REQUIRE(page->documents.size() == 1);
      ids.push_back(store.ids(*page));
      wanted.cursor = next = page->next_cursor;
    }
    std::sort(ids.begin(), ids.end());
    CHECK(ids == std::vector<std::string>{"Other", "bare", "empty", "n1", "n2", "whole"});
  }
}

TEST_CASE("a table of documents cannot be truncated past what is kept beside it") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  adopt(database, tables);
  test_connection other(database.owner_conninfo());
  CHECK_THROWS_WITH(other.exec("TRUNCATE parlant_customers_"), ContainsSubstring("cannot be truncated"));
  CHECK(database.value("SELECT count(*) FROM parlant_customers_") == "4");
}

TEST_CASE("a prefix by which two tables would be one, or one of Colloquy's own, is refused") {
  auto database = test_database::make();
  const auto refused = [&](const char* sessions, const char* customers) {
    config::settings settings;
    settings.sessions_table_prefix = sessions;
    settings.customers_table_prefix = customers;
    const auto adopted = adopt_store_tables(database.owner_conninfo(), "public", document_tables(settings));
    return adopted ? "" : adopted.failure().message;
  };
  CHECK_THAT(refused("s_", "documents"), ContainsSubstring("\"documents\"") && ContainsSubstring("Colloquy's own"));
  CHECK_THAT(refused("sessions", "c_"), ContainsSubstring("\"sessions\"") && ContainsSubstring("Colloquy's own"));
  CHECK_THAT(refused("x_", "x_"), ContainsSubstring("two collections"));
  CHECK_THAT(refused("ev", "evevents"), ContainsSubstring("two collections"));
  CHECK(database.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'x\\_%' OR relname LIKE 'ev%metadata'") ==
        "0");
  // All tables there are without a prefix.
  for (const auto& row : database.exec("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND"
                                       " relnamespace = 'public'::regnamespace"))
    CHECK_THAT(refused("s_", row.front().c_str()), ContainsSubstring("Colloquy's own"));
  CHECK(refused("s_", "c_").empty());
}

TEST_CASE("a converter takes out and renames the fields that have columns of their own") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.collection = "parlant_sessions_";
  const std::string before =
      R"({"id": "a", "version": "1", "agent_id": "x", "session_id": "s", "customer_id": "c", "creation_utc": null})";
  store.fill({before});
  const store_place place{store.tenant, "s"};
  REQUIRE(decode_store(store.run(open_store_unit(tables, {store.tenant, "s", "1", true, {}, {store.collection}}))));
  REQUIRE(decode_begun(store.run(begin_migration_unit(place, {"1", std::nullopt, {store.collection}}, "2"))).value());
  const auto stored = store.find(store.query("{}"))->documents.at(0);
  const std::string after = R"({"id": "a", "version": "2", "agent_id": "c", "creation_utc": null})";
  const auto done = decode_converted(
      store.run(write_converted_unit(tables, place, store.collection, "2", {{"a", stored, after, ""}})));
  REQUIRE(done);
  CHECK(done->migrated == 1);
  CHECK(store.find(store.query("{}"))->documents.at(0) == after);
  CHECK(store.found(R"({"session_id": {"$eq": "s"}})") == "");
  CHECK(store.found(R"({"customer_id": {"$eq": "c"}})") == "");
  CHECK(store.found(R"({"agent_id": {"$eq": "c"}})") == "a");
  CHECK(store.count("parlant_sessions_", "session_id IS NULL AND customer_id IS NULL AND agent_id = 'c'") == "1");
  CHECK(store.terms_fit("parlant_sessions_"));
  // Another program may keep it in the column alone.
  store.database.exec("UPDATE parlant_sessions_ SET data = data - 'agent_id'");
  CHECK(store.found(R"({"agent_id": {"$eq": "c"}})") == "a");
}

TEST_CASE("documents in a table of their own are written as others are") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.collection = "parlant_sessions_events";
  store.fill(
      {document_of("b", R"("customer_id": "ada", "k": 1)"), document_of("a", R"("customer_id": "bob", "k": 1)")});
  CHECK(code_of(store.insert({document_of("b")})) == "conflict");
  CHECK(store.update(R"({"k": {"$eq": 1}})", R"({"k": 2, "id": "z"})")->reply.modified == 1);
  CHECK(store.found(R"({"k": {"$eq": 2}})") == "z");
  CHECK(code_of(store.update(R"({"id": {"$eq": "z"}})", R"({"id": "b"})")) == "conflict");
  auto upsert = store.change(R"({"k": {"$eq": 7}})", document_of("new", R"("k": 7)"));
  upsert.is_upsert = true;
  CHECK(store.upsert(upsert)->reply.document);
  CHECK(store.upsert(upsert)->reply.matched == 1);
  auto wanted = store.query("{}");
  wanted.as_user = "ada";
  CHECK(store.ids(*store.find(wanted)) == "b");
  CHECK(store.terms_fit("parlant_sessions_events"));
  CHECK(store.id_of(*store.remove(R"({"k": {"$eq": 7}})")->reply.document) == "new");
  CHECK(store.collections() == "parlant_sessions_events");
  CHECK(store.drop()->documents == 2);
  CHECK(store.count("document_terms") == "0");
}

TEST_CASE("what another program writes into such a table is found by all of its fields") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  adopt(database, tables);
  document_store store(std::move(database), tables);
  store.tenant = tenant_id::parse("default").value();
  store.collection = "parlant_customers_";
  const auto& db = store.database;
  db.exec("INSERT INTO parlant_customers_ (id, version, customer_id, data) VALUES ('n', '7', 'c1', '{\"x\": 1}')");
  CHECK(store.found(R"({"version": {"$eq": "7"}, "x": {"$eq": 1}, "customer_id": {"$eq": "c1"}})") == "n");
  db.exec("UPDATE parlant_customers_ SET version = '8', creation_utc = '2026'");
  CHECK(store.found(R"({"version": {"$eq": "8"}, "creation_utc": {"$eq": "2026"}})") == "n");
  db.exec("UPDATE parlant_customers_ SET version = '9', customer_id = NULL, data = data || '{\"version\": \"9\", "
          "\"x\": 2}'");
  CHECK(store.found(R"({"version": {"$eq": "9"}, "x": {"$eq": 2}, "customer_id": {"$ne": "c1"}})") == "n");
  db.exec("UPDATE parlant_customers_ SET id = 'm'");
  CHECK(store.found(R"({"x": {"$eq": 2}})") == "m");
  CHECK(store.terms_fit("parlant_customers_"));
  CHECK_THROWS(db.exec("INSERT INTO parlant_customers_ (id, data) VALUES ('l', '[]')"));
}

TEST_CASE("two programs that adopt at once do it once") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  make_by_hand(database, tables);
  std::size_t one = 0, two = 0;
  std::thread other([&] { one = adopt_store_tables(database.owner_conninfo(), "public", tables).value().size(); });
  two = adopt(database, tables).size();
  other.join();
  CHECK(one + two == 17);
  CHECK(std::max(one, two) == 17);
  CHECK(database.value("SELECT count(*) FROM parlant_sessions_") == "4");
}

TEST_CASE("what has been taken away from a table is named, and made again") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  adopt(database, tables);
  database.exec("DROP INDEX idx_parlant_sessions__customer_id; DROP TRIGGER documents_updated ON parlant_customers_;"
                "DROP TRIGGER documents_truncated ON parlant_customers_;"
                "ALTER TABLE parlant_sessions_events NO FORCE ROW LEVEL SECURITY;"
                "CREATE POLICY mine ON parlant_sessions_metadata USING (true);"
                "ALTER POLICY documents_of_tenants ON parlant_sessions__failed_migrations USING (true);"
                "REVOKE DELETE ON parlant_context_variables_ FROM colloquy_service;"
                "DROP TABLE parlant_context_variables_values");
  auto missing = *find_missing_of_store_tables(database.owner_conninfo(), "public", tables);
  std::sort(missing.begin(), missing.end());
  CHECK(missing ==
        std::vector<std::string>{
            "forced row level security of parlant_sessions_events",
            "grants on parlant_context_variables_ to colloquy_service",
            "index on (tenant_id collection_id customer_id sort_key id) of parlant_sessions_",
            "policy documents_of_tenants on parlant_sessions__failed_migrations",
            "table parlant_context_variables_values", "the taking away of policy mine on parlant_sessions_metadata",
            "trigger documents_truncated on parlant_customers_", "trigger documents_updated on parlant_customers_"});
  CHECK(adopt(database, tables).size() == 7);
  CHECK(find_missing_of_store_tables(database.owner_conninfo(), "public", tables)->empty());
}

TEST_CASE("doctor names what a database lacks of the stores' tables") {
  auto database = test_database::make();
  const document_tables tables(all_prefixes());
  doctor::session connection(database.service_conninfo(), doctor::in(std::chrono::seconds{20}));
  const auto look = [&] {
    return doctor::look_at_schema(connection, database.service_conninfo(), "public", std::chrono::seconds{20}, tables)
        .missing;
  };
  CHECK(look().size() == 17);
  adopt(database, tables);
  CHECK(look().empty());
  database.exec("DROP TRIGGER documents_deleted ON parlant_sessions_");
  CHECK(look() == std::vector<std::string>{"trigger documents_deleted on parlant_sessions_"});
  adopt(database, tables);
  CHECK(look().empty());
}
