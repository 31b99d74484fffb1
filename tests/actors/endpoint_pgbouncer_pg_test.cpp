// The pool behind PgBouncer: session mode does all that a direct server does, transaction mode is found out and
// refused.
#include "actors/listener.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <atomic>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

test_pool::options quick() {
  test_pool::options options;
  options.pool.acquire_timeout = 5s;
  options.pool.reconnect = {50ms, 300ms, 25};
  options.connection.connect_timeout = 5s;
  options.connection.cancel_grace = 5s;
  return options;
}

actors::channel_subscriber::behavior_type count_news(actors::channel_subscriber::pointer,
                                                     std::shared_ptr<std::atomic<int>> heard) {
  return {[heard](const actors::channel_notified&) { ++*heard; }, [](const actors::channel_gap&) {}};
}

bool is_asleep(const own_cluster& server, const std::string& what) {
  return server.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%" + what +
                      "%' AND pid <> pg_backend_pid()") != "0";
}

} // namespace

TEST_CASE("behind PgBouncer in session mode: its kind, leases and settings, prepared statements, pipelines") {
  own_cluster server;
  pgbouncer pooler(in_front_of(server));
  test_pool pool(pooler.conninfo(), quick());
  REQUIRE(pool.wait_for_idle(2));
  CHECK(pool.status().kind == db::endpoint_kind::pgbouncer);
  CHECK(pool.status().mode == db::pooling_mode::session);
  test_owner owner(pool);
  owner.lease();
  const auto backend = owner.backend_pid();
  CHECK(only_value(owner.run("SELECT pg_backend_pid()")) == std::to_string(backend)); // the true one
  owner.run("SET work_mem = '77MB'");
  owner.run("PREPARE mine AS SELECT 'prepared'");
  CHECK(only_value(owner.run("SHOW work_mem")) == "77MB");
  CHECK(only_value(owner.run("EXECUTE mine")) == "prepared");
  owner.end();
  REQUIRE(pool.wait_for_idle(2));
  test_owner next(pool);
  next.lease();
  CHECK(next.backend_pid() == backend);
  CHECK(only_value(next.run("SELECT current_setting('work_mem') = '77MB'")) == "f");
  CHECK(only_value(next.run("SELECT current_user || ' ' || current_setting('statement_timeout')")) ==
        "colloquy_service 25s");
  next.end();
  std::vector<actors::run_unit> units;
  for (int i = 0; i < 200; ++i)
    units.push_back(actors::run_unit{sql("SELECT $1::int * 2", {std::to_string(i)})});
  const auto outcomes = pool.run_all(std::move(units));
  for (int i = 0; i < 200; ++i)
    REQUIRE(only_value(outcomes[static_cast<std::size_t>(i)]) == std::to_string(2 * i));
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("behind PgBouncer in session mode a running statement is cancelled at the server, and its backend kept") {
  own_cluster server;
  pgbouncer pooler(in_front_of(server));
  test_pool pool(pooler.conninfo(), quick());
  REQUIRE(pool.wait_for_idle(2));
  actors::run_unit slow{sql("SELECT pg_sleep(600)")};
  slow.deadline = pool.system().clock().now() + 500ms;
  const auto outcome = pool.run(slow);
  REQUIRE(outcome.failure);
  CHECK(outcome.failure->sqlstate == "57014");
  CHECK(eventually([&] { return !is_asleep(server, "pg_sleep(600)"); }));
  test_owner owner(pool);
  owner.lease();
  owner.run_without_waiting("SELECT pg_sleep(601)");
  REQUIRE(eventually([&] { return is_asleep(server, "pg_sleep(601)"); }));
  owner.die();
  CHECK(eventually([&] { return !is_asleep(server, "pg_sleep(601)"); }));
  CHECK(pool.wait_for_idle(2));
  CHECK(only_value(pool.run("SELECT 'well'")) == "well");
  CHECK(pool.status().numbers.disconnects == 0);
}

TEST_CASE("behind PgBouncer in session mode LISTEN hears what a direct session says") {
  own_cluster server;
  pgbouncer pooler(in_front_of(server));
  test_pool pool(pooler.conninfo(), quick());
  REQUIRE(pool.wait_for_idle(2));
  auto heard = std::make_shared<std::atomic<int>>(0);
  auto subscriber = pool.system().spawn(count_news, heard);
  auto listener = caf::actor_cast<actors::listener_actor>(pool.system().spawn<actors::listener>(
      caf::actor_cast<actors::supervisor_actor>(pool.handle()), actors::listener_options{}));
  caf::scoped_actor self{pool.system()};
  bool is_listening = false;
  self->request(listener, 60s, actors::listen_to{"news", subscriber})
      .receive([&](const result<actors::listening>& answer) { is_listening = static_cast<bool>(answer); },
               [](const caf::error&) {});
  CHECK(is_listening);
  server.value("SELECT pg_notify('news', 'one')");
  CHECK(eventually([&] { return *heard == 1; }));
  self->send_exit(subscriber, caf::exit_reason::user_shutdown);
  self->send_exit(listener, caf::exit_reason::user_shutdown);
  self->wait_for(listener);
}

TEST_CASE("PgBouncer ended and started again, or told to drop everybody: the pool comes back without help") {
  own_cluster server;
  pgbouncer pooler(in_front_of(server));
  test_pool pool(pooler.conninfo(), quick());
  REQUIRE(pool.wait_for_idle(2));
  pooler.stop();
  REQUIRE(eventually([&] { return pool.status().total == 0; }));
  pooler.start();
  REQUIRE(pool.wait_for_idle(2));
  pooler.admin("KILL colloquy");
  REQUIRE(eventually([&] { return pool.status().total == 0; }));
  pooler.admin("RESUME colloquy");
  REQUIRE(pool.wait_for_idle(2));
  server.restart();
  CHECK(eventually([&] { return only_value(pool.run("SELECT 'well'")) == "well"; }));
  CHECK(pool.wait_for_idle(2));
}

TEST_CASE("PgBouncer with fewer sessions than the pool wants: the pool works with those that there are, and says why") {
  own_cluster server;
  auto options = in_front_of(server);
  options.default_pool_size = 2;
  options.query_wait_timeout_s = 1;
  pgbouncer pooler(std::move(options));
  auto three = quick();
  three.pool.connections_min = 3;
  test_pool pool(pooler.conninfo(), three);
  REQUIRE(pool.wait_for_idle(2));
  REQUIRE(eventually([&] { return !pool.status().last_failure.empty(); }));
  CHECK_THAT(pool.status().last_failure, ContainsSubstring("default_pool_size"));
  CHECK(pool.status().total == 2);
  CHECK(only_value(pool.run("SELECT 'goes on'")) == "goes on");
  test_owner owner(pool);
  owner.lease();
  CHECK(only_value(owner.run("SELECT 'a lease'")) == "a lease");
  owner.end();
}

TEST_CASE("PgBouncer in transaction mode is found out and refused, with what to use instead") {
  own_cluster server;
  for (const int sessions : {1, 5}) { // at the server; one is shared, of five each gets its own at first
    for (const std::size_t min : {std::size_t{1}, std::size_t{2}}) {
      CAPTURE(sessions, min);
      auto pooling = in_front_of(server, "transaction");
      pooling.default_pool_size = sessions;
      pgbouncer pooler(std::move(pooling));
      auto options = quick();
      options.pool.connections_min = min;
      options.pool.connections_max = 4;
      test_pool pool(pooler.conninfo(), options);
      REQUIRE(eventually([&] { return pool.status().mode == db::pooling_mode::transaction; }));
      const auto begun = std::chrono::steady_clock::now();
      for (int i = 0; i < 10; ++i) {
        test_owner owner(pool);
        const auto leased = owner.lease(actors::lease_connection{"refused"});
        REQUIRE_FALSE(leased);
        CHECK(leased.failure().code == error_code::database_unavailable);
        CHECK_THAT(leased.failure().message, ContainsSubstring("pool_mode"));
        CHECK_THAT(leased.failure().message, ContainsSubstring("session"));
        const auto outcome = pool.run("SELECT 1");
        REQUIRE(outcome.failure);
        CHECK(outcome.failure->message == leased.failure().message);
      }
      CHECK(std::chrono::steady_clock::now() - begun < options.pool.acquire_timeout); // at once, all of them
      CHECK(pool.status().leased == 0);
    }
  }
}
