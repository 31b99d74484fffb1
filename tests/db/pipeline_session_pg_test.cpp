// One connection and its session against a real server: callers' own statements, what is kept prepared, a session made
// as new, notifications, and cancelling.
#include "tests/db/driven_connection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"

#include <algorithm>
#include <thread>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr oid text_type[] = {oids::text};
constexpr statement echo{"echo", "SELECT $1", text_type};
constexpr statement count_prepared{
    "count_prepared", "SELECT count(*)::text FROM pg_prepared_statements WHERE name LIKE 'caller%'", {}};
constexpr std::uint64_t reset_tag = 7;

statement_call callers(const std::string& sql, std::vector<std::optional<std::string>> parameters = {},
                       bool keep_prepared = true, std::vector<oid> types = {}) {
  return {nullptr, std::move(parameters),
          std::make_shared<const caller_statement>(caller_statement{sql, std::move(types), keep_prepared})};
}

/// A connection that is ready, on a database of its own.
struct own_session {
  explicit own_session(std::size_t statements_max = 256)
    : connection(with(target_of(database), statements_max)) {
    database.exec("GRANT TEMPORARY ON DATABASE " + database.name() + " TO colloquy_service, colloquy");
    REQUIRE(connection.make_ready());
  }
  static connection_target with(connection_target target, std::size_t statements_max) {
    target.statements_max = statements_max;
    return target;
  }
  std::string value(const std::string& sql) { return only_value(connection.run(callers(sql, {}, false))); }
  /// As in the product: the connection is of use afterwards, or broken.
  const unit_outcome& reset() {
    connection.link().reset_session(reset_tag);
    return connection.outcome(reset_tag);
  }

  test_database database = test_database::make();
  driven_connection connection;
};

} // namespace

TEST_CASE("a caller's statement takes and gives text, and tells null from empty") {
  own_session own;
  const auto found = own.connection.run(
      callers("SELECT $1::int + 1 AS sum, $2::text AS word, $3::text, 3.50::numeric", {"41", "", std::nullopt}));
  REQUIRE_FALSE(found.failure);
  const auto& row = found.results.back();
  CHECK(row.count() == 1);
  CHECK(row.columns() == 4);
  CHECK(row.column_name(0) == "sum");
  CHECK(row.get(0, 0) == "42");
  CHECK_FALSE(row.is_null(0, 1));
  CHECK(row.get(0, 1).empty());
  CHECK(row.is_null(0, 2));
  CHECK(row.get(0, 3) == "3.50");
  const auto typed = own.connection.run(callers("SELECT pg_typeof($1)::text", {"5"}, true, {oids::int8}));
  CHECK(only_value(typed) == "bigint");
  const auto done = own.connection.run(callers("CREATE TEMP TABLE t AS SELECT generate_series(1, 7) AS n"));
  if (done.failure)
    FAIL(done.failure->message);
  CHECK(done.results.back().command() == "SELECT 7");
  CHECK(own.connection.run(callers("UPDATE t SET n = n WHERE n > $1", {"4"})).results.back().affected() == 3);
}

TEST_CASE("a parameter is a value, whatever it looks like, and two statements in one text are refused") {
  own_session own;
  const std::string nasty = "'; DROP TABLE sessions; --";
  CHECK(only_value(own.connection.run(callers("SELECT $1::text", {nasty}))) == nasty);
  const auto two = own.connection.run(callers("SELECT 1; SELECT 2"));
  REQUIRE(two.failure);
  CHECK(two.failure->sqlstate == "42601");
  CHECK(own.database.value("SELECT count(*) FROM pg_class WHERE relname = 'sessions'") == "1");
  CHECK(own.value("SELECT 'goes on'") == "goes on");
}

TEST_CASE("a caller's statement is prepared once and kept; one that is not to be kept takes no place") {
  own_session own;
  for (int i = 0; i < 5; ++i)
    REQUIRE_FALSE(own.connection.run(callers("SELECT $1::text", {"x"})).failure);
  CHECK(only_value(own.connection.run({&count_prepared, {}})) == "1");
  for (int i = 0; i < 5; ++i)
    REQUIRE_FALSE(own.connection.run(callers("SELECT $1::int", {"1"}, false)).failure);
  CHECK(only_value(own.connection.run({&count_prepared, {}})) == "1");
}

TEST_CASE("past the bound the server, too, forgets what was not used for longest") {
  own_session own(6); // two are the connection's own, at first
  for (int i = 0; i < 50; ++i) {
    const auto text = std::to_string(i);
    REQUIRE(only_value(own.connection.run(callers("SELECT " + text))) == text);
    REQUIRE(only_value(own.connection.run(callers("SELECT 'often'"))) == "often");
  }
  CHECK(own.value("SELECT count(*) FROM pg_prepared_statements") == "6");
  CHECK(own.value("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT ''often'''") == "1");
  CHECK(only_value(own.connection.run(callers("SELECT 0"))) == "0"); // prepared again
}

TEST_CASE("what makes place in the cache does not touch an open transaction, even if the server has lost it") {
  own_session own(3);
  for (const auto* sql : {"SELECT 1", "SELECT 2", "SELECT 3"})
    REQUIRE_FALSE(own.connection.run(callers(sql)).failure);
  REQUIRE_FALSE(own.connection.run(callers("DEALLOCATE ALL", {}, false)).failure);
  REQUIRE_FALSE(own.connection.run(callers("BEGIN", {}, false)).failure);
  CHECK(only_value(own.connection.run(callers("SELECT 4"))) == "4");
  CHECK(only_value(own.connection.run(callers("SELECT 5"))) == "5");
  CHECK(only_value(own.connection.run(callers("SELECT 6"))) == "6");
  CHECK_FALSE(own.connection.run(callers("COMMIT", {}, false)).failure);
}

TEST_CASE("one unit with more statements than are kept is run all the same") {
  own_session own(2);
  std::vector<statement_call> calls;
  for (int i = 0; i < 20; ++i)
    calls.push_back(callers("SELECT " + std::to_string(i % 5)));
  own.connection.submit(1, std::move(calls));
  const auto& found = own.connection.outcome(1);
  REQUIRE_FALSE(found.failure);
  REQUIRE(found.results.size() == 20);
  for (int i = 0; i < 20; ++i)
    CHECK(found.results[static_cast<std::size_t>(i)].get(0, 0) == std::to_string(i % 5));
  CHECK(own.value("SELECT count(*) <= 2 FROM pg_prepared_statements") == "t");
}

TEST_CASE("a statement that the server has lost, or whose table has changed, fails once and is prepared anew") {
  own_session own;
  own.database.exec("CREATE TABLE changing (a int); INSERT INTO changing VALUES (1);"
                    "GRANT ALL ON changing TO colloquy_service");
  const auto all = callers("SELECT * FROM changing");
  REQUIRE_FALSE(own.connection.run(all).failure);
  own.database.exec("ALTER TABLE changing ADD COLUMN b int");
  const auto stale = own.connection.run(all);
  REQUIRE(stale.failure);
  CHECK(stale.failure->kind == failure_kind::retry);
  const auto anew = own.connection.run(all);
  REQUIRE_FALSE(anew.failure);
  CHECK(anew.results.back().columns() == 2);
  const auto name = own.value("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%changing'");
  REQUIRE_FALSE(own.connection.run(callers("DEALLOCATE " + name, {}, false)).failure);
  const auto lost = own.connection.run(all);
  REQUIRE(lost.failure);
  CHECK(lost.failure->kind == failure_kind::retry);
  CHECK_FALSE(own.connection.run(all).failure);
}

TEST_CASE("a session made as new keeps nothing of what was done in it, and has the service's settings again") {
  own_session own;
  const auto pid = own.connection.link().backend_pid();
  for (const auto* sql :
       {"SET statement_timeout = '1h'", "SET search_path = pg_catalog", "SET my.own = 'secret'",
        "SET TIME ZONE 'Asia/Tokyo'", "CREATE TEMP TABLE scratch (a int)", "LISTEN gossip",
        "SELECT pg_advisory_lock(42)", "PREPARE theirs AS SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SET application_name = 'disguise'", "RESET ROLE", "BEGIN", "SELECT 1"})
    REQUIRE_FALSE(own.connection.run(callers(sql, {}, false)).failure);
  CHECK(own.connection.link().in_transaction());
  const auto outcome = own.reset();
  REQUIRE_FALSE(outcome.failure);
  CHECK_FALSE(own.connection.link().in_transaction());
  CHECK(own.connection.link().backend_pid() == pid);
  CHECK(own.value("SHOW statement_timeout") == "20s");
  CHECK(own.value("SHOW search_path") == "\"public\", pg_temp");
  CHECK(own.value("SELECT coalesce(current_setting('my.own', true), '')").empty());
  CHECK(own.value("SHOW application_name") == "pipeline-test");
  CHECK(own.value("SELECT current_user") == "colloquy_service");
  CHECK(own.value("SELECT to_regclass('pg_temp.scratch') IS NULL") == "t");
  CHECK(own.value("SELECT count(*) FROM pg_listening_channels()") == "0");
  CHECK(own.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
  CHECK(own.value("SELECT count(*) FROM pg_prepared_statements WHERE name = 'theirs'") == "0");
  CHECK(own.value("SELECT count(*) FROM pg_cursors WHERE name = 'c'") == "0");
  CHECK(own.value("SHOW TIME ZONE") == own.database.value("SHOW TIME ZONE"));
}

TEST_CASE("a session in a failed transaction is made as new, and what was prepared before is prepared again") {
  own_session own;
  REQUIRE(only_value(own.connection.run({&echo, {"before"}})) == "before");
  REQUIRE_FALSE(own.connection.run(callers("BEGIN", {}, false)).failure);
  REQUIRE(own.connection.run(callers("SELECT 1 / 0", {}, false)).failure);
  CHECK(own.connection.link().in_transaction());
  CHECK(own.connection.run({&echo, {"x"}}).failure->sqlstate == "25P02");
  for (int i = 0; i < 3; ++i) { // again and again, also with nothing to clean
    const auto outcome = own.reset();
    REQUIRE_FALSE(outcome.failure);
    CHECK(only_value(own.connection.run({&echo, {"after"}})) == "after");
  }
}

TEST_CASE("a backend that ends while its session is made as new: the outcome says so, and the connection is broken") {
  own_session own;
  own.database.exec("SELECT pg_terminate_backend(" + std::to_string(own.connection.link().backend_pid()) + ")");
  const auto outcome = own.reset();
  REQUIRE(outcome.failure);
  CHECK(outcome.failure->kind == failure_kind::connection_lost);
  CHECK(own.connection.link().broken());
}

TEST_CASE("a session without the role that the settings name is refused by that name") {
  const auto database = test_database::make();
  auto target = target_of(database);
  target.settings.emplace_back("role", "no_such_role");
  driven_connection connection(target);
  connection.drive([] { return false; });
  REQUIRE(connection.link().broken());
  CHECK_THAT(connection.link().broken()->message, ContainsSubstring("no_such_role"));
}

TEST_CASE("notifications come in order with channel, payload and sender, also while nothing is run") {
  own_session own;
  REQUIRE_FALSE(own.connection.run(callers("LISTEN news", {}, false)).failure);
  CHECK(own.connection.link().take_notifications().empty());
  test_connection sender(own.database.superuser_conninfo());
  for (int i = 0; i < 3; ++i)
    sender.exec("NOTIFY news, 'number " + std::to_string(i) + "'");
  sender.exec("NOTIFY other, 'not for us'");
  sender.exec("NOTIFY news");
  std::vector<notification> got;
  own.connection.drive([&] {
    for (auto& each : own.connection.link().take_notifications())
      got.push_back(std::move(each));
    return got.size() >= 4;
  });
  REQUIRE(got.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(got[i].channel == "news");
    CHECK(got[i].payload == "number " + std::to_string(i));
    CHECK(got[i].sender_pid == sender.backend_pid());
  }
  CHECK(got[3].payload.empty());
}

TEST_CASE("a statement is cancelled at the server, from another thread, and the connection goes on") {
  own_session own;
  own.connection.submit(1, {callers("SELECT pg_sleep(60)", {}, false)});
  own.connection.submit(2, {callers("SELECT 'behind'", {}, false)});
  own.connection.advance();
  const auto pid = std::to_string(own.connection.link().backend_pid());
  while (own.database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = " + pid) !=
         "1") {
  }
  const auto request = own.connection.link().make_cancel_request();
  REQUIRE(request);
  result<void> answer = error{error_code::internal, "not run"};
  std::thread([&] { answer = request->run(); }).join();
  CHECK(answer);
  REQUIRE(own.connection.outcome(1).failure);
  CHECK(own.connection.outcome(1).failure->sqlstate == "57014");
  CHECK(only_value(own.connection.outcome(2)) == "behind");
  CHECK_FALSE(own.connection.link().broken());
}

TEST_CASE("a cancel of what has ended harms nothing, also when its connection is long gone") {
  std::optional<cancel_request> late;
  {
    own_session own;
    auto request = own.connection.link().make_cancel_request();
    REQUIRE(request);
    late = std::move(request).value();
    CHECK(late->run());
    // It reaches the backend at its leisure, at worst in one round trip of ours: never in a later one.
    int hit = 0;
    for (int i = 0; i < 20; ++i)
      hit += own.connection.run({&echo, {"x"}}).failure ? 1 : 0;
    CHECK(hit <= 1);
    CHECK_FALSE(own.connection.link().broken());
  }
  const auto outcome = late->run(); // the server says nothing about it
  if (!outcome)
    CHECK(outcome.failure().code == error_code::database_unavailable);
}
