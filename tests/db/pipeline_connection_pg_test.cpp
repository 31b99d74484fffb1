// One connection in pipeline mode against a real server: what each unit gets when its neighbours fail, and when the
// server, or the way to it, goes.
#include "db/session_queries.hpp"
#include "tests/db/driven_connection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr oid text_type[] = {oids::text};
constexpr oid int8_type[] = {oids::int8};
constexpr statement echo{"echo", "SELECT $1", text_type};
constexpr statement repeat_x{"repeat_x", "SELECT repeat('x', $1::int)", int8_type};
constexpr statement divide{"divide", "SELECT 1 / $1", int8_type};
constexpr statement insert_row{"insert_row", "INSERT INTO kept VALUES ($1)", text_type};
constexpr statement insert_missing{"insert_missing", "INSERT INTO missing VALUES ($1)", text_type};
constexpr statement insert_checked{"insert_checked", "INSERT INTO checked VALUES ($1)", text_type};
constexpr statement setting{"setting", "SELECT current_setting($1)", text_type};
constexpr statement sleep_long{"sleep_long", "SELECT pg_sleep($1)::text", int8_type};

/// A database with some tables that the service may write.
test_database make_tables() {
  auto database = test_database::make();
  database.exec("CREATE TABLE kept (value text); GRANT ALL ON kept TO colloquy_service;"
                "CREATE TABLE checked (value text); GRANT ALL ON checked TO colloquy_service;"
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'refused at commit' USING ERRCODE = '23514'; END $$;"
                "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION refuse()");
  return database;
}

std::string kept(const test_database& database) {
  return database.value("SELECT coalesce(string_agg(value, ',' ORDER BY value), '') FROM kept");
}

} // namespace

TEST_CASE("units in one pipeline: the one that fails in the middle fails alone") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  connection.submit(1, {{&insert_row, {"a"}}}); // before it is set up: sent as soon as it is
  REQUIRE(connection.make_ready());
  connection.submit(2, {{&insert_row, {"b"}}, {&divide, {encode_int8(0)}}, {&insert_row, {"c"}}});
  connection.submit(3, {{&insert_row, {"d"}}, {&divide, {encode_int8(1)}}});
  CHECK_FALSE(connection.outcome(3).failure);
  CHECK_FALSE(connection.outcome(1).failure);
  REQUIRE(connection.outcome(2).failure);
  CHECK(connection.outcome(2).failure->sqlstate == "22012");
  CHECK(connection.outcome(2).failure->kind == failure_kind::data);
  CHECK(connection.outcome(3).results.size() == 2);
  CHECK(connection.order() == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(kept(database) == "a,d");
}

TEST_CASE("a statement that cannot be prepared fails its unit; what was sent behind it may be tried again") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  REQUIRE(connection.make_ready());
  connection.submit(1, {{&insert_row, {"a"}}, {&insert_missing, {"x"}}, {&echo, {"never prepared"}}});
  connection.submit(2, {{&insert_missing, {"y"}}});
  connection.submit(3, {{&echo, {"behind"}}});
  connection.submit(4, {{&insert_row, {"b"}}});
  REQUIRE(connection.outcome(1).failure);
  CHECK(connection.outcome(1).failure->sqlstate == "42P01");
  for (const std::uint64_t tag : {2u, 3u}) { // sent in the belief that the first had prepared them
    REQUIRE(connection.outcome(tag).failure);
    CHECK(connection.outcome(tag).failure->kind == failure_kind::retry);
  }
  CHECK_FALSE(connection.outcome(4).failure); // prepared by the first, which kept that though it was rolled back
  CHECK(only_value(connection.run({&echo, {"again"}})) == "again");
  database.exec("CREATE TABLE missing (value text); GRANT ALL ON missing TO colloquy_service");
  CHECK_FALSE(connection.run({&insert_missing, {"z"}}).failure);
  CHECK(kept(database) == "b");
}

TEST_CASE("an error at the commit fails its unit and none behind it") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  REQUIRE(connection.make_ready());
  connection.submit(1, {{&insert_row, {"a"}}, {&insert_checked, {"x"}}});
  connection.submit(2, {{&insert_row, {"b"}}});
  REQUIRE(connection.outcome(1).failure);
  CHECK(connection.outcome(1).failure->sqlstate == "23514");
  CHECK_FALSE(connection.outcome(2).failure);
  CHECK(kept(database) == "b");
  CHECK_FALSE(connection.link().broken());
}

TEST_CASE("large parameters go there and back without either side waiting for the other") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  REQUIRE(connection.make_ready());
  const std::string large(std::size_t{16} << 20, 'x');
  for (std::uint64_t tag = 1; tag <= 3; ++tag)
    connection.submit(tag, {{&echo, {large}}, {&repeat_x, {encode_int8(16 << 20)}}});
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    const auto& outcome = connection.outcome(tag);
    REQUIRE_FALSE(outcome.failure);
    REQUIRE(outcome.results.size() == 2);
    CHECK((outcome.results[0].get(0, 0) == large));
    CHECK((outcome.results[1].get(0, 0) == large));
  }
}

TEST_CASE(
    "a backend terminated in the middle of a unit: all that is under way is unknown, and the server's words stay") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  REQUIRE(connection.make_ready());
  connection.submit(1, {{&insert_row, {"a"}}});
  REQUIRE_FALSE(connection.outcome(1).failure);
  connection.submit(2, {{&insert_row, {"b"}}, {&sleep_long, {encode_int8(20)}}});
  connection.submit(3, {{&insert_row, {"c"}}});
  connection.advance();
  const auto pid = std::to_string(connection.link().backend_pid());
  while (database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = " + pid) != "1")
    ;
  database.exec("SELECT pg_terminate_backend(" + pid + ")");
  for (const std::uint64_t tag : {2u, 3u}) {
    REQUIRE(connection.outcome(tag).failure);
    CHECK(connection.outcome(tag).failure->kind == failure_kind::connection_lost);
    CHECK_THAT(connection.outcome(tag).failure->message, ContainsSubstring("administrator command"));
  }
  REQUIRE(connection.link().broken());
  CHECK(kept(database) == "a");
  connection.submit(4, {{&echo, {"x"}}});
  CHECK(connection.outcome(4).failure->kind == failure_kind::wait); // never sent
}

TEST_CASE("a backend terminated while idle is noticed without a unit") {
  const auto database = make_tables();
  driven_connection connection(target_of(database));
  REQUIRE(connection.make_ready());
  database.exec("SELECT pg_terminate_backend(" + std::to_string(connection.link().backend_pid()) + ")");
  connection.drive([] { return false; });
  REQUIRE(connection.link().broken());
  CHECK(connection.link().broken()->kind == failure_kind::connection_lost);
}

TEST_CASE("a login that the server refuses: the reason is told and no unit was sent") {
  const auto database = make_tables();
  for (const std::string login : {"nobody_of_that_name", "colloquy_service"}) {
    auto target = target_of(database);
    target.conninfo = database.conninfo_as(login) + " password=wrong"; // who is not named in pg_hba.conf is asked for one
    driven_connection connection(target);
    connection.submit(1, {{&echo, {"x"}}});
    connection.drive([] { return false; });
    REQUIRE(connection.link().broken());
    CHECK_THAT(connection.link().broken()->message, ContainsSubstring(login));
    CHECK(connection.outcome(1).failure->kind == failure_kind::wait);
    CHECK_FALSE(connection.link().ready());
  }
}

TEST_CASE("a setting that the server refuses breaks the connection before any unit") {
  const auto database = make_tables();
  auto target = target_of(database);
  target.settings.emplace_back("statement_timeout", "soon");
  driven_connection connection(target);
  connection.submit(1, {{&echo, {"x"}}});
  connection.drive([] { return false; });
  REQUIRE(connection.link().broken());
  CHECK(connection.link().broken()->sqlstate == "22023");
  CHECK(connection.outcome(1).failure->kind == failure_kind::wait);
}

TEST_CASE("the settings of the service are in force") {
  const auto database = make_tables();
  driven_connection connection(target_of(database, 12'345ms));
  REQUIRE(connection.make_ready());
  const auto value = [&](const char* name) { return only_value(connection.run({&setting, {name}})); };
  CHECK(value("role") == "colloquy_service");
  CHECK(value("search_path") == "\"public\", pg_temp");
  CHECK(value("statement_timeout") == "12345ms");
  CHECK(value("idle_in_transaction_session_timeout") == "1min");
  CHECK(value("synchronous_commit") == "on");
  CHECK(value("application_name") == "pipeline-test");
  CHECK(value("client_encoding") == "UTF8");
  const auto& checked = connection.run(check_service().calls.front());
  CHECK_FALSE(checked.failure);
}

TEST_CASE("a statement over its time ends alone; the connection goes on") {
  const auto database = make_tables();
  driven_connection connection(target_of(database, 100ms));
  REQUIRE(connection.make_ready());
  connection.submit(1, {{&insert_row, {"a"}}, {&sleep_long, {encode_int8(20)}}});
  connection.submit(2, {{&insert_row, {"b"}}});
  REQUIRE(connection.outcome(1).failure);
  CHECK(connection.outcome(1).failure->sqlstate == "57014");
  CHECK(connection.outcome(1).failure->kind == failure_kind::wait);
  CHECK_FALSE(connection.outcome(2).failure);
  CHECK(kept(database) == "b");
}
