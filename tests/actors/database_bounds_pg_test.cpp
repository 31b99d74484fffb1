// What one tenant's SQL may cost the others, and what becomes of a backend that does not end with its session.
#include "tests/actors/database_sessions_fixture.hpp"
#include "tests/support/eventually.hpp"

#include <chrono>
#include <cstddef>
#include <future>
#include <string>
#include <utility>
#include <vector>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* deaf = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; "
                             "END; END LOOP; END $$";

std::future<result<sql_outcome>> begin(test_database_sessions& sessions, const std::string& tenant,
                                       const std::string& id, const std::string& sql) {
  execute_sql wanted;
  wanted.owner = caller(tenant);
  wanted.id = id;
  wanted.sql = sql;
  wanted.timeout = 200s;
  return std::async(std::launch::async, [&sessions, wanted] { return sessions.ask(wanted); });
}

} // namespace

TEST_CASE("a session that is closed leaves no backend running, whatever that has set and catches",
          "[database_bounds]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = 4; });
  const auto maker = sessions.open("acme");
  REQUIRE(sessions.value("acme", maker, "CREATE TABLE locked (a int)") == "");
  REQUIRE(sessions.close("acme", maker));
  std::vector<std::future<result<sql_outcome>>> answers;
  for (int i = 0; i < 3; ++i) {
    const auto id = sessions.open("acme");
    for (const std::string sql : {"SET client_connection_check_interval = 0", "SET statement_timeout = 0", "BEGIN",
                                  "LOCK TABLE locked IN ACCESS SHARE MODE"})
      REQUIRE(sessions.value("acme", id, sql) == "");
    answers.push_back(begin(sessions, "acme", id, deaf));
    REQUIRE(eventually([&] { return sessions.backends("AND state = 'active' AND query ~ '^DO'") == "1"; }));
    REQUIRE(sessions.close("acme", id));
    CHECK_FALSE(answers.back().get());
    CHECK(sessions.figures().backends >= 1); // its place is not free while it runs
    CHECK(eventually([&] { return sessions.backends("AND query ~ '^DO'") == "0"; }));
    CHECK(eventually([&] { return sessions.figures().backends == std::stoul(sessions.backends()); }));
  }
  CHECK(sessions.database().value("SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
                                  " WHERE c.relname = 'locked'") == "0");
}

TEST_CASE("what is closed while its rows are not all read ends, too", "[database_bounds]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  REQUIRE(sessions.value("acme", id, "SET client_connection_check_interval = 0") == "");
  execute_sql wanted;
  wanted.owner = caller("acme");
  wanted.id = id;
  wanted.sql = "SELECT repeat('x', 1000), pg_sleep(CASE WHEN n > 100 THEN 600 ELSE 0 END)"
               " FROM generate_series(1, 1000) AS n";
  wanted.rows_max = 2;
  wanted.timeout = 200s;
  auto first = std::async(std::launch::async, [&] { return sessions.ask(wanted); });
  static_cast<void>(first.wait_for(2s));
  REQUIRE(sessions.close("acme", id));
  CHECK(eventually([&] { return sessions.backends() == "0"; }));
}

TEST_CASE("the end of all sessions leaves no backend running either", "[database_bounds]") {
  auto sessions = std::make_unique<test_database_sessions>();
  const auto id = sessions->open("acme");
  REQUIRE(sessions->value("acme", id, "SET client_connection_check_interval = 0") == "");
  auto answer = begin(*sessions, "acme", id, deaf);
  REQUIRE(eventually([&] { return sessions->backends("AND state = 'active' AND query ~ '^DO'") == "1"; }));
  caf::scoped_actor self{sessions->system()};
  const auto actor = caf::actor_cast<caf::actor>(sessions->handle());
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  self->wait_for(actor);
  CHECK_FALSE(answer.get());
  CHECK(eventually([&] { return sessions->backends() == "0"; }));
}

TEST_CASE("an open change of a table delays nobody who has nothing to do with it, nor pins them", "[database_bounds]") {
  test_database_sessions sessions;
  const auto changer = sessions.open("acme"), other = sessions.open("acme");
  for (const std::string sql :
       {"CREATE TABLE changed (id int DEFAULT 1 + 1 CHECK (id > 0), twice int GENERATED ALWAYS AS (id * 2) STORED)",
        "CREATE INDEX ON changed ((id + 1)) WHERE id > 3", "CREATE TABLE plain (id int)", "BEGIN",
        "ALTER TABLE changed ADD COLUMN more int"})
    REQUIRE(sessions.value("acme", changer, sql) == "");
  const auto begun = std::chrono::steady_clock::now();
  CHECK(sessions.pin("acme", other, "SELECT count(*) FROM plain") == "");
  CHECK(sessions.ask(describe_database{caller("acme"), database_access::read_write}));
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
}

TEST_CASE("a cast of one tenant's is nothing to another", "[database_bounds]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme"), other = sessions.open("beta");
  for (const std::string sql : {"CREATE TYPE pair AS (a int, b int)",
                                "CREATE FUNCTION sum_of(pair) RETURNS int LANGUAGE sql AS $$ SELECT $1.a + $1.b $$",
                                "CREATE CAST (pair AS int) WITH FUNCTION sum_of(pair)"})
    REQUIRE(sessions.value("acme", id, sql) == "");
  CHECK(sessions.pin("beta", other, "SELECT now()") == "");
  const auto own = sessions.open("acme");
  CHECK(sessions.pin("acme", own, "SELECT now()") != "");
}

TEST_CASE("one tenant leaves some backends to the others, unless it is set otherwise", "[database_bounds]") {
  test_database_sessions sessions([](auto& options) { options.backends_max = 4; });
  for (int i = 0; i < 3; ++i)
    CHECK(sessions.pin("acme", sessions.open("acme"), "BEGIN") != "");
  const auto none = sessions.run("acme", sessions.open("acme"), "SELECT 1", {}, 500ms);
  REQUIRE_FALSE(none);
  CHECK(none.failure().code == error_code::overloaded);
  CHECK(sessions.value("beta", sessions.open("beta"), "SELECT 1") == "1");
}

TEST_CASE("past its bound of channels a session is pinned, and its own backend hears the rest", "[database_bounds]") {
  test_database_sessions sessions([](auto& options) {
    options.session_channels_max = 3;
    options.tenant_channels_max = 5;
  });
  const auto one = sessions.open("acme"), two = sessions.open("acme"), other = sessions.open("beta");
  for (const std::string sql : {"LISTEN a1", "LISTEN a2", "LISTEN a3", "LISTEN a3"})
    CHECK(sessions.pin("acme", one, sql) == "");
  CHECK(sessions.pin("acme", one, "LISTEN a4") != "");
  for (const std::string sql : {"LISTEN b1", "LISTEN b2"})
    CHECK(sessions.pin("acme", two, sql) == "");
  CHECK(sessions.pin("acme", two, "LISTEN b3") != "");
  CHECK(sessions.pin("beta", other, "LISTEN c1") == "");
  REQUIRE(sessions.value("acme", two, "NOTIFY a4, 'heard'") == "");
  std::string heard;
  CHECK(eventually([&] {
    for (const auto& each : sessions.notifications("acme", one, 200ms))
      heard += each.channel + "=" + each.payload;
    return heard == "a4=heard";
  }));
}

TEST_CASE("a transaction that has read the views keeps no other process from making logins", "[database_bounds]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme");
  REQUIRE(sessions.value("acme", id, "BEGIN") == "");
  REQUIRE(sessions.value("acme", id, "SELECT count(*) FROM sessions") == "0");
  const auto begun = std::chrono::steady_clock::now();
  const auto again =
      db::ensure_database_logins({sessions.database().owner_conninfo(), "public"}, tenant_id::parse("acme").value());
  INFO((again ? "" : again.failure().message));
  CHECK(again);
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  const auto views = sessions.database().value("SELECT views_schema FROM database_tenants");
  REQUIRE(sessions.value("acme", id, "COMMIT") == "");
  sessions.database().exec("DROP VIEW " + views + ".turns"); // what is missing is made
  REQUIRE(
      db::ensure_database_logins({sessions.database().owner_conninfo(), "public"}, tenant_id::parse("acme").value()));
  CHECK(sessions.database().value("SELECT to_regclass('" + views + ".turns') IS NOT NULL") == "t");
}

TEST_CASE("a row larger than what is wanted is refused, and the session goes on", "[database_bounds]") {
  test_database_sessions sessions;
  const auto id = sessions.open("acme", database_access::read_only);
  auto refused = sessions.run("acme", id, "SELECT repeat('x', 30000000)");
  REQUIRE(refused);
  REQUIRE(refused->refused);
  CHECK(refused->rows.empty());
  CHECK(refused->refused->sqlstate == "54000");
  CHECK(refused->refused->message.find("max_bytes") != std::string::npos);
  CHECK_FALSE(refused->refused->ended_the_session);
  CHECK(sessions.value("acme", id, "SELECT 'goes on'") == "goes on");
  execute_sql wanted;
  wanted.owner = caller("acme");
  wanted.id = id;
  wanted.sql = "SELECT repeat('x', n) FROM generate_series(1000, 1100, 50) AS n";
  wanted.bytes_max = 1024;
  auto first = sessions.ask(wanted);
  REQUIRE(first);
  CHECK(first->rows.size() == 1);
  REQUIRE(first->truncated);
  wanted.sql.clear();
  wanted.cursor = first->cursor;
  auto second = sessions.ask(wanted);
  REQUIRE(second);
  REQUIRE(second->refused);
  CHECK(second->refused->sqlstate == "54000");
  CHECK(sessions.value("acme", id, "SELECT 'still'") == "still");
}
