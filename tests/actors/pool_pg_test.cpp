// The pool over its life: size, replacement, control, deadlines, numbers.
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <atomic>
#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::set<std::int32_t> pids(test_pool& pool) {
  std::set<std::int32_t> all;
  for (const auto& each : pool.status().backends)
    if (each.backend_pid != 0)
      all.insert(each.backend_pid);
  return all;
}

std::string sessions_at_server(const test_database& database) {
  return database.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'colloquy-test%'");
}

} // namespace

TEST_CASE("the pool warms up to its minimum, grows while somebody waits, and shrinks again when idle") {
  const auto database = test_database::make();
  test_pool::options options;
  options.pool.connections_min = 2;
  options.pool.connections_max = 4;
  options.pool.idle_timeout = 300ms;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  CHECK(pool.status().total == 2);
  test_owner a(pool), b(pool), c(pool);
  for (auto* owner : {&a, &b, &c})
    owner->lease();
  CHECK(eventually([&] { return pool.status().total == 4; }));
  for (auto* owner : {&a, &b, &c})
    owner->end();
  CHECK(eventually([&] { return pool.status().total == 2 && pool.status().leased == 0; }));
  CHECK(eventually([&] { return sessions_at_server(database) == "2"; }));
}

TEST_CASE("a backend killed at the server is replaced, and what waits goes on") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  const auto before = pids(pool);
  database.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'colloquy-test%'");
  CHECK(eventually([&] {
    for (const auto pid : pids(pool))
      if (before.contains(pid))
        return false;
    return pool.status().idle == 2;
  }));
  CHECK(only_value(pool.run("SELECT 'well'")) == "well");
}

TEST_CASE("a unit whose outcome is unknown is run again only if it may be") {
  const auto database = test_database::make();
  database.exec("CREATE SEQUENCE runs; GRANT ALL ON SEQUENCE runs TO colloquy_service");
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  // Ends its own backend the first time it runs; a sequence does not roll back.
  const std::string once = "SELECT CASE WHEN nextval('runs') % 2 = 1 THEN pg_terminate_backend(pg_backend_pid())::text"
                           " ELSE 'done' END, pg_sleep(0.1)";
  database.exec("GRANT pg_signal_backend TO colloquy_service");
  actors::run_unit unit{sql(once)};
  const auto failed = pool.run(unit);
  REQUIRE(failed.failure);
  CHECK(failed.failure->kind == db::failure_kind::connection_lost);
  CHECK(database.value("SELECT last_value FROM runs") == "1");
  database.exec("SELECT setval('runs', 2)");
  unit.idempotent = true;
  CHECK(only_value(pool.run(unit)) == "done");
  CHECK(database.value("SELECT last_value FROM runs") == "4");
  CHECK(pool.status().numbers.retries == 1);
  database.exec("REVOKE pg_signal_backend FROM colloquy_service");
}

TEST_CASE("a unit past its deadline is cancelled at the server, and its neighbours on the backend still succeed") {
  const auto database = test_database::make();
  test_pool::options options;
  options.pool.connections_min = 1;
  options.pool.connections_max = 2;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(1));
  caf::scoped_actor self{pool.system()};
  actors::run_unit slow{sql("SELECT pg_sleep(600)")};
  slow.deadline = pool.system().clock().now() + 1s;
  std::optional<db::unit_outcome> late;
  std::atomic<int> well{0};
  auto slow_answer = self->request(pool.handle(), 60s, slow);
  std::vector<std::string> others;
  for (int i = 0; i < 8; ++i) // some of them behind it in the same pipeline
    others.push_back(only_value(pool.run("SELECT 'neighbour'")));
  slow_answer.receive([&](db::unit_outcome& outcome) { late = std::move(outcome); }, [](const caf::error&) {});
  REQUIRE(late);
  REQUIRE(late->failure);
  CHECK(late->failure->sqlstate == "57014");
  for (const auto& each : others)
    CHECK(each == "neighbour");
  CHECK(eventually([&] { return pool.status().numbers.cancels >= 1; }));
  CHECK(database.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600)%'"
                       " AND pid <> pg_backend_pid()") == "0");
  CHECK(only_value(pool.run("SELECT 'reused'")) == "reused");
}

TEST_CASE("a unit whose asker dies is cancelled at the server") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  const auto is_running = [&] {
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
                          "'%pg_sleep(601)%' AND pid <> pg_backend_pid()") == "1";
  };
  auto asker = pool.system().spawn([handle = pool.handle()](caf::event_based_actor* self) {
    self->request(handle, 600s, actors::run_unit{sql("SELECT pg_sleep(601)")})
        .then([](const db::unit_outcome&) {}, [](const caf::error&) {});
  });
  REQUIRE(eventually(is_running));
  caf::anon_send_exit(asker, caf::exit_reason::kill);
  CHECK(eventually([&] { return !is_running(); }));
  CHECK(pool.wait_for_idle(2));
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("rotation replaces every backend, each new one before its old one goes; a lease is not cut") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  owner.run("SET work_mem = '77MB'");
  const auto before = pids(pool);
  REQUIRE(pool.control(actors::rotate_pool{}));
  for (int i = 0; i < 50; ++i)
    REQUIRE(only_value(pool.run("SELECT 'always'")) == "always");
  CHECK(eventually([&] {
    std::set<std::int32_t> left;
    for (const auto pid : pids(pool))
      if (before.contains(pid))
        left.insert(pid);
    return left == std::set<std::int32_t>{owner.backend_pid()};
  }));
  CHECK(only_value(owner.run("SELECT current_setting('work_mem')")) == "77MB");
  const auto leased = owner.backend_pid();
  owner.end();
  CHECK(eventually([&] { return !pids(pool).contains(leased); }));
}

TEST_CASE("a backend past its lifetime is replaced without anybody noticing") {
  const auto database = test_database::make();
  test_pool::options options;
  options.pool.max_lifetime = 1s;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  const auto before = pids(pool);
  CHECK(eventually([&] {
    REQUIRE(only_value(pool.run("SELECT 'always'")) == "always");
    for (const auto pid : pids(pool))
      if (before.contains(pid))
        return false;
    return true;
  }));
}

TEST_CASE("a paused pool lets who comes wait, and serves them when it goes on") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  REQUIRE(pool.control(actors::pause_pool{})->paused);
  caf::scoped_actor self{pool.system()};
  auto answer = self->request(pool.handle(), 60s, actors::run_unit{sql("SELECT 'served'")});
  CHECK(eventually([&] { return pool.status().waiting == 1; }));
  CHECK_FALSE(pool.control(actors::resume_pool{})->paused);
  std::string got;
  answer.receive([&](const db::unit_outcome& outcome) { got = only_value(outcome); }, [](const caf::error&) {});
  CHECK(got == "served");
}

TEST_CASE("resizing grows and shrinks it; a size that cannot be is refused, named, with what is allowed") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  REQUIRE(pool.control(actors::resize_pool{5, 6}));
  CHECK(eventually([&] { return pool.status().idle == 5; }));
  REQUIRE(pool.control(actors::resize_pool{1, 2}));
  CHECK(eventually([&] { return pool.status().total == 2; }));
  for (const auto& wrong : {actors::resize_pool{0, 2}, actors::resize_pool{1, 1}, actors::resize_pool{3, 2}}) {
    const auto refused = pool.control(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
    CHECK_THAT(refused.failure().message, ContainsSubstring(std::to_string(wrong.min) + " to "));
  }
  CHECK(pool.status().max == 2);
}

TEST_CASE("a drain waits for leases within its limit, then cuts them; nothing more is given out") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  const auto drained = pool.control(actors::drain_pool{700ms});
  REQUIRE(drained);
  CHECK(drained->draining);
  CHECK(only_value(owner.run("SELECT 1")).starts_with("failed:"));
  const auto refused = pool.run("SELECT 1");
  REQUIRE(refused.failure);
  CHECK_THAT(refused.failure->message, ContainsSubstring("shutting down"));
  CHECK(eventually([&] { return sessions_at_server(database) == "0"; }));
}

TEST_CASE("new credentials are used for new backends, and all old ones are replaced; wrong ones leave the old in use") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  const auto before = pids(pool);
  REQUIRE(pool.control(actors::reload_credentials{database.conninfo_as("nobody_there")}));
  CHECK(eventually([&] { return !pool.status().last_failure.empty(); }));
  CHECK(only_value(pool.run("SELECT 'still'")) == "still");
  REQUIRE(pool.control(actors::reload_credentials{database.service_conninfo()}));
  CHECK(eventually([&] {
    for (const auto pid : pids(pool))
      if (before.contains(pid))
        return false;
    return pool.status().idle >= 2;
  }));
  const auto refused = pool.control(actors::reload_credentials{"hunter2"});
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.failure().message, !ContainsSubstring("hunter2"));
}

TEST_CASE("numbers: tenants, purposes, times, and the server's own view of our connections") {
  const auto database = test_database::make();
  test_pool::options options;
  options.pool.report_interval = 200ms;
  options.connection.slow_after = 50ms;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  actors::run_unit unit{sql("SELECT 1")};
  unit.tenant = "acme";
  unit.purpose = "counting";
  for (int i = 0; i < 5; ++i)
    pool.run(unit);
  actors::run_unit wrong{sql("SELECT 1/0")};
  wrong.tenant = "acme";
  pool.run(wrong);
  const auto slow_before = pool.status().numbers.slow_statements; // on a loaded machine others are slow, too
  pool.run("SELECT pg_sleep(0.1)");
  REQUIRE(eventually([&] { return pool.status().numbers.slow_statements > slow_before; }));
  const auto numbers = pool.status().numbers;
  CHECK(numbers.by_tenant.at("acme").units == 6);
  CHECK(numbers.by_tenant.at("acme").failures == 1);
  CHECK(numbers.by_purpose.at("counting").units == 5);
  CHECK(numbers.by_purpose.at("counting").query_time.count() == 5);
  CHECK(numbers.errors.at("data") == 1);
  CHECK(numbers.query_time.max() >= 100ms);
  REQUIRE(eventually([&] { return pool.status().at_server.total == 2; }));
  CHECK(pool.status().at_server.active + pool.status().at_server.idle == 2);
}

TEST_CASE("a lease held idle for long is reported with its owner, how long, and its last statement") {
  const auto database = test_database::make();
  test_pool::options options;
  options.connection.leak_after = 200ms;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  actors::lease_connection request{"forgetful agent"};
  request.tenant = "acme";
  request.idle_timeout = 600s;
  REQUIRE(owner.lease(request));
  owner.run("SELECT 'a secret value', 42");
  CHECK(eventually([&] { return pool.status().numbers.leaks == 1; }));
  const auto status = pool.status();
  const auto leased = std::find_if(status.backends.begin(), status.backends.end(),
                                   [](const auto& each) { return each.state == "leased"; });
  REQUIRE(leased != status.backends.end());
  CHECK(leased->purpose == "forgetful agent");
  CHECK(leased->tenant == "acme");
}

TEST_CASE("a statement whose table has changed, or that the server has lost, is prepared again unseen") {
  const auto database = test_database::make();
  database.exec(
      "CREATE TABLE changing (x int); GRANT ALL ON changing TO colloquy_service; INSERT INTO changing VALUES (1)");
  test_pool::options options;
  options.pool.connections_min = 1;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(1));
  CHECK(only_value(pool.run("SELECT * FROM changing")) == "1");
  database.exec("ALTER TABLE changing ALTER x TYPE text USING 'now text'");
  CHECK(only_value(pool.run("SELECT * FROM changing")) == "now text");
  pool.run("DEALLOCATE ALL");
  CHECK(only_value(pool.run("SELECT * FROM changing")) == "now text");
  CHECK(pool.status().numbers.retries == 0);
}
