// What a connection takes care of beside running units, where one user of the pool could harm another.
#include "actors/listener.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// One backend for units, so that they share its pipeline; the other is leased away.
test_pool::options one_shared_backend() {
  test_pool::options options;
  options.pool.connections_min = 2;
  options.pool.connections_max = 2;
  options.pool.pipeline_depth = 4;
  return options;
}

bool runs(const test_database& database, const std::string& what) {
  return database.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%" + what +
                        "%' AND pid <> pg_backend_pid()") != "0";
}

} // namespace

TEST_CASE("COPY is refused with its connection, and neither the pool nor anybody else hangs") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  for (const auto* copy : {"COPY (SELECT 1) TO STDOUT", "COPY pg_class FROM STDIN"}) {
    test_owner owner(pool);
    owner.lease();
    const auto outcome = owner.run(copy);
    REQUIRE(outcome.failure);
    owner.end();
    CHECK(only_value(pool.run("SELECT 'well'")) == "well");
    CHECK(pool.wait_for_idle(2));
  }
}

TEST_CASE("a unit with every right to run is not cut off because its neighbour is cancelled") {
  const auto database = test_database::make();
  auto options = one_shared_backend();
  options.connection.cancel_grace = 1s;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  caf::scoped_actor self{pool.system()};
  actors::run_unit overdue{sql("SELECT pg_sleep(600)")};
  overdue.deadline = pool.system().clock().now() + 500ms;
  auto first = self->request(pool.handle(), 60s, overdue);
  auto second = self->request(pool.handle(), 60s, actors::run_unit{sql("SELECT pg_sleep(3)::text || 'done'")});
  std::string got_first, got_second;
  first.receive([&](const db::unit_outcome& outcome) { got_first = only_value(outcome); }, [](const caf::error&) {});
  second.receive([&](const db::unit_outcome& outcome) { got_second = only_value(outcome); }, [](const caf::error&) {});
  CHECK(got_first.starts_with("failed: 57014"));
  CHECK(got_second == "done");
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("an asker with two units under way is still looked after when the first has ended") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  auto asker = pool.system().spawn([handle = pool.handle()](caf::event_based_actor* self) {
    for (const auto* text : {"SELECT pg_sleep(1)", "SELECT pg_sleep(602)"})
      self->request(handle, 600s, actors::run_unit{sql(text)})
          .then([](const db::unit_outcome&) {}, [](const caf::error&) {});
  });
  REQUIRE(eventually([&] { return runs(database, "pg_sleep(602)") && !runs(database, "pg_sleep(1)"); }));
  REQUIRE(eventually([&] { return pool.status().numbers.query_time.count() >= 1; }));
  caf::anon_send_exit(asker, caf::exit_reason::kill);
  CHECK(eventually([&] { return !runs(database, "pg_sleep(602)"); }));
}

TEST_CASE("a subscriber of two channels that stops one and dies is forgotten by both") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  auto listener = caf::actor_cast<actors::listener_actor>(pool.system().spawn<actors::listener>(
      caf::actor_cast<actors::supervisor_actor>(pool.handle()), actors::listener_options{}));
  const auto subscriber = pool.system().spawn([]() -> actors::channel_subscriber::behavior_type {
    return {[](const actors::channel_notified&) {}, [](const actors::channel_gap&) {}};
  });
  caf::scoped_actor self{pool.system()};
  for (const auto* channel : {"one", "two"})
    self->request(listener, 60s, actors::listen_to{channel, subscriber})
        .receive([](const result<actors::listening>& answer) { CHECK(answer); }, [](const caf::error&) {});
  self->send(listener, actors::stop_listening{"one", subscriber});
  CHECK(eventually([&] { return pool.status().leased == 1; }));
  self->send_exit(subscriber, caf::exit_reason::kill);
  CHECK(eventually([&] { return pool.status().leased == 0; }));
  self->send_exit(listener, caf::exit_reason::user_shutdown);
  self->wait_for(listener);
}

TEST_CASE("a unit that leaves a transaction open, or changes the role, poisons its backend, which is replaced") {
  const auto database = test_database::make();
  auto options = one_shared_backend();
  options.pool.health_check_interval = 300ms;
  test_pool pool(database.service_conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool); // the other one
  owner.lease();
  pool.run("BEGIN");
  REQUIRE(eventually([&] { return pool.status().numbers.disconnects == 1; }));
  REQUIRE(pool.wait_for_idle(1));
  CHECK(only_value(pool.run("SELECT pg_current_xact_id_if_assigned() IS NULL")) == "t");
  pool.run("SELECT set_config('role', 'none', false)");
  REQUIRE(eventually([&] { return pool.status().numbers.disconnects == 2; }));
  REQUIRE(pool.wait_for_idle(1));
  CHECK(only_value(pool.run("SELECT current_user")) == "colloquy_service");
}

TEST_CASE("what runs on a lease that is not to be used again is cancelled at the server") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  owner.run_without_waiting("SELECT pg_sleep(603)");
  REQUIRE(eventually([&] { return runs(database, "pg_sleep(603)"); }));
  owner.end(/*reusable=*/false);
  CHECK(eventually([&] { return !runs(database, "pg_sleep(603)"); }));
}

TEST_CASE("a leaseholder whose backend is gone is answered with that, until it ends the lease") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  owner.lease();
  const auto before = pool.status().numbers.disconnects;
  database.exec("SELECT pg_terminate_backend(" + std::to_string(owner.backend_pid()) + ")");
  REQUIRE(eventually([&] { return pool.status().numbers.disconnects > before; }));
  for (int i = 0; i < 3; ++i)
    CHECK(only_value(owner.run("SELECT 1")) == "failed:  the connection is gone");
  CHECK(pool.wait_for_idle(2));
  owner.end();
}

TEST_CASE("the idle time of a lease begins when its last statement ends") {
  const auto database = test_database::make();
  test_pool pool(database.service_conninfo());
  REQUIRE(pool.wait_for_idle(2));
  test_owner owner(pool);
  actors::lease_connection request{"test"};
  request.idle_timeout = 1s;
  REQUIRE(owner.lease(request));
  owner.run("SELECT pg_sleep(2)");
  CHECK(only_value(owner.run("SELECT 'still mine'")) == "still mine");
}
