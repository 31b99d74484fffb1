// Database sessions on a real server: what one keeps, what it shows of others, and what becomes of its backend.
#include "tests/actors/database_sessions_fixture.hpp"
#include "tests/support/eventually.hpp"

#include <cstdint>
#include <future>
#include <string>
#include <utility>
#include <vector>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

using kind = sql_parameter::kind;

sql_outcome must_run(test_database_sessions& of, const std::string& id, const std::string& sql) {
  auto outcome = of.run("acme", id, sql);
  INFO(sql << ": " << test_database_sessions::value_of(outcome));
  REQUIRE(outcome);
  REQUIRE_FALSE(outcome->refused);
  return *outcome;
}

} // namespace

TEST_CASE("settings, prepared statements, temporary tables and a transaction last from call to call",
          "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  CHECK(must_run(sessions, id, "SET TIME ZONE 'Asia/Tokyo'").command == "SET");
  CHECK(sessions.value("acme", id, "SHOW timezone") == "Asia/Tokyo");
  must_run(sessions, id, "PREPARE twice (int) AS SELECT $1 * 2");
  CHECK(sessions.value("acme", id, "EXECUTE twice(21)") == "42");
  must_run(sessions, id, "CREATE TEMP TABLE kept (a int)");
  CHECK(must_run(sessions, id, "INSERT INTO kept VALUES (1), (2), (3)").row_count == 3);
  CHECK(must_run(sessions, id, "BEGIN").transaction_status == sql_transaction_status::in_transaction);
  must_run(sessions, id, "DELETE FROM kept");
  auto failed = sessions.run("acme", id, "SELECT 1 / 0");
  REQUIRE(failed);
  REQUIRE(failed->refused);
  CHECK(failed->refused->sqlstate == "22012");
  CHECK(failed->transaction_status == sql_transaction_status::failed);
  CHECK(must_run(sessions, id, "ROLLBACK").transaction_status == sql_transaction_status::idle);
  CHECK(sessions.value("acme", id, "SELECT count(*) FROM kept") == "3");
}

TEST_CASE("parameters have types, and columns have names and types", "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme", database_access::read_only);
  auto outcome = sessions.run(
      "acme", id,
      "SELECT pg_typeof($1)::text AS a, pg_typeof($2)::text AS b, pg_typeof($3)::text AS c, pg_typeof($4)::text AS d,"
      " $5::date + 1 AS e, $6 ->> 'x' AS f, $7::int IS NULL AS g",
      {{kind::number, "7"},
       {kind::number, "7000000000"},
       {kind::number, "1.5"},
       {kind::boolean, "true"},
       {kind::text, "2026-01-31"},
       {kind::json, R"({"x": "y"})"},
       {kind::null}});
  REQUIRE(outcome);
  REQUIRE_FALSE(outcome->refused);
  std::vector<std::string> values, types, names;
  for (const auto& each : outcome->rows.front())
    values.push_back(each.value_or("null"));
  for (const auto& each : outcome->columns) {
    types.push_back(each.type);
    names.push_back(each.name);
  }
  CHECK(values == std::vector<std::string>{"integer", "bigint", "numeric", "boolean", "2026-02-01", "y", "t"});
  CHECK(types == std::vector<std::string>{"text", "text", "text", "text", "date", "text", "boolean"});
  CHECK(names == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"});
  CHECK(sessions.value("acme", id, "SELECT $1::int", {{kind::text, "x"}}).starts_with("22P02"));
  CHECK(sessions.value("acme", id, "SELECT 1; SELECT 2").starts_with("42601"));
  CHECK(sessions.value("acme", id, "SELECT $1::int + $2::int", {{kind::number, "1"}}).starts_with("08P01"));
}

TEST_CASE("rows come as far as they are wanted, and a cursor goes on", "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme", database_access::read_only);
  execute_sql wanted;
  wanted.owner = caller("acme");
  wanted.id = id;
  wanted.sql = "SELECT m, repeat('x', 100) FROM generate_series(1, 100000) AS n, generate_series(1, 100000) AS m";
  wanted.rows_max = 3;
  auto first = sessions.ask(wanted);
  REQUIRE(first);
  CHECK(first->rows.size() == 3);
  CHECK(first->truncated);
  CHECK(first->transaction_status == sql_transaction_status::active);
  CHECK(first->pinned != "");
  wanted.sql.clear();
  wanted.cursor = first->cursor;
  wanted.rows_max = 1000;
  wanted.bytes_max = 1024;
  auto second = sessions.ask(wanted);
  REQUIRE(second);
  CHECK(second->rows.front().front() == "4");
  CHECK(second->rows.size() == 10); // of 101 bytes each
  CHECK(second->cursor != first->cursor);
  auto again = sessions.ask(wanted);
  REQUIRE_FALSE(again);
  CHECK(again.failure().code == error_code::invalid_request);
  // What is left of it would take hours; it is ended with its time, not waited for.
  auto next = sessions.run("acme", id, "SELECT 'next'", {}, 1s);
  REQUIRE(next);
  CHECK(sessions.value("acme", id, "SELECT 'after'") == "after");
}

TEST_CASE("the deadline is kept whatever the statement has set, and whatever it catches", "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  must_run(sessions, id, "SET statement_timeout = 0");
  auto slow = sessions.run("acme", id, "SELECT pg_sleep(600)", {}, 300ms);
  REQUIRE(slow);
  REQUIRE(slow->refused);
  CHECK(slow->refused->sqlstate == "57014");
  CHECK(slow->refused->was_cancelled);
  CHECK(sessions.value("acme", id, "SELECT 1") == "1");
  auto deaf = sessions.run("acme", id,
                           "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END;"
                           " END LOOP; END $$",
                           {}, 300ms);
  REQUIRE(deaf);
  REQUIRE(deaf->refused);
  CHECK(deaf->refused->ended_the_session);
  CHECK(deaf->refused->was_cancelled);
  CHECK(eventually([&] { return sessions.backends("AND state = 'active'") == "0"; }));
  auto after = sessions.run("acme", id, "SELECT 1");
  REQUIRE_FALSE(after);
  CHECK(after.failure().code == error_code::session_expired);
}

TEST_CASE("a statement that waits behind another one is answered when its own time is over", "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  execute_sql wanted;
  wanted.owner = caller("acme");
  wanted.id = id;
  wanted.sql = "SELECT pg_sleep(600)";
  wanted.timeout = 100s;
  wanted.number = 1;
  auto running = std::async(std::launch::async, [&] { return sessions.ask(wanted); });
  REQUIRE(eventually([&] { return sessions.backends("AND state = 'active'") == "1"; }));
  const auto behind = sessions.run("acme", id, "SELECT 1", {}, 300ms);
  REQUIRE_FALSE(behind);
  CHECK(behind.failure().code == error_code::deadline_exceeded);
  CHECK(sessions.backends("AND state = 'active'") == "1");
  CHECK(sessions.ask(cancel_sql{caller("acme"), id, 1}));
  CHECK(running.get());
}

TEST_CASE("a statement that runs, waits for its turn, or for a backend is cancelled by its number",
          "[database_sessions]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = 1; });
  const auto id = sessions.open("acme");
  const auto elsewhere = sessions.open("acme");
  const auto begin = [&](const std::string& where, std::uint64_t number) {
    execute_sql wanted;
    wanted.owner = caller("acme");
    wanted.id = where;
    wanted.sql = "SELECT pg_sleep(600)";
    wanted.timeout = 100s;
    wanted.number = number;
    return std::async(std::launch::async, [&sessions, wanted] { return sessions.ask(wanted); });
  };
  const auto was_cancelled = [](std::future<result<sql_outcome>>& answer) {
    const auto outcome = answer.get();
    return outcome && outcome->refused && outcome->refused->sqlstate == "57014" && outcome->refused->was_cancelled;
  };
  auto running = begin(id, 1);
  REQUIRE(eventually([&] { return sessions.backends("AND state = 'active'") == "1"; }));
  auto behind = begin(id, 2);
  auto without_backend = begin(elsewhere, 3);
  REQUIRE(eventually([&] { return sessions.figures().waiting == 1; }));
  for (const auto& stranger : {cancel_sql{caller("beta"), id, 1}, cancel_sql{caller("acme", "key:2"), id, 1},
                               cancel_sql{caller("acme"), id, 3}, cancel_sql{caller("acme"), id, 0}}) {
    const auto refused = sessions.ask(stranger);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::not_found);
  }
  CHECK(eventually([&] { return sessions.ask(cancel_sql{caller("acme"), id, 2}).has_value(); }));
  CHECK(was_cancelled(behind));
  CHECK(sessions.ask(cancel_sql{caller("acme"), elsewhere, 3}));
  CHECK(was_cancelled(without_backend));
  CHECK(sessions.backends("AND state = 'active'") == "1"); // it was not touched
  CHECK(sessions.ask(cancel_sql{caller("acme"), id, 1}));
  CHECK(was_cancelled(running));
  CHECK(sessions.value("acme", id, "SELECT 'goes on'") == "goes on");
  CHECK_FALSE(sessions.ask(cancel_sql{caller("acme"), id, 1}));
  CHECK(sessions.figures().cancelled == 3);
}

TEST_CASE("a database session is nobody else's, and there is one answer for all that is not there",
          "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  execute_sql wanted;
  wanted.id = id;
  wanted.sql = "SELECT 1";
  std::string said;
  for (const auto& other : {caller("beta"), caller("acme", "key:2"), caller("acme", "local")}) {
    wanted.owner = other;
    auto outcome = sessions.ask(wanted);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.failure().code == error_code::not_found);
    said = outcome.failure().message;
  }
  wanted.owner = caller("acme");
  wanted.id = std::string(32, '0');
  auto never = sessions.ask(wanted);
  REQUIRE_FALSE(never);
  CHECK(never.failure().message == said);
  REQUIRE(sessions.close("acme", id));
  auto closed = sessions.close("acme", id);
  REQUIRE_FALSE(closed);
  CHECK(closed.failure().message == said);
}

TEST_CASE("an idle one is given back, and its owner is told when and why", "[database_sessions]") {
  test_database_sessions sessions;
  open_database_session wanted;
  wanted.owner = caller("acme");
  wanted.access = database_access::read_write;
  wanted.idle_timeout = 5s;
  auto opened = sessions.ask(wanted);
  REQUIRE(opened);
  must_run(sessions, opened->id, "CREATE TEMP TABLE t (a int)");
  CHECK(sessions.backends() == "1");
  CHECK(eventually([&] { return sessions.backends() == "0"; }));
  auto late = sessions.run("acme", opened->id, "SELECT 1");
  REQUIRE_FALSE(late);
  CHECK(late.failure().code == error_code::session_expired);
  CHECK(late.failure().message.find("it was idle for 5 s") != std::string::npos);
}

TEST_CASE("200 idle sessions work on 15 backends, each with what it has set", "[database_sessions]") {
  test_database_sessions sessions;
  constexpr int count = 200;
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(sessions.open("acme", i % 2 == 0 ? database_access::read_only : database_access::read_write));
    const auto n = std::to_string(i);
    if (i % 20 == 0)
      must_run(sessions, ids.back(), "SET my.number = '" + n + "'");
    must_run(sessions, ids.back(), "SET statement_timeout = '" + std::to_string(100'001 + i) + "ms'");
    CHECK(must_run(sessions, ids.back(), "PREPARE mine AS SELECT " + n).pinned == "");
  }
  CHECK(std::stoi(sessions.backends()) <= 15);
  for (int i = count - 1; i >= 0; --i) {
    const auto& id = ids[static_cast<std::size_t>(i)];
    const auto n = std::to_string(i);
    CHECK(sessions.value("acme", id, "EXECUTE mine") == n);
    CHECK(sessions.value("acme", id, "SELECT current_setting('my.number', true)") == (i % 20 == 0 ? n : "null"));
    CHECK(sessions.value("acme", id, "SHOW statement_timeout") == std::to_string(100'001 + i) + "ms");
  }
  CHECK(std::stoi(sessions.backends()) <= 15);
  const auto figures = sessions.figures();
  CHECK(figures.open == count);
  CHECK(figures.pinned == 0);
  CHECK(figures.parked >= count - 15);
  CHECK(figures.replays >= count - 15);
}

TEST_CASE("pinned sessions keep their backends, and who finds none free is told so", "[database_sessions]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = options.tenant_backends_max = 2; });
  const auto one = sessions.open("acme"), two = sessions.open("acme"), three = sessions.open("acme");
  CHECK(sessions.pin("acme", one, "CREATE TEMP TABLE t (a int)") != "");
  CHECK(sessions.pin("acme", two, "BEGIN") == "a transaction is open");
  auto none = sessions.run("acme", three, "SELECT 1", {}, 500ms);
  REQUIRE_FALSE(none);
  CHECK(none.failure().code == error_code::overloaded);
  CHECK(sessions.pin("acme", two, "COMMIT") == "");
  CHECK(sessions.value("acme", three, "SELECT 1") == "1");
  CHECK(sessions.value("acme", one, "SELECT count(*) FROM t") == "0");
  REQUIRE(sessions.close("acme", one));
  CHECK(sessions.value("acme", two, "SELECT 2") == "2");
}

TEST_CASE("what a function, a trigger, a default or a view does behind a statement's back pins the session",
          "[database_sessions]") {
  test_database_sessions sessions;
  const auto maker = sessions.open("acme");
  for (const std::string sql :
       {"CREATE TABLE plain (id int, text text DEFAULT 'x', at timestamptz DEFAULT now())",
        "CREATE TABLE counted (id serial, text text)",
        "CREATE FUNCTION remember() RETURNS text LANGUAGE sql AS $$ SELECT set_config('my.x', 'kept', false) $$",
        "CREATE FUNCTION on_write() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM set_config('my.x', 'kept', false); RETURN NEW; END $$",
        "CREATE TABLE triggered (id int)",
        "CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION on_write()",
        "CREATE VIEW sly AS SELECT set_config('my.x', 'kept', false) AS x",
        "CREATE TABLE checked (id int CHECK (set_config('my.x', 'kept', false) = 'kept'))"})
    must_run(sessions, maker, sql);
  REQUIRE(sessions.close("acme", maker));
  const auto park = sessions.open("acme");
  for (const std::string sql : {"INSERT INTO plain (id) VALUES (1)", "SELECT * FROM plain", "SELECT * FROM counted",
                                "SELECT * FROM sessions", "UPDATE plain SET text = upper(text)"}) {
    INFO(sql);
    CHECK(sessions.pin("acme", park, sql) == "");
  }
  for (const std::string sql : {"SELECT remember()", "INSERT INTO triggered VALUES (1)", "SELECT * FROM sly",
                                "INSERT INTO checked VALUES (1)"}) {
    INFO(sql);
    const auto id = sessions.open("acme");
    CHECK(sessions.pin("acme", id, sql) != "");
    CHECK(sessions.value("acme", id, "SELECT current_setting('my.x', true)") == "kept");
  }
  const auto id = sessions.open("acme");
  CHECK(sessions.pin("acme", id, "INSERT INTO counted (text) VALUES ('a')") != "");
  CHECK(sessions.value("acme", id, "SELECT lastval()") == "1");
}

TEST_CASE("nothing of one session is left for the next, whatever its end", "[database_sessions]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = 1; });
  const auto trace = [&](const std::string& id) {
    return sessions.value("acme", id,
                          "SELECT concat_ws(',', current_setting('my.x', true), current_setting('work_mem'),"
                          " (SELECT count(*) FROM pg_prepared_statements),"
                          " (SELECT count(*) FROM pg_listening_channels()), to_regclass('pg_temp.t'),"
                          " (SELECT count(*) FROM pg_cursors WHERE name <> ''))");
  };
  const auto fresh = sessions.open("acme");
  const auto nothing = trace(fresh);
  REQUIRE(sessions.close("acme", fresh));
  const std::vector<std::vector<std::string>> uses{
      {"SET my.x = 'mine'", "SET work_mem = '9MB'", "PREPARE p AS SELECT 1", "LISTEN here"},
      {"SELECT set_config('my.x', 'mine', false)", "CREATE TEMP TABLE t (a int)"},
      {"BEGIN", "DECLARE c CURSOR FOR SELECT 1", "SET my.x = 'mine'"},
      {"DO $$ BEGIN EXECUTE 'LISTEN here'; EXECUTE 'PREPARE p AS SELECT 1'; END $$"},
      {"ALTER ROLE CURRENT_USER SET work_mem = '9MB'"}};
  for (const auto& use : uses)
    for (const bool parks_only : {false, true}) {
      INFO(use.front() << (parks_only ? ", parked" : ", closed"));
      const auto id = sessions.open("acme");
      std::string pinned;
      for (const auto& sql : use)
        pinned = must_run(sessions, id, sql).pinned;
      if (!parks_only || !pinned.empty())
        REQUIRE(sessions.close("acme", id));
      const auto next = sessions.open("acme");
      CHECK(trace(next) == nothing);
      REQUIRE(sessions.close("acme", next));
      if (parks_only && pinned.empty())
        REQUIRE(sessions.close("acme", id));
    }
}

TEST_CASE("a backend that is killed ends what was pinned to it, and costs a parked session nothing",
          "[database_sessions]") {
  test_database_sessions sessions;
  const auto pinned = sessions.open("acme"), free = sessions.open("acme");
  must_run(sessions, pinned, "BEGIN");
  must_run(sessions, free, "SET my.x = 'kept'");
  CHECK(eventually([&] { return sessions.figures().parked == 1; }));
  sessions.database().exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ~ '^cq[rw]_'");
  CHECK(eventually([&] { return sessions.backends() == "0"; }));
  CHECK(eventually([&] { return !sessions.run("acme", pinned, "SELECT 1").has_value(); }));
  auto lost = sessions.run("acme", pinned, "SELECT 1");
  REQUIRE_FALSE(lost);
  CHECK(lost.failure().code == error_code::session_expired);
  CHECK(sessions.value("acme", free, "SELECT current_setting('my.x')") == "kept");
}

TEST_CASE("who loses its role's password to another process makes a new one", "[database_sessions]") {
  test_database_sessions sessions([](auto& options) { options.backend_idle_timeout = 1s; });
  const auto id = sessions.open("acme");
  CHECK(sessions.value("acme", id, "SELECT 1") == "1");
  CHECK(eventually([&] { return sessions.backends() == "0"; }));
  for (const auto& row : sessions.database().exec("SELECT role_name FROM database_roles"))
    sessions.database().exec("ALTER ROLE " + row.front() + " PASSWORD 'another'");
  CHECK(sessions.value("acme", id, "SELECT 2") == "2");
}

TEST_CASE("the schema tells what a session of this access sees, and no more", "[database_sessions]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme"), other = sessions.open("beta");
  must_run(sessions, id, "CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL DEFAULT 'x')");
  must_run(sessions, id, "COMMENT ON TABLE notes IS 'What we noted.'");
  REQUIRE(sessions.run("beta", other, "CREATE TABLE secret (a int)"));
  for (const auto access : {database_access::read_only, database_access::read_write}) {
    auto schema = sessions.ask(describe_database{caller("acme"), access});
    REQUIRE(schema);
    std::vector<std::string> names;
    for (const auto& table : schema->tables)
      names.push_back(table.name);
    CHECK(names == std::vector<std::string>{"notes", "events", "sessions", "turns"});
    const auto& notes = schema->tables.front();
    CHECK(notes.comment == "What we noted.");
    CHECK(notes.is_writable == (access == database_access::read_write));
    REQUIRE(notes.columns.size() == 2);
    CHECK(notes.columns[1].type == "text");
    CHECK_FALSE(notes.columns[1].is_nullable);
    CHECK(notes.columns[1].default_value == "'x'::text");
    REQUIRE(notes.keys.size() == 1);
    CHECK(notes.keys.front().definition == "PRIMARY KEY (id)");
  }
}
