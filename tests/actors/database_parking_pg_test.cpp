// Which sessions park, judged by what they still have after it, on another backend.
#include "tests/actors/database_sessions_fixture.hpp"
#include "tests/support/eventually.hpp"

#include <atomic>
#include <string>
#include <vector>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

void make(test_database_sessions& of, const std::vector<std::string>& statements) {
  const auto maker = of.open("acme");
  for (const auto& sql : statements) {
    INFO(sql);
    REQUIRE(of.value("acme", maker, sql) == "");
  }
  REQUIRE(of.close("acme", maker));
}

const std::vector<std::string> sly_functions{"CREATE FUNCTION keep(int) RETURNS bool LANGUAGE sql AS"
                                             " $$ SELECT set_config('my.x', 'kept', false) IS NOT NULL $$",
                                             "CREATE FUNCTION placed(int) RETURNS int IMMUTABLE LANGUAGE sql AS"
                                             " $$ SELECT set_config('my.x', 'kept', false) IS NOT NULL; SELECT $1 $$",
                                             "CREATE FUNCTION on_delete() RETURNS trigger LANGUAGE plpgsql AS"
                                             " $$ BEGIN PERFORM set_config('my.x', 'kept', false); RETURN OLD; END $$"};

/// What the session answers to the last of the statements, pinned by none, and again on another backend.
void must_stay_parked(test_database_sessions& sessions, const std::vector<std::string>& statements) {
  INFO(statements.back());
  const auto id = sessions.open("acme");
  std::string before;
  for (const auto& sql : statements) {
    auto outcome = sessions.run("acme", id, sql);
    REQUIRE(outcome);
    REQUIRE_FALSE(outcome->refused);
    CHECK(outcome->pinned == "");
    before = test_database_sessions::value_of(outcome);
  }
  CHECK(eventually([&] { return sessions.figures().parked == 1; }));
  CHECK(sessions.value("acme", id, statements.back()) == before);
  REQUIRE(sessions.close("acme", id));
}

const std::string planned = "CREATE FUNCTION planned(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
                            " $$ BEGIN PERFORM set_config('my.x', 'kept', false); RETURN $1; END $$";

} // namespace

TEST_CASE("a function called as an attribute pins the session", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, {"CREATE SEQUENCE sq", "CREATE TABLE t (id int, name text)"});
  for (const std::string sql : {"SELECT ('sq'::regclass).nextval", "SELECT (0.25::float8).setseed",
                                "SELECT n.setseed FROM unnest(ARRAY[0.25::float8]) AS n"}) {
    INFO(sql);
    CHECK(sessions.pin("acme", sessions.open("acme"), sql) != "");
  }
  CHECK(sessions.pin("acme", sessions.open("acme"), "SELECT t.id, t.name, (t).* FROM t") == "");
}

TEST_CASE("a check of a domain that calls a function pins whoever touches anything", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, sly_functions);
  make(sessions, {"CREATE DOMAIN plain AS int CHECK (VALUE > 0 AND abs(VALUE) < 100)", "CREATE TABLE tp (x plain)"});
  CHECK(sessions.pin("acme", sessions.open("acme"), "SELECT now()") == "");
  make(sessions,
       {"CREATE DOMAIN sly AS int CHECK (keep(VALUE))", "CREATE TABLE ts (x sly)", "CREATE TYPE composite AS (x sly)"});
  for (const std::vector<std::string>& use : {std::vector<std::string>{"INSERT INTO ts VALUES (5)"},
                                              {"SELECT '(6)'::composite"},
                                              {"PREPARE p(sly) AS SELECT $1", "EXECUTE p(7)"},
                                              {"SELECT * FROM json_populate_record(NULL::composite, '{\"x\": 1}')"}}) {
    INFO(use.front());
    const auto id = sessions.open("acme");
    std::string pinned;
    for (const auto& sql : use)
      pinned = sessions.pin("acme", id, sql);
    CHECK(pinned != "");
    CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
  }
}

TEST_CASE("what a key's action reaches pins who changes anything, and its defaults do not", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, sly_functions);
  make(sessions, {"CREATE TABLE parent (id int PRIMARY KEY)",
                  "CREATE TABLE child (id serial, parent int REFERENCES parent ON DELETE CASCADE)",
                  "INSERT INTO parent VALUES (1), (2)", "INSERT INTO child (parent) VALUES (1), (2)"});
  CHECK(sessions.pin("acme", sessions.open("acme"), "DELETE FROM parent WHERE id = 2") == "");
  make(sessions, {"CREATE TRIGGER t BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION on_delete()"});
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "DELETE FROM parent WHERE id = 1") != "");
  CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
  CHECK(sessions.pin("acme", sessions.open("acme"), "SELECT * FROM parent") == "");
}

TEST_CASE("what a table is partitioned by can run a function, and pins who writes", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, sly_functions);
  make(sessions, {"CREATE TABLE parts (id int) PARTITION BY RANGE (placed(id))",
                  "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100)"});
  for (const std::string sql : {"INSERT INTO parts VALUES (1)", "INSERT INTO part VALUES (2)"}) {
    INFO(sql);
    const auto id = sessions.open("acme");
    CHECK(sessions.pin("acme", id, sql) != "");
    CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
  }
}

TEST_CASE("what the planner runs to read a table pins who reads it", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, {planned, "CREATE TABLE indexed (a int)", "CREATE INDEX ON indexed ((a + planned(1)))",
                  "CREATE TABLE partial (a int)", "CREATE INDEX ON partial (a) WHERE a > planned(1)",
                  "CREATE TABLE counted (a int)", "CREATE STATISTICS s ON (a + planned(1)) FROM counted",
                  "INSERT INTO counted SELECT generate_series(1, 9)", "ANALYZE counted",
                  "CREATE TABLE checked (a int CHECK (a > planned(1)))",
                  "CREATE TABLE parts (a int) PARTITION BY RANGE ((a + planned(1)))",
                  "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100)", "CREATE TABLE top (a int)",
                  "CREATE TABLE middle () INHERITS (top)", "CREATE TABLE leaf () INHERITS (middle)",
                  "CREATE INDEX ON leaf ((a + planned(1)))", "CREATE TABLE other (a int, name text)"});
  for (const std::string sql :
       {"SELECT * FROM indexed", "WITH x AS (TABLE partial) SELECT a FROM x WHERE a > 5", "SELECT * FROM counted",
        "SELECT * FROM checked WHERE a > 5", "SELECT * FROM parts", "SELECT * FROM part WHERE a > 5",
        "SELECT * FROM top", "EXPLAIN SELECT * FROM indexed"}) {
    INFO(sql);
    const auto id = sessions.open("acme");
    REQUIRE(sessions.pin("acme", id, "SET constraint_exclusion = on") == "");
    CHECK(sessions.pin("acme", id, sql) != "");
    CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
    REQUIRE(sessions.close("acme", id));
  }
  make(sessions, {"CREATE INDEX ON other (lower(name)) WHERE name <> ''",
                  "ALTER TABLE other ADD CHECK (length(name) < 9)", "CREATE STATISTICS t ON (upper(name)) FROM other"});
  CHECK(sessions.pin("acme", sessions.open("acme"), "SELECT * FROM other") == "");
}

TEST_CASE("who changes one end of a key reads the other, and what the planner runs for it pins", "[database_parking]") {
  test_database_sessions sessions;
  make(sessions, {"CREATE TABLE parent (a int PRIMARY KEY)", "INSERT INTO parent VALUES (1), (2), (3)",
                  "CREATE TABLE child (a int REFERENCES parent)"});
  CHECK(sessions.pin("acme", sessions.open("acme"), "INSERT INTO child VALUES (1)") == "");
  CHECK(sessions.pin("acme", sessions.open("acme"), "DELETE FROM parent WHERE a = 3") == "");
  make(sessions, {planned, "CREATE INDEX ON parent ((a + planned(1)))"});
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "INSERT INTO child VALUES (2)") != "");
  CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
  CHECK(sessions.pin("acme", sessions.open("acme"), "SELECT * FROM child") == "");
}

TEST_CASE("whose tenant's objects cannot be looked up is pinned", "[database_parking]") {
  std::atomic<int> times = 0;
  test_database_sessions sessions([&](auto& options) {
    options.park_after = 1h;
    options.make_logins = [&, place = options.place](const tenant_id& tenant) -> result<db::database_logins> {
      if (++times > 1)
        return error{error_code::database_unavailable, "not again"};
      return db::ensure_database_logins(place, tenant);
    };
  });
  const auto id = sessions.open("acme"), other = sessions.open("acme");
  REQUIRE(sessions.pin("acme", id, "SELECT now()") == "");
  for (const auto& row : sessions.database().exec("SELECT role_name FROM database_roles"))
    sessions.database().exec("ALTER ROLE " + row.front() + " PASSWORD 'another'");
  REQUIRE(sessions.value("acme", other, "SELECT 1").starts_with("database_unavailable"));
  CHECK(sessions.pin("acme", id, "SELECT now()") != "");
}

TEST_CASE("each of the session's characteristics is set again", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY") == "");
  CHECK(sessions.pin("acme", id, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE") == "");
  CHECK(eventually([&] { return sessions.figures().parked == 1; }));
  CHECK(sessions.value("acme", id,
                       "SELECT current_setting('default_transaction_read_only') || ' ' ||"
                       " current_setting('default_transaction_isolation')") == "on serializable");
}

TEST_CASE("a setting that others were read by is set again in its place", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  make(sessions, {"CREATE TEXT SEARCH CONFIGURATION simple (COPY = simple)"});
  const auto schema = sessions.open("acme");
  const auto own = sessions.value("acme", schema, "SELECT current_schema()");
  REQUIRE(sessions.close("acme", schema));
  must_stay_parked(sessions,
                   {"SET DateStyle = 'SQL, DMY'", "SET datestyle = 'ISO'", "SELECT '01/02/2020'::date::text"});
  must_stay_parked(sessions, {"SET datestyle = 'SQL, DMY'", "SET \"DATESTYLE\" = 'ISO'", "RESET DateStyle",
                              "SELECT '01/02/2020'::date::text"});
  must_stay_parked(sessions, {"SET search_path = " + own + ", pg_catalog", "SET default_text_search_config = 'simple'",
                              "SET SCHEMA 'pg_catalog'", "SHOW default_text_search_config"});
  must_stay_parked(sessions, {"SET intervalstyle = 'sql_standard'", "SET TIME ZONE INTERVAL '-8 hours 30 minutes'",
                              "SET intervalstyle = 'postgres'", "SHOW timezone"});
}

TEST_CASE("a setting taken from what is in force pins the session", "[database_parking]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "SET work_mem = '9MB'") == "");
  CHECK(sessions.pin("acme", id, "SET work_mem FROM CURRENT") != "");
  CHECK(sessions.value("acme", id, "SHOW work_mem") == "9MB");
}

TEST_CASE("a name that is longer than the server keeps is the cut one's", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  const std::string most(63, 'a');
  must_stay_parked(sessions, {"PREPARE " + most + "bbbbbbb AS SELECT 1", "DEALLOCATE " + most + "ccccccc",
                              "SELECT count(*) FROM pg_prepared_statements"});
  must_stay_parked(sessions, {"PREPARE " + most + "bbbbbbb AS SELECT 'p'", "EXECUTE " + most + "ccccccc"});
  const auto sender = sessions.open("acme");
  const auto id = sessions.open("acme");
  const auto hears = [&](const std::string& payload) {
    REQUIRE(sessions.value("acme", sender, "NOTIFY " + most + ", '" + payload + "'") == "");
    const auto heard = sessions.notifications("acme", id, payload == "heard" ? 10s : 300ms);
    return !heard.empty() && heard.front().channel == most;
  };
  REQUIRE(sessions.pin("acme", id, "LISTEN " + most + "bbbbbbb") == "");
  CHECK(hears("heard"));
  REQUIRE(sessions.pin("acme", id, "UNLISTEN " + most + "ccccccc") == "");
  CHECK_FALSE(hears("late"));
}

TEST_CASE("what is prepared under a setting of its transaction pins the session", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  const std::string prepare = "PREPARE p AS SELECT (timestamptz '2020-01-01 00:00')::text";
  const auto id = sessions.open("acme");
  for (const std::string sql : {"BEGIN", "SET LOCAL timezone = 'Asia/Tokyo'"})
    REQUIRE(sessions.value("acme", id, sql) == "");
  CHECK(sessions.pin("acme", id, prepare) != "");
  const auto inside = sessions.value("acme", id, "EXECUTE p");
  CHECK(sessions.pin("acme", id, "COMMIT") != "");
  CHECK(sessions.value("acme", id, "EXECUTE p") != inside); // shown in the session's own zone
  REQUIRE(sessions.close("acme", id));
  const auto next = sessions.open("acme"); // the setting is over when its transaction is
  for (const std::string sql : {"BEGIN", "SET LOCAL timezone = 'Asia/Tokyo'", "ROLLBACK", "SET LOCAL work_mem = '9MB'",
                                "BEGIN", "SET TRANSACTION READ ONLY"})
    REQUIRE(sessions.value("acme", next, sql) == "");
  REQUIRE(sessions.value("acme", next, prepare) == "");
  CHECK(sessions.pin("acme", next, "COMMIT") == "");
}

TEST_CASE("a time that was told by the clock as it was prepared pins the session", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "PREPARE p AS SELECT 'now'::timestamptz::text") != "");
  CHECK(sessions.value("acme", id, "EXECUTE p") == sessions.value("acme", id, "EXECUTE p"));
  must_stay_parked(sessions, {"PREPARE p AS SELECT '2020-01-01 00:00'::timestamptz::text", "EXECUTE p"});
}

TEST_CASE("a pinned session hears no more of a channel that it has left", "[database_parking]") {
  test_database_sessions sessions;
  const auto sender = sessions.open("acme");
  for (const std::vector<std::string>& leave :
       {std::vector<std::string>{"UNLISTEN news"}, {"BEGIN", "UNLISTEN *", "COMMIT"}, {"DISCARD ALL"}}) {
    INFO(leave.front());
    const auto id = sessions.open("acme");
    REQUIRE(sessions.pin("acme", id, "LISTEN news") == "");
    REQUIRE(sessions.pin("acme", id, "CREATE TEMP TABLE t (a int)") != "");
    for (const auto& sql : leave)
      REQUIRE(sessions.value("acme", id, sql) == "");
    REQUIRE(sessions.value("acme", sender, "NOTIFY news, 'late'") == "");
    CHECK(sessions.notifications("acme", id, 300ms).empty());
    REQUIRE(sessions.close("acme", id));
  }
  const auto id = sessions.open("acme"); // what is rolled back is as it was
  for (const std::string sql : {"LISTEN news", "BEGIN", "UNLISTEN news", "ROLLBACK"})
    REQUIRE(sessions.value("acme", id, sql) == "");
  REQUIRE(sessions.value("acme", sender, "NOTIFY news, 'still'") == "");
  std::string heard;
  CHECK(eventually([&] {
    for (const auto& each : sessions.notifications("acme", id, 200ms))
      heard += each.payload;
    return heard == "still";
  }));
}

TEST_CASE("the names of one session's settings are not seen by the next", "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = 1; });
  make(sessions, {"CREATE VIEW sly AS SELECT set_config('my.trace', 'x', false) AS x", planned,
                  "CREATE TABLE indexed (a int)", "CREATE INDEX ON indexed ((a + planned(1)))"});
  struct use {
    database_parking parking;
    std::vector<std::string> statements;
  };
  for (const use& each : {use{database_parking::automatic, {"BEGIN", "SET LOCAL my.trace = 'x'", "COMMIT"}},
                          {database_parking::never, {"SELECT * FROM sly"}},
                          {database_parking::automatic, {"SELECT * FROM sly"}},
                          {database_parking::automatic, {"SELECT * FROM indexed"}}}) {
    INFO(each.statements.back());
    const auto id = sessions.open("acme", database_access::read_write, each.parking);
    for (const auto& sql : each.statements)
      REQUIRE(sessions.run("acme", id, sql));
    REQUIRE(sessions.close("acme", id));
    const auto next = sessions.open("acme");
    CHECK(sessions.value("acme", next, "SELECT current_setting('my.trace', true)") == "null");
    CHECK(sessions.value("acme", next, "SELECT current_setting('my.x', true)") == "null");
    REQUIRE(sessions.close("acme", next));
  }
}

TEST_CASE("what says nothing pins nothing, whatever the session may do", "[database_parking]") {
  test_database_sessions sessions;
  for (const auto access : {database_access::read_only, database_access::read_write}) {
    const auto id = sessions.open("acme", access);
    for (const std::string sql : {" ", "--", ";", "/* nothing */ ; -- at all"}) {
      INFO(sql);
      CHECK(sessions.value("acme", id, sql) == "");
      CHECK(sessions.pin("acme", id, sql) == "");
    }
  }
}

TEST_CASE("a slip of the pen pins nothing", "[database_parking]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  for (const std::string sql : {"SELEC 1", "SELECT nosuchfn(1)", "SELECT * FROM nosuchtable", "CREATE TABL x",
                                "EXECUTE nosuch", "PREPARE p AS SELECT nosuchfn(1)"}) {
    INFO(sql);
    CHECK(sessions.pin("acme", id, sql) == "");
  }
  // What was begun may have left something before it failed.
  CHECK(sessions.pin("acme", id, "SELECT setseed(0.5), 1 / (random() * 0)::int") != "");
}

TEST_CASE("what cannot be prepared again is forgotten, with a notice, and costs the session nothing else",
          "[database_parking]") {
  test_database_sessions sessions([](auto& options) { options.park_after = 10ms; });
  make(sessions, {"CREATE TABLE gone (a int)"});
  const auto id = sessions.open("acme");
  for (const std::string sql : {"SET work_mem = '9MB'", "PREPARE q AS SELECT * FROM gone", "PREPARE r AS SELECT 'r'"})
    REQUIRE(sessions.pin("acme", id, sql) == "");
  CHECK(eventually([&] { return sessions.figures().parked == 1; }));
  make(sessions, {"DROP TABLE gone"});
  auto outcome = sessions.run("acme", id, "SHOW work_mem");
  REQUIRE(outcome);
  CHECK(test_database_sessions::value_of(outcome) == "9MB");
  REQUIRE(outcome->notices.size() == 1);
  CHECK(outcome->notices.front().message.find("prepared statement q") != std::string::npos);
  CHECK(sessions.value("acme", id, "EXECUTE r") == "r");
  CHECK(sessions.value("acme", id, "EXECUTE q").starts_with("26000"));
  CHECK(sessions.pin("acme", id, "SELECT 1") == "");
}
