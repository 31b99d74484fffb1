// A lease's state is its owner's alone: after every way a lease can end, the next owner of the same backend sees
// nothing of it.
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <map>
#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// What an owner leaves behind, and the query whose answer shows whether anything of it is left.
struct trace {
  const char* name;
  std::vector<std::string> leaves;
  const char* shows;
  const char* clean;
};

const std::vector<trace>& traces() {
  static const std::vector<trace> all{
      {"a setting", {"SET work_mem = '77MB'"}, "SELECT current_setting('work_mem') = '77MB'", "f"},
      {"a setting of its own making",
       {"SELECT set_config('colloquy.tenants', 'acme', false)"},
       "SELECT coalesce(current_setting('colloquy.tenants', true), '')",
       ""},
      {"a timeout", {"SET statement_timeout = 0"}, "SELECT current_setting('statement_timeout')", "25s"},
      {"a role", {"RESET ROLE"}, "SELECT current_user", "colloquy_service"},
      {"a search path",
       {"SET search_path = pg_catalog"},
       "SELECT current_setting('search_path')",
       "\"public\", pg_temp"},
      {"a temporary table",
       {"CREATE TEMPORARY TABLE secret AS SELECT 1 AS x"},
       "SELECT count(*) FROM pg_class WHERE relname = 'secret'",
       "0"},
      {"a prepared statement",
       {"PREPARE mine AS SELECT 1"},
       "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'",
       "0"},
      {"a LISTEN", {"LISTEN news"}, "SELECT count(*) FROM pg_listening_channels()", "0"},
      {"an advisory lock",
       {"SELECT pg_advisory_lock(4711)"},
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
       "0"},
      {"an open transaction",
       {"BEGIN", "CREATE TEMPORARY TABLE secret AS SELECT 1 AS x"},
       "SELECT count(*) FROM pg_class WHERE relname = 'secret'",
       "0"},
      {"an aborted transaction", {"BEGIN", "SELECT 1/0"}, "SELECT 'usable'", "usable"},
      {"a cursor",
       {"BEGIN", "DECLARE mine CURSOR WITH HOLD FOR SELECT 1", "COMMIT"},
       "SELECT count(*) FROM pg_cursors WHERE name = 'mine'",
       "0"},
      {"a read-only default",
       {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"},
       "SELECT current_setting('transaction_read_only')",
       "off"},
      {"a name",
       {"SET application_name = 'somebody'"},
       "SELECT current_setting('application_name')",
       "colloquy-test next"},
  };
  return all;
}

/// Two backends, so that the one that is not the last is always the one leased.
test_pool::options two_backends() {
  test_pool::options options;
  options.pool.connections_min = 2;
  options.pool.connections_max = 2;
  return options;
}

/// A database in which the service may make temporary tables.
test_database make_database() {
  auto database = test_database::make();
  database.exec("GRANT TEMPORARY ON DATABASE " + database.name() + " TO colloquy_service");
  return database;
}

/// Nothing can be left behind by a statement that was refused.
void leave(test_owner& owner, const trace& left) {
  for (const auto& statement : left.leaves) {
    INFO(statement);
    const auto outcome = owner.run(statement);
    CHECK(outcome.failure.has_value() == (statement == "SELECT 1/0"));
  }
}

/// The next owner of that very backend.
void check_next_sees_nothing(test_pool& pool, std::int32_t backend, const trace& left) {
  INFO("left behind: " << left.name);
  REQUIRE(pool.wait_for_idle(2));
  // Both are leased in turn: whichever is given out first is the one that was used last.
  test_owner next(pool);
  next.lease("next");
  CHECK(next.backend_pid() == backend);
  CHECK(only_value(next.run(left.shows)) == left.clean);
  CHECK(only_value(next.run("SELECT current_user || ' ' || current_setting('statement_timeout')")) ==
        "colloquy_service 25s");
  next.end();
  REQUIRE(pool.wait_for_idle(2));
}

} // namespace

TEST_CASE("a lease ended politely leaves nothing to the next owner of its backend") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  for (const auto& left : traces()) {
    test_owner owner(pool);
    owner.lease();
    leave(owner, left);
    owner.end();
    check_next_sees_nothing(pool, owner.backend_pid(), left);
  }
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("a lease whose owner dies leaves nothing to the next owner of its backend") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  for (const auto& left : traces()) {
    test_owner owner(pool);
    owner.lease();
    leave(owner, left);
    owner.die();
    check_next_sees_nothing(pool, owner.backend_pid(), left);
  }
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("a lease that times out leaves nothing to the next owner of its backend, and its owner is refused") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  for (const auto& left : traces()) {
    test_owner owner(pool);
    actors::lease_connection request{"test"};
    request.idle_timeout = 400ms;
    REQUIRE(owner.lease(request));
    leave(owner, left);
    check_next_sees_nothing(pool, owner.backend_pid(), left);
    CHECK(only_value(owner.run("SELECT 1")) == "failed:  the lease has ended");
  }
}

TEST_CASE("a lease that ends while a statement runs has it cancelled, and its backend is used again") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  for (const bool dies : {false, true}) {
    test_owner owner(pool);
    owner.lease();
    const auto backend = owner.backend_pid();
    owner.run("SELECT set_config('work_mem', '77MB', false)");
    owner.run_without_waiting("SELECT pg_sleep(600)");
    REQUIRE(eventually([&] {
      return database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = "
                            "'active' AND pid = " +
                            std::to_string(backend)) == "1";
    }));
    if (dies)
      owner.die();
    else
      owner.end();
    check_next_sees_nothing(pool, backend, traces().front());
  }
  CHECK(pool.status().numbers.cancels >= 2);
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("an owner that has ended its lease cannot reach the next owner's backend") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  test_owner first(pool);
  first.lease();
  const auto backend = first.backend_pid();
  first.end();
  REQUIRE(pool.wait_for_idle(2));
  CHECK(only_value(first.run("SELECT 'nobody leases'")) == "failed:  the lease has ended");
  test_owner second(pool);
  second.lease();
  REQUIRE(second.backend_pid() == backend);
  CHECK(only_value(first.run("SELECT 'another leases'")) == "failed:  the lease has ended");
  CHECK(only_value(second.run("SELECT 'mine'")) == "mine");
}

TEST_CASE("a backend that was leased and not used is given back without a round trip") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  for (int i = 0; i < 10; ++i) {
    test_owner owner(pool);
    owner.lease();
    owner.end();
    REQUIRE(pool.wait_for_idle(2));
  }
  CHECK(pool.status().numbers.leases_cleaned == 0);
}

TEST_CASE("a lease that its owner gives back as broken is closed and replaced") {
  const auto database = make_database();
  test_pool pool(database.service_conninfo(), two_backends());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  const auto backend = owner.backend_pid();
  owner.end(/*reusable=*/false);
  REQUIRE(eventually([&] { return pool.status().numbers.disconnects == 1; }));
  REQUIRE(pool.wait_for_idle(2));
  for (const auto& each : pool.status().backends)
    CHECK(each.backend_pid != backend);
}

TEST_CASE("the last backend is not leased away, so that units go on") {
  const auto database = test_database::make();
  auto options = two_backends();
  options.pool.acquire_timeout = 500ms;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  test_owner first(pool), second(pool);
  first.lease();
  const auto refused = second.lease(actors::lease_connection{"second"});
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::database_unavailable);
  CHECK_THAT(refused.failure().message, ContainsSubstring("pool_max"));
  CHECK(only_value(pool.run("SELECT 'goes on'")) == "goes on");
}

TEST_CASE("a transaction of a lease spans its units; each unit of the pool commits alone") {
  const auto database = test_database::make();
  database.exec("CREATE TABLE kept (x int); GRANT ALL ON kept TO colloquy_service");
  test_pool pool(database.service_conninfo());
  test_owner owner(pool);
  owner.lease();
  owner.run("BEGIN");
  owner.run("INSERT INTO kept VALUES (1)");
  CHECK(only_value(pool.run("SELECT count(*) FROM kept")) == "0");
  owner.run("COMMIT");
  CHECK(only_value(pool.run("SELECT count(*) FROM kept")) == "1");
}
