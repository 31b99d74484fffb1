// What a tenant's SQL tries against others and against its own limits. Judged by the state of the database, not by
// replies.
#include "tests/actors/database_sessions_fixture.hpp"
#include "tests/support/eventually.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Everything in the database that SQL could have changed, as one text: definitions and rows, but for what the server
/// counts by itself.
std::string state_of(const test_database& database) {
  test_connection connection(database.superuser_conninfo());
  std::string state;
  for (const auto& query : {
           std::string("SELECT n.nspname, c.relname, c.relkind, c.relacl FROM pg_class c JOIN pg_namespace n ON n.oid ="
                       " c.relnamespace WHERE n.nspname !~ '^pg_(toast|temp)' ORDER BY 1, 2"),
           std::string("SELECT proname, prosrc, proacl, proowner FROM pg_proc ORDER BY oid"),
           std::string("SELECT oid, lomowner FROM pg_largeobject_metadata ORDER BY 1"),
           std::string("SELECT loid, count(*) FROM pg_largeobject GROUP BY 1 ORDER BY 1"),
           std::string("SELECT rolname, rolsuper, rolcreaterole, rolinherit, rolcanlogin, rolconfig, rolvaliduntil,"
                       " rolconnlimit FROM pg_roles ORDER BY 1"),
           std::string("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"),
           std::string("SELECT roleid, member, admin_option FROM pg_auth_members ORDER BY 1, 2"),
           std::string("SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2"),
           std::string("SELECT datname, datacl FROM pg_database WHERE datname = current_database()"),
           std::string("SELECT nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' ORDER BY 1"),
           std::string("SELECT defaclrole, defaclobjtype, defaclacl FROM pg_default_acl ORDER BY 1, 2"),
           std::string("SELECT extname FROM pg_extension ORDER BY 1"),
           std::string("SELECT tgname FROM pg_trigger ORDER BY oid"),
           std::string("SELECT evtname FROM pg_event_trigger ORDER BY 1"),
           std::string("SELECT count(*) FROM pg_description"),
           std::string("SELECT gid FROM pg_prepared_xacts"),
           std::string("SELECT slot_name FROM pg_replication_slots"),
           std::string("SELECT * FROM sessions ORDER BY id"),
           std::string("SELECT * FROM database_roles ORDER BY 1, 2"),
       }) {
    for (const auto& row : connection.exec(query))
      for (const auto& each : row)
        state += each + "|";
    state += "\n";
  }
  const std::string own = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"
                          " ON n.oid = c.relnamespace WHERE n.nspname ~ '^cqt_' AND c.relkind = ";
  for (const auto& row : connection.exec(own + "'r' ORDER BY 1"))
    for (const auto& found : connection.exec("SELECT t::text FROM " + row.front() + " AS t ORDER BY 1"))
      state += row.front() + ": " + found.front() + "\n";
  for (const auto& row : connection.exec(own + "'S' ORDER BY 1"))
    state += row.front() + ": " + connection.value("SELECT concat(last_value, is_called) FROM " + row.front()) + "\n";
  return state;
}

void insert_sessions(const test_database& database) {
  database.exec("INSERT INTO sessions (tenant_id, id, log_id, user_id, title) SELECT t, gen_random_uuid(),"
                " gen_random_uuid(), 'u', 'of ' || t FROM unnest(ARRAY['acme', 'beta']) AS t;"
                "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, data, messages)"
                " SELECT tenant_id, log_id, 0, now(), 'custom', '\"of ' || tenant_id || '\"', 0 FROM sessions");
}

std::string all_of(const result<sql_outcome>& outcome) {
  std::string text;
  if (!outcome)
    return outcome.failure().message;
  if (outcome->refused)
    return outcome->refused->message + outcome->refused->detail + outcome->refused->hint;
  for (const auto& row : outcome->rows)
    for (const auto& value : row)
      text += value.value_or("null") + "|";
  return text;
}

} // namespace

TEST_CASE("nothing that a session which only reads tries changes the database", "[database_attacks]") {
  test_database_sessions sessions;
  insert_sessions(sessions.database());
  const auto writer = sessions.open("acme");
  REQUIRE(sessions.value("acme", writer, "CREATE TABLE t (id serial, text text)") == "");
  REQUIRE(sessions.value("acme", writer, "INSERT INTO t (text) VALUES ('a')") == "");
  REQUIRE(sessions.value("acme", writer,
                         "CREATE FUNCTION write() RETURNS int LANGUAGE sql SECURITY DEFINER AS"
                         " $$ INSERT INTO t (text) VALUES ('by a function') RETURNING id $$") == "");
  REQUIRE(sessions.close("acme", writer));
  const auto first = sessions.open("acme", database_access::read_only);
  REQUIRE(sessions.value("acme", first, "SELECT text FROM t") == "a");
  const auto writing_role = sessions.database().value("SELECT role_name FROM database_roles WHERE tenant_id = 'acme'"
                                                      " AND access = 'read_write'");
  const auto before = state_of(sessions.database());
  const std::vector<std::vector<std::string>> attacks{
      {"SELECT 1; DROP TABLE t"},
      {"COMMIT; CREATE TABLE x (a int)"},
      {"BEGIN", "COMMIT", "CREATE TABLE x (a int)"},
      {"SET default_transaction_read_only = off", "INSERT INTO t (text) VALUES ('b')", "DELETE FROM t",
       "UPDATE t SET text = 'b'", "TRUNCATE t", "DROP TABLE t"},
      {"BEGIN READ WRITE", "INSERT INTO t (text) VALUES ('b')", "ROLLBACK"},
      {"SET transaction_read_only = off"},
      {"WITH x AS (INSERT INTO t (text) VALUES ('b') RETURNING id) SELECT * FROM x"},
      {"SET default_transaction_read_only = off", "WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x"},
      {"EXPLAIN ANALYZE DELETE FROM t"},
      {"SET default_transaction_read_only = off", "EXPLAIN ANALYZE DELETE FROM t",
       "EXPLAIN (ANALYZE) INSERT INTO t VALUES (9)"},
      {"SET default_transaction_read_only = off", "PREPARE p AS DELETE FROM t", "EXECUTE p"},
      {"SET default_transaction_read_only = off", "SELECT nextval('t_id_seq')", "SELECT setval('t_id_seq', 100)"},
      {"SET default_transaction_read_only = off", "SELECT write()", "SELECT public.write()"},
      {"SET default_transaction_read_only = off", "SELECT * INTO x FROM t", "SELECT * INTO TEMP x FROM t"},
      {"COPY t TO PROGRAM 'touch /tmp/x'", "COPY t TO '/tmp/x'", "COPY t FROM '/etc/passwd'", "COPY t FROM STDIN",
       "COPY (DELETE FROM t RETURNING id) TO STDOUT"},
      {"SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT pg_stat_file('/etc/passwd')",
       "SELECT pg_read_binary_file('/etc/passwd')", "SELECT pg_file_write('x', 'y', false)"},
      {"SET default_transaction_read_only = off", "SELECT lo_create(4711)", "SELECT lo_creat(-1)",
       "SELECT lo_from_bytea(4712, 'x')", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')",
       "SELECT lo_put(4711, 0, 'x')", "SELECT lo_unlink(4711)"},
      {"SET ROLE " + writing_role, "SET ROLE colloquy_owner", "SET ROLE colloquy_service",
       "SET SESSION AUTHORIZATION postgres", "RESET ROLE", "RESET SESSION AUTHORIZATION",
       "SELECT set_config('role', '" + writing_role + "', false)", "INSERT INTO t (text) VALUES ('b')"},
      {"DO $$ BEGIN INSERT INTO t (text) VALUES ('b'); END $$", "CALL write()"},
      {"SET default_transaction_read_only = off", "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)",
       "LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "SELECT * FROM t FOR UPDATE"},
      {"LISTEN x", "NOTIFY x, 'y'", "SELECT pg_notify('x', 'y')"},
      {"ALTER ROLE CURRENT_USER PASSWORD 'x'", "ALTER ROLE CURRENT_USER SET work_mem = '1MB'",
       "ALTER USER CURRENT_USER VALID UNTIL 'yesterday'", "GRANT CURRENT_USER TO " + writing_role,
       "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "COMMENT ON TABLE t IS 'x'"},
      {"SET default_transaction_read_only = off", "CREATE TEMP TABLE x (a int)", "CREATE SCHEMA x",
       "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE EXTENSION dblink",
       "CREATE EXTENSION lo", "SELECT dblink_connect('x')", "LOAD 'auto_explain'"},
      {"SET default_transaction_read_only = off", "SELECT query_to_xml('DELETE FROM t', true, true, '')",
       "SELECT query_to_xml('SELECT nextval(''t_id_seq'')', true, true, '')", "SELECT ts_stat('DELETE FROM t')"},
      {"SET statement_timeout = 0", "SET idle_in_transaction_session_timeout = 0", "SET lock_timeout = 0"},
      {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SELECT pg_cancel_backend(1)",
       "SELECT pg_reload_conf()", "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('x')",
       "SELECT pg_stat_reset()", "SELECT pg_logical_emit_message(false, 'x', 'y')", "SELECT pg_export_snapshot()",
       "CHECKPOINT", "VACUUM t", "ANALYZE t", "REINDEX TABLE t", "CLUSTER t"},
      {"UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'"},
      {"SET default_transaction_read_only = off", "PREPARE TRANSACTION 'x'"},
  };
  for (const auto& attack : attacks) {
    const auto id = sessions.open("acme", database_access::read_only);
    for (const auto& sql : attack)
      static_cast<void>(sessions.run("acme", id, sql));
    INFO(attack.front());
    CHECK(state_of(sessions.database()) == before);
    REQUIRE(sessions.close("acme", id));
  }
  CHECK(eventually(
      [&] { return sessions.database().value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"; }));
}

TEST_CASE("a tenant's SQL sees nothing of another tenant, whatever it sets, becomes or looks into",
          "[database_attacks]") {
  test_database_sessions sessions;
  insert_sessions(sessions.database());
  const auto victim = sessions.open("beta");
  for (const std::string sql :
       {"CREATE TABLE hidden_table (hidden_column text)", "INSERT INTO hidden_table VALUES ('hidden value')",
        "COMMENT ON TABLE hidden_table IS 'hidden comment'",
        "CREATE FUNCTION hidden_function() RETURNS text LANGUAGE sql AS $$ SELECT 'hidden body' $$",
        "CREATE VIEW hidden_view AS SELECT hidden_column FROM hidden_table",
        "CREATE TYPE hidden_type AS (hidden_field text)",
        "CREATE DOMAIN hidden_domain AS text DEFAULT 'hidden default' CHECK (VALUE <> 'hidden check')"})
    REQUIRE(sessions.value("beta", victim, sql) == "");
  REQUIRE(sessions.value("beta", victim, "SELECT title FROM sessions") == "of beta");
  const auto role = sessions.database().value("SELECT role_name FROM database_roles WHERE tenant_id = 'beta' LIMIT 1");
  const auto schema = sessions.database().value("SELECT own_schema FROM database_tenants WHERE tenant_id = 'beta'");
  const auto views = sessions.database().value("SELECT views_schema FROM database_tenants WHERE tenant_id = 'beta'");
  const auto number = sessions.database().value("SELECT '" + schema + ".hidden_table'::regclass::oid::text");
  const auto view = sessions.database().value("SELECT '" + schema + ".hidden_view'::regclass::oid::text");
  const auto function = sessions.database().value("SELECT '" + schema + ".hidden_function'::regproc::oid::text");
  for (const auto access : {database_access::read_only, database_access::read_write}) {
    const auto id = sessions.open("acme", access);
    for (const std::string& sql :
         std::vector<std::string>{"SELECT * FROM sessions",
                                  "SELECT * FROM events",
                                  "SELECT * FROM turns",
                                  "SELECT set_config('colloquy.tenants', 'beta', false)",
                                  "SELECT title FROM sessions",
                                  "SELECT set_config('colloquy.user', 'u', false)",
                                  "SELECT title FROM sessions",
                                  "SELECT data FROM events",
                                  "SET ROLE " + role,
                                  "SET ROLE colloquy_service",
                                  "SET ROLE colloquy_system",
                                  "SET ROLE colloquy_owner",
                                  "SELECT set_config('role', '" + role + "', false)",
                                  "SET SESSION AUTHORIZATION " + role,
                                  "SELECT * FROM public.sessions",
                                  "SELECT * FROM public.events",
                                  "SELECT * FROM public.database_roles",
                                  "SELECT * FROM " + views + ".sessions",
                                  "SELECT * FROM " + schema + ".hidden_table",
                                  "SELECT public.current_tenants()",
                                  "SET search_path = public, " + schema + ", " + views,
                                  "SELECT * FROM hidden_table",
                                  "SELECT title FROM sessions",
                                  "RESET search_path",
                                  "SELECT * FROM pg_class",
                                  "SELECT * FROM pg_attribute",
                                  "SELECT * FROM pg_proc",
                                  "SELECT * FROM pg_views",
                                  "SELECT * FROM pg_tables",
                                  "SELECT * FROM pg_description",
                                  "SELECT * FROM pg_stats",
                                  "SELECT * FROM pg_statistic",
                                  "SELECT * FROM pg_namespace",
                                  "SELECT * FROM pg_roles",
                                  "SELECT * FROM pg_stat_activity",
                                  "SELECT * FROM pg_stat_get_activity(NULL)",
                                  "SELECT * FROM pg_locks",
                                  "SELECT * FROM pg_lock_status()",
                                  "SELECT * FROM pg_stat_user_tables",
                                  "SELECT * FROM pg_rewrite",
                                  "SELECT * FROM pg_largeobject",
                                  "SELECT * FROM pg_db_role_setting",
                                  "SELECT * FROM pg_stat_ssl",
                                  "SELECT table_name FROM information_schema.tables",
                                  "SELECT column_name FROM information_schema.columns",
                                  "SELECT routine_definition FROM information_schema.routines",
                                  "SELECT view_definition FROM information_schema.views",
                                  "SELECT schema_name FROM information_schema.schemata",
                                  "SELECT * FROM information_schema.attributes",
                                  "SELECT * FROM information_schema.domains",
                                  "SELECT * FROM information_schema.domain_constraints",
                                  "SELECT * FROM information_schema.user_defined_types",
                                  "SELECT * FROM information_schema.udt_privileges",
                                  "SELECT * FROM information_schema.usage_privileges",
                                  "SELECT * FROM information_schema.data_type_privileges",
                                  "SELECT pg_get_viewdef(" + view + ")",
                                  "SELECT pg_get_functiondef(" + function + ")",
                                  "SELECT obj_description(" + number + ", 'pg_class')",
                                  "SELECT col_description(" + number + ", 1)",
                                  "SELECT pg_describe_object(1259, " + number + ", 0)",
                                  "SELECT pg_relation_size(" + number + ")",
                                  "SELECT * FROM pg_identify_object(1259, " + number + ", 0)",
                                  "SELECT query_to_xml('SELECT * FROM pg_class', true, true, '')",
                                  "SELECT table_to_xml(" + number + ", true, true, '')",
                                  "SELECT database_to_xml(true, true, '')",
                                  "SELECT schema_to_xml('" + schema + "', true, true, '')",
                                  "SELECT has_table_privilege('" + schema + ".hidden_table', 'SELECT')"}) {
      const auto said = all_of(sessions.run("acme", id, sql));
      INFO(sql << ": " << said.substr(0, 300));
      CHECK(said.find("of beta") == std::string::npos);
      if (sql.find("hidden") == std::string::npos)
        CHECK(said.find("hidden") == std::string::npos);
      CHECK(said.find("hidden value") == std::string::npos);
    }
    CHECK(sessions.value("acme", id, "SELECT string_agg(title, ',') FROM sessions") == "of acme");
    CHECK(sessions.value("acme", id, "SELECT string_agg(data, ',') FROM events") == "\"of acme\"");
    REQUIRE(sessions.close("acme", id));
  }
}

TEST_CASE("a leaky function is not shown another tenant's rows by the planner", "[database_attacks]") {
  test_database_sessions sessions;
  insert_sessions(sessions.database());
  const auto id = sessions.open("acme");
  REQUIRE(sessions.value("acme", id,
                         "CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS"
                         " $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$") == "");
  for (const std::string sql : {"SELECT * FROM sessions WHERE leak(title)", "SELECT * FROM events WHERE leak(data)"}) {
    auto outcome = sessions.run("acme", id, sql);
    REQUIRE(outcome);
    CHECK(outcome->rows.size() == 1);
    CHECK(outcome->notices.size() == 1);
    for (const auto& notice : outcome->notices)
      CHECK(notice.message.find("beta") == std::string::npos);
  }
}

TEST_CASE("what EXPLAIN tells of the views does not depend on what other tenants have", "[database_attacks]") {
  test_database_sessions sessions;
  insert_sessions(sessions.database());
  sessions.database().exec(
      "INSERT INTO sessions (tenant_id, id, log_id, user_id, title) SELECT 'beta', gen_random_uuid(),"
      " gen_random_uuid(), 'beta-user', 'beta ' || n FROM generate_series(1, 500) AS n;"
      "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, data, messages)"
      " SELECT tenant_id, log_id, 1, now(), 'custom', '\"beta\"', 0 FROM sessions;"
      "ANALYZE sessions; ANALYZE events");
  const auto id = sessions.open("acme", database_access::read_only);
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"events WHERE data >= '\"be' AND data < '\"bf'", "events WHERE data >= '\"ce' AND data < '\"cf'"},
      {"sessions WHERE user_id = 'beta-user'", "sessions WHERE user_id = 'nobody-usr'"},
      {"sessions WHERE created_at > now() - interval '1 h'", "sessions WHERE created_at > now() + interval '1 h'"}};
  const auto rows_of = [&](const std::string& sql) {
    return sessions.value("acme", id, "EXPLAIN SELECT 1 FROM " + sql);
  };
  const auto guess = [](const std::string& line) { return line.substr(line.find("rows=")); };
  for (const auto& [theirs, nobodys] : pairs) {
    INFO(theirs);
    CHECK(guess(rows_of(theirs)) == guess(rows_of(nobodys)));
  }
  for (const std::string view : {"sessions", "events", "turns"})
    for (const std::string setting : {"enable_indexscan", "enable_seqscan"}) {
      REQUIRE(sessions.value("acme", id, "SET " + setting + " = off") == "");
      const auto plan = all_of(sessions.run("acme", id, "EXPLAIN (ANALYZE, TIMING off) SELECT * FROM " + view));
      INFO(plan);
      CHECK(plan.find("Rows Removed") == std::string::npos);
      CHECK(plan.find("Function Scan") != std::string::npos);
      REQUIRE(sessions.value("acme", id, "RESET " + setting) == "");
    }
  const auto own = sessions.value("acme", id, "SELECT id::text FROM sessions");
  CHECK(sessions.value("acme", id, "SELECT data FROM session_events('" + own + "')") == "\"of acme\"");
  const auto other = sessions.database().value("SELECT id::text FROM sessions WHERE tenant_id = 'beta' LIMIT 1");
  CHECK(sessions.value("acme", id, "SELECT count(*) FROM session_events('" + other + "')") == "0");
}

TEST_CASE("notifications come from the own tenant alone, parked or pinned, and each once", "[database_attacks]") {
  test_database_sessions sessions;
  const auto parked = sessions.open("acme"), pinned = sessions.open("acme"), other = sessions.open("beta"),
             sender = sessions.open("acme");
  CHECK(sessions.pin("acme", parked, "LISTEN news") == "");
  CHECK(sessions.pin("acme", pinned, "DO $$ BEGIN EXECUTE 'LISTEN news'; END $$") != "");
  CHECK(sessions.pin("beta", other, "LISTEN news") == "");
  CHECK(eventually([&] { return sessions.figures().parked >= 2; }));
  REQUIRE(sessions.value("beta", other, "NOTIFY news, 'forged by beta'") == "");
  REQUIRE(sessions.value("acme", sender, "NOTIFY news, 'one'") == "");
  REQUIRE(sessions.value("acme", sender, "SELECT pg_notify('news', 'two')") == "");
  for (const auto& id : {parked, pinned}) {
    std::string heard;
    CHECK(eventually([&] {
      for (const auto& each : sessions.notifications("acme", id, 200ms))
        heard += each.channel + "=" + each.payload + " ";
      return heard == "news=one news=two ";
    }));
    INFO(heard);
  }
  std::string heard;
  CHECK(eventually([&] {
    for (const auto& each : sessions.notifications("beta", other, 200ms))
      heard += each.payload;
    return heard == "forged by beta";
  }));
  // Of another process of the service, whose backends are known by their role.
  const auto elsewhere =
      db::ensure_database_logins({sessions.database().owner_conninfo(), "public"}, tenant_id::parse("acme").value());
  REQUIRE(elsewhere);
  test_connection writer(elsewhere->read_write.conninfo);
  writer.exec("NOTIFY news, 'from elsewhere'");
  for (const auto& id : {parked, pinned}) {
    std::string now;
    CHECK(eventually([&] {
      for (const auto& each : sessions.notifications("acme", id, 200ms))
        now += each.payload;
      return now == "from elsewhere";
    }));
  }
  CHECK(sessions.notifications("beta", other, 300ms).empty());
  // What the service's own login sends is nobody's.
  sessions.database().exec("NOTIFY news, 'by nobody'");
  CHECK(sessions.notifications("acme", parked, 300ms).empty());
  REQUIRE(sessions.value("acme", parked, "UNLISTEN news") == "");
  REQUIRE(sessions.value("acme", sender, "NOTIFY news, 'three'") == "");
  CHECK(sessions.notifications("acme", parked, 300ms).empty());
}
