// What the migrated schema promises whoever works in it: two walls between tenants, and a schema that explains itself.
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"

using namespace colloquy::test;

namespace {

constexpr const char* denied = "42501"; // insufficient_privilege, which a row policy's refusal is too

std::string insert_session(const std::string& tenant, const std::string& id_end, const std::string& more = "NULL") {
  const auto id = "'00000000-0000-7000-8000-0000000000" + id_end + "'";
  return "INSERT INTO sessions (tenant_id, id, log_id, user_id, expires_at) VALUES ('" + tenant + "', " + id + ", " +
         id + ", 'user', " + more + ")";
}

std::string insert_event(const std::string& tenant, int offset = 0) {
  return "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, data, messages) VALUES ('" + tenant +
         "', '00000000-0000-7000-8000-000000000001', " + std::to_string(offset) + ", now(), 'custom', '{}', 0)";
}

std::string insert_turn(const std::string& tenant) {
  return "INSERT INTO turns (tenant_id, session_id, number, id, status, started_at) VALUES ('" + tenant +
         "', gen_random_uuid(), 1, gen_random_uuid(), 'running', now())";
}

/// A migrated database in which the tenants a, b and c have a session, an event and a turn each.
test_database three_tenants() {
  auto database = test_database::make();
  for (const std::string tenant : {"a", "b", "c"})
    database.exec(insert_session(tenant, "0" + tenant) + ";" + insert_event(tenant) + ";" + insert_turn(tenant));
  return database;
}

test_connection connect_as(const test_database& database, const std::string& role) {
  test_connection connection(database.service_conninfo());
  connection.exec("SET ROLE " + role);
  return connection;
}

void begin_for(test_connection& connection, const std::string& tenants) {
  connection.exec("BEGIN; SELECT set_config('colloquy.tenants', '" + tenants + "', true)");
}

// The statement alone in a transaction of those tenants, which is then undone.
std::string sqlstate_for(test_connection& connection, const std::string& tenants, const std::string& sql) {
  begin_for(connection, tenants);
  auto state = connection.sqlstate_of(sql);
  connection.exec("ROLLBACK");
  return state;
}

std::string tenants_seen(test_connection& connection, const std::string& table) {
  return connection.value("SELECT coalesce(string_agg(DISTINCT tenant_id, ',' ORDER BY tenant_id), '') FROM " + table);
}

// The objects of the schema for which the condition holds, one a line: an empty answer names nobody to blame.
std::string offenders(const test_database& database, const std::string& sql) {
  std::string out;
  for (const auto& row : database.exec(sql))
    out += row.front() + "\n";
  return out;
}

} // namespace

TEST_CASE("every table has row level security, enabled and forced", "[schema]") {
  auto database = test_database::make();
  CHECK(database.value("SELECT count(*) >= 5 FROM pg_tables WHERE schemaname = 'public'") == "t");
  CHECK(offenders(database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                            " AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)") == "");
  CHECK(offenders(database,
                  "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
                  " AND relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)") == "");
  CHECK(offenders(database,
                  "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                  " AND relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)") == "");
}

TEST_CASE("a tenant's data is keyed by the tenant first", "[schema]") {
  auto database = test_database::make();
  CHECK(offenders(database, R"sql(
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indkey[0] = a.attnum)
    )sql") == "");
  CHECK(database.value("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'"
                       " AND column_name = 'tenant_id' AND table_name IN ('sessions', 'events', 'turns')") == "3");
}

TEST_CASE("the service's roles own nothing, and nobody else has a right", "[schema]") {
  auto database = test_database::make();
  CHECK(database.value("SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                       " WHERE r.rolname IN ('colloquy', 'colloquy_service', 'colloquy_system')") == "0");
  CHECK(database.value("SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'") ==
        "colloquy_owner");
  CHECK(offenders(database, R"sql(
    SELECT c.relname || ': ' || a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner
       AND (a.grantee NOT IN ('colloquy_service'::regrole, 'colloquy_system'::regrole) OR a.is_grantable
            OR a.privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES'))
    )sql") == "");
  // No privileges written down means the default, which lets everybody execute.
  CHECK(offenders(database, R"sql(
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace
       AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) OR p.prosecdef)
    )sql") == "");
}

TEST_CASE("every table, column, view and function says what it is", "[schema]") {
  auto database = test_database::make();
  CHECK(offenders(database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                            " AND relkind IN ('r', 'p', 'v') AND obj_description(oid, 'pg_class') IS NULL") == "");
  CHECK(offenders(database,
                  "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                  " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
                  " AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL") == "");
  CHECK(offenders(database, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                            " AND obj_description(oid, 'pg_proc') IS NULL") == "");
}

TEST_CASE("the indexes that the queries count on are there by name", "[schema]") {
  auto database = test_database::make();
  for (const std::string name : {"idx_sessions_external_id", "idx_sessions_user_id", "idx_sessions_status",
                                 "idx_sessions_created_at", "idx_sessions_expires_at", "idx_sessions_user_status"})
    CHECK(database.value("SELECT tablename FROM pg_indexes WHERE schemaname = 'public' AND indexname = '" + name +
                         "'") == "sessions");
  CHECK(database.value("SELECT indisunique FROM pg_index WHERE indexrelid = 'idx_sessions_external_id'::regclass") ==
        "t");
}

TEST_CASE("the login of the service sees nothing before it takes a role", "[schema]") {
  auto database = three_tenants();
  test_connection login(database.service_conninfo());
  login.exec("SET colloquy.tenants = 'a'");
  for (const std::string table : {"sessions", "events", "turns", "writers", "conversations"})
    CHECK(login.sqlstate_of("SELECT * FROM " + table) == denied);
  CHECK(login.sqlstate_of("SELECT cleanup_expired_sessions(gen_random_uuid(), now(), '{}', '{}')") == denied);
  CHECK(login.sqlstate_of("CREATE TABLE mine (id int)") == denied);
}

TEST_CASE("the service sees the rows of the tenants that its transaction has set, and no others", "[schema]") {
  auto database = three_tenants();
  auto service = connect_as(database, "colloquy_service");
  for (const std::string table : {"sessions", "events", "turns", "conversations"}) {
    INFO(table);
    CHECK(tenants_seen(service, table) == "");
    for (const std::string tenants : {"", "a", "a,c", "b,nobody", "A", "a%", "*"}) {
      begin_for(service, tenants);
      const auto expected = tenants == "b,nobody" ? "b" : tenants == "a" || tenants == "a,c" ? tenants : "";
      CHECK(tenants_seen(service, table) == expected);
      service.exec("COMMIT");
      CHECK(tenants_seen(service, table) == "");
    }
  }
}

TEST_CASE("what sets tenants for a transaction leaves nothing when there is none, or when it is over", "[schema]") {
  auto database = three_tenants();
  auto service = connect_as(database, "colloquy_service");
  service.exec("SELECT set_config('colloquy.tenants', 'a', true)");
  CHECK(tenants_seen(service, "sessions") == "");
  service.exec("SET LOCAL colloquy.tenants = 'a'");
  CHECK(tenants_seen(service, "sessions") == "");
  begin_for(service, "a");
  service.exec("ROLLBACK");
  CHECK(tenants_seen(service, "sessions") == "");
  begin_for(service, "a");
  service.exec("SAVEPOINT s; SELECT set_config('colloquy.tenants', 'b', true); ROLLBACK TO s");
  CHECK(tenants_seen(service, "sessions") == "a");
  service.exec("COMMIT");
}

TEST_CASE("a prepared statement sees the tenants of the transaction that runs it, not of the one before", "[schema]") {
  auto database = three_tenants();
  auto service = connect_as(database, "colloquy_service");
  service.exec(
      "SET plan_cache_mode = force_generic_plan; PREPARE seen AS SELECT string_agg(tenant_id, ',') FROM events");
  for (const std::string tenant : {"a", "b", "", "c"}) {
    begin_for(service, tenant);
    CHECK(service.value("EXECUTE seen") == tenant);
    service.exec("COMMIT");
  }
}

TEST_CASE("the service writes rows of its transaction's tenants only", "[schema]") {
  auto database = three_tenants();
  auto service = connect_as(database, "colloquy_service");
  CHECK(sqlstate_for(service, "a", insert_session("a", "11")) == "");
  CHECK(sqlstate_for(service, "a", insert_event("a", 1)) == "");
  CHECK(sqlstate_for(service, "a", insert_turn("a")) == "");
  CHECK(sqlstate_for(service, "a,c", insert_event("b", 1)) == denied);
  CHECK(sqlstate_for(service, "a", insert_session("b", "11")) == denied);
  CHECK(sqlstate_for(service, "a", insert_turn("b")) == denied);
  CHECK(sqlstate_for(service, "", insert_event("a", 1)) == denied);
  CHECK(sqlstate_for(service, "a", "UPDATE sessions SET tenant_id = 'b'") == denied);
  begin_for(service, "a");
  CHECK(service.value("WITH changed AS (UPDATE sessions SET title = 'x' RETURNING tenant_id)"
                      " SELECT string_agg(tenant_id, ',') FROM changed") == "a");
  service.exec("COMMIT");
}

TEST_CASE("a log can only be added to", "[schema]") {
  auto database = three_tenants();
  auto service = connect_as(database, "colloquy_service");
  for (const std::string sql :
       {"UPDATE events SET data = '[]'", "DELETE FROM events", "TRUNCATE events", "DELETE FROM turns",
        "TRUNCATE sessions", "ALTER TABLE events DISABLE ROW LEVEL SECURITY", "DROP TABLE events",
        "CREATE POLICY all_of_it ON events USING (true)", "CREATE TABLE public.mine (id int)"})
    CHECK(sqlstate_for(service, "a", sql) == denied);
  CHECK(sqlstate_for(service, "a", insert_event("a")) == "23505");
}

TEST_CASE("what sessions have beside them keeps to its tenant as well", "[schema]") {
  auto database = test_database::make();
  const auto insert = [](const std::string& table, const std::string& tenant) {
    const std::string values =
        table == "logs"           ? "(tenant_id, id) VALUES ('" + tenant + "', "
        : table == "participants" ? "(tenant_id, user_id, role, session_id) VALUES ('" + tenant + "', 'bob', 'reader', "
        : table == "erasures"
            ? "(tenant_id, user_id, log_id, session_id) VALUES ('" + tenant + "', 'ada', gen_random_uuid(), "
            : "(tenant_id, scope, key, fingerprint, created_at, session_id)"
              " VALUES ('" +
                  tenant + "', 'append', 'k', '', now(), ";
    return "INSERT INTO " + table + " " + values + "gen_random_uuid())";
  };
  auto service = connect_as(database, "colloquy_service");
  auto system = connect_as(database, "colloquy_system");
  test_connection owner(database.owner_conninfo());
  owner.exec("SET colloquy.tenants = 'a,b'");
  for (const std::string table : {"logs", "participants", "idempotency_keys", "erasures"}) {
    for (const std::string tenant : {"a", "b"})
      database.exec(insert(table, tenant));
    CHECK(sqlstate_for(service, "a", insert(table, "a")) == "");
    CHECK(sqlstate_for(service, "a", insert(table, "b")) == denied);
    CHECK(sqlstate_for(service, "", insert(table, "a")) == denied);
    CHECK(tenants_seen(owner, table) == "");
    CHECK(tenants_seen(system, table) == "a,b");
    begin_for(service, "a");
    if (table == "erasures") // what is being erased nobody but the system has to do with
      CHECK(service.sqlstate_of("SELECT tenant_id FROM erasures") == denied);
    else
      CHECK(tenants_seen(service, table) == "a");
    service.exec("ROLLBACK");
  }
}

TEST_CASE("the owner itself sees no tenant's row", "[schema]") {
  auto database = three_tenants();
  test_connection owner(database.owner_conninfo());
  owner.exec("SET colloquy.tenants = 'a,b,c'");
  for (const std::string table : {"sessions", "events", "turns"})
    CHECK(tenants_seen(owner, table) == "");
}

TEST_CASE("the system role sees all sessions' lives and nothing of what they say", "[schema]") {
  auto database = three_tenants();
  auto system = connect_as(database, "colloquy_system");
  CHECK(tenants_seen(system, "sessions") == "a,b,c");
  for (const std::string sql :
       {"SELECT title FROM sessions", "SELECT * FROM events", "SELECT data FROM events", "SELECT * FROM turns",
        "SELECT * FROM idempotency_keys", "SELECT * FROM conversations", "UPDATE events SET data = ''",
        "UPDATE sessions SET title = 'x'", "DELETE FROM sessions"})
    CHECK(system.sqlstate_of(sql) == denied);
}

TEST_CASE("a change of a session's row stamps when it was", "[schema]") {
  auto database = test_database::make();
  database.exec(insert_session("a", "01") + "; ALTER TABLE sessions DISABLE TRIGGER sessions_updated_at;"
                                            " UPDATE sessions SET updated_at = '2020-01-01Z';"
                                            " ALTER TABLE sessions ENABLE TRIGGER sessions_updated_at");
  auto service = connect_as(database, "colloquy_service");
  begin_for(service, "a");
  CHECK(service.value("UPDATE sessions SET title = 'x' RETURNING updated_at > now() - interval '1 minute'") == "t");
}

TEST_CASE("a session's external id is its tenant's own, and free only once", "[schema]") {
  auto database = test_database::make();
  database.exec(insert_session("a", "01") + ";" + insert_session("a", "02") + ";" + insert_session("b", "03"));
  database.exec("UPDATE sessions SET external_id = 'same' WHERE right(id::text, 1) IN ('1', '3')");
  CHECK_THROWS_AS(database.exec("UPDATE sessions SET external_id = 'same' WHERE right(id::text, 1) = '2'"), sql_error);
}
