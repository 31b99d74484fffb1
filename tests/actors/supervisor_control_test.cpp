// What the pool's operator does to it, and what it tells.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>
#include <set>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::set<std::int32_t> pids(const pool_status& status) {
  std::set<std::int32_t> found;
  for (const auto& each : status.backends)
    if (each.state != "connecting" && each.state != "closing")
      found.insert(each.backend_pid);
  return found;
}

resize_pool to_size(std::size_t min, std::size_t max) {
  resize_pool wanted;
  wanted.min = min;
  wanted.max = max;
  return wanted;
}

} // namespace

TEST_CASE("while the pool is paused who comes waits, and what runs goes on; resumed, all are served in order") {
  stepped_pool pool(pool_of(2, 2));
  pool.server.service_time = 100ms;
  pool.warm_up();
  auto client = pool.client();
  auto running = client.run(unit_for());
  pool.run();
  const auto paused = pool.control(pause_pool{});
  REQUIRE(paused);
  CHECK(paused->paused);
  auto first = client.run(unit_for("a"));
  auto lease = client.lease(lease_for());
  pool.advance(5s);
  CHECK(running->has_come());
  CHECK_FALSE(first->has_come());
  CHECK_FALSE(lease->has_come());
  CHECK(pool.status().waiting == 2);
  REQUIRE(pool.control(resume_pool{}));
  pool.advance(300ms);
  CHECK(first->has_come());
  CHECK(lease->has_come());
  CHECK_FALSE(pool.status().paused);
}

TEST_CASE("a larger size is filled, a smaller one shrunk to, and one that cannot be is refused and changes nothing") {
  stepped_pool pool(pool_of(2, 4));
  pool.warm_up();
  REQUIRE(pool.control(to_size(6, 8)));
  pool.advance(2s);
  CHECK(pool.status().total == 6);
  REQUIRE(pool.control(to_size(1, 2)));
  pool.advance(5s);
  CHECK(pool.status().total == 2);
  for (const auto& wrong : {to_size(0, 4), to_size(5, 4), to_size(1, 1)}) {
    const auto refused = pool.control(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
  }
  CHECK(pool.status().min == 1);
  CHECK(pool.status().max == 2);
}

TEST_CASE("resized below what is leased: no lease is cut, and what is given back goes") {
  stepped_pool pool(pool_of(6, 6));
  pool.warm_up();
  auto client = pool.client();
  std::vector<lease_answer> leases;
  for (int i = 0; i < 5; ++i)
    leases.push_back(client.lease(lease_for()));
  pool.advance(100ms);
  REQUIRE(pool.status().leased == 5);
  REQUIRE(pool.control(to_size(2, 3)));
  pool.advance(10s, 25ms);
  CHECK(pool.status().leased == 5);
  auto unit = client.run(unit_for()); // there is still a backend for units
  pool.advance(100ms);
  CHECK(unit->has_come());
  for (const auto& lease : leases) {
    auto used = client.run_on(lease, unit_for());
    pool.advance(50ms);
    CHECK_FALSE(used->value->failure);
    client.end(lease);
  }
  pool.advance(10s, 25ms);
  CHECK(pool.status().total <= 3);
  CHECK(pool.status().total >= 2);
}

TEST_CASE("resized below what is busy: the pool shrinks although somebody always waits, and cuts no unit") {
  auto options = pool_of(6, 6);
  options.pipeline_depth = 1;
  options.acquire_timeout = 1h;
  stepped_pool pool(options);
  pool.server.service_time = 100ms;
  pool.warm_up();
  auto client = pool.client();
  std::vector<unit_answer> units;
  for (int i = 0; i < 1000; ++i)
    units.push_back(client.run(unit_for()));
  pool.advance(1s);
  REQUIRE(pool.control(to_size(2, 3)));
  pool.advance(5s);
  CHECK(pool.status().total == 3);
  CHECK(pool.server.live() == 3);
  pool.advance(60s);
  CHECK(std::all_of(units.begin(), units.end(), [](const auto& each) { return each->value && !each->value->failure; }));
}

TEST_CASE("rotating replaces every backend, each new one before its old one goes, under load and leases") {
  stepped_pool pool(pool_of(4, 4));
  pool.server.service_time = 50ms;
  pool.warm_up();
  const auto before = pids(pool.status());
  REQUIRE(before.size() == 4);
  auto client = pool.client();
  auto terms = lease_for();
  terms.holder = client.as_holder();
  const auto lease = client.lease(terms);
  pool.run();
  REQUIRE(lease->has_come());
  REQUIRE(pool.control(rotate_pool{}));
  std::vector<unit_answer> units;
  std::size_t ready_min = 4;
  for (int i = 0; i < 100; ++i) {
    units.push_back(client.run(unit_for()));
    pool.advance(50ms);
    ready_min = std::min(ready_min, pool.status().total);
    if (client.recalled().size() == 1 && pool.status().leased == 1 && i > 60)
      client.end(lease);
  }
  pool.advance(5s);
  CHECK(client.recalled().size() == 1);
  CHECK(ready_min >= 4);
  CHECK(pool.server.live_max <= 5);
  CHECK(std::all_of(units.begin(), units.end(), [](const auto& each) { return each->value && !each->value->failure; }));
  const auto after = pids(pool.status());
  CHECK(after.size() == 4);
  CHECK(std::none_of(after.begin(), after.end(), [&](auto pid) { return before.contains(pid); }));
}

TEST_CASE("rotated while the database refuses: the old ones stay until new ones can be had") {
  stepped_pool pool(pool_of(3, 3));
  pool.warm_up();
  pool.advance(2s);
  const auto before = pids(pool.status());
  pool.server.refusal = refused();
  REQUIRE(pool.control(rotate_pool{}));
  pool.advance(60s, 50ms);
  CHECK(pids(pool.status()) == before);
  pool.server.refusal.reset();
  pool.advance(20s, 50ms);
  const auto after = pids(pool.status());
  CHECK(after.size() == 3);
  CHECK(std::none_of(after.begin(), after.end(), [&](auto pid) { return before.contains(pid); }));
}

TEST_CASE("rotated while backends are being checked: they go when the check is over") {
  auto options = pool_of(3, 3);
  options.health_check_interval = 30s;
  stepped_pool pool(options);
  pool.warm_up();
  const auto before = pids(pool.status());
  pool.server.check_time = 3s;
  pool.advance(30s, 50ms);
  REQUIRE(pool.status().backends.front().state == "checking");
  REQUIRE(pool.control(rotate_pool{}));
  pool.advance(20s, 50ms);
  const auto after = pids(pool.status());
  CHECK(after.size() == 3);
  CHECK(std::none_of(after.begin(), after.end(), [&](auto pid) { return before.contains(pid); }));
}

TEST_CASE("credentials that cannot be read are refused and change nothing; good ones replace every backend") {
  stepped_pool pool(pool_of(3, 3));
  pool.warm_up();
  const auto before = pids(pool.status());
  const auto refused = pool.control(reload_credentials{"postgresql://user:hunter2@[broken"});
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::invalid_request);
  CHECK_THAT(refused.failure().message, !ContainsSubstring("hunter2"));
  pool.advance(5s);
  CHECK(pids(pool.status()) == before);
  REQUIRE(pool.control(reload_credentials{"host=127.0.0.1 user=someone password=new"}));
  pool.advance(5s);
  const auto after = pids(pool.status());
  CHECK(after.size() == 3);
  CHECK(std::none_of(after.begin(), after.end(), [&](auto pid) { return before.contains(pid); }));
  CHECK(pool.server.live_max <= 4);
}

TEST_CASE("drained: who waits and who comes is refused, what runs ends, and the answer comes when all is given back") {
  stepped_pool pool(pool_of(3, 3));
  pool.server.service_time = 500ms;
  pool.warm_up();
  auto client = pool.client();
  auto terms = lease_for();
  terms.holder = client.as_holder();
  const auto lease = client.lease(terms);
  pool.run();
  std::vector<unit_answer> running;
  for (int i = 0; i < 4; ++i)
    running.push_back(client.run(unit_for()));
  pool.run();
  auto waiting = client.run(unit_for());
  pool.run();
  drain_pool drain;
  drain.limit = 10s;
  auto answer = pool.steps.ask<pool_status>(pool.pool, drain);
  auto second = pool.steps.ask<pool_status>(pool.pool, drain);
  pool.run();
  REQUIRE(waiting->has_come());
  CHECK_THAT(waiting->value->failure->message, ContainsSubstring("shutting down"));
  auto late = client.run(unit_for());
  auto late_lease = client.lease(lease_for());
  pool.advance(3s);
  CHECK(late->value->failure);
  CHECK(late_lease->value->failure().code == error_code::database_unavailable);
  for (const auto& unit : running) {
    REQUIRE(unit->has_come());
    CHECK_FALSE(unit->value->failure);
  }
  CHECK(client.recalled().size() == 1);
  CHECK_FALSE(answer->has_value()); // the lease is still held
  auto last = client.run_on(lease, unit_for());
  pool.advance(1s);
  CHECK_FALSE(last->value->failure);
  client.end(lease);
  pool.advance(1s);
  REQUIRE(answer->has_value());
  REQUIRE(second->has_value());
  CHECK((*answer)->value().draining);
  CHECK(pool.server.live() == 0);
  CHECK(pool.server.logins.size() == 3);
}

TEST_CASE("drained past its limit: the leases that are left are cut, and the answer comes all the same") {
  stepped_pool pool(pool_of(3, 3));
  pool.warm_up();
  auto client = pool.client();
  const auto lease = client.lease(lease_for());
  pool.run();
  REQUIRE(lease->has_come());
  drain_pool drain;
  drain.limit = 2s;
  auto answer = pool.steps.ask<pool_status>(pool.pool, drain);
  pool.advance(1500ms);
  CHECK_FALSE(answer->has_value());
  pool.advance(1s);
  CHECK(answer->has_value());
  pool.advance(1s);
  CHECK(pool.server.live() == 0);
}

TEST_CASE("drained while it warms up: answered at once, and no failure is made of it") {
  stepped_pool pool(pool_of(3, 3));
  auto watcher = pool.client();
  watcher.subscribe();
  pool.advance(10ms);
  drain_pool drain;
  drain.limit = 2s;
  auto answer = pool.steps.ask<pool_status>(pool.pool, drain);
  pool.advance(500ms);
  CHECK(answer->has_value());
  CHECK(pool.server.live() == 0);
  CHECK(watcher.count(pool_event_kind::error) == 0);
}

TEST_CASE("the pool's end answers whoever waits, and ends its connections") {
  stepped_pool pool(pool_of(3, 3));
  pool.warm_up();
  auto client = pool.client();
  REQUIRE(pool.control(pause_pool{}));
  auto unit = client.run(unit_for());
  auto lease = client.lease(lease_for());
  pool.run();
  caf::anon_send_exit(pool.pool, caf::exit_reason::user_shutdown);
  pool.run();
  REQUIRE(unit->has_come());
  CHECK(unit->caf_error.empty());
  CHECK(unit->value->failure);
  REQUIRE(lease->has_come());
  CHECK(lease->caf_error.empty());
  CHECK(pool.server.live() == 0);
}

TEST_CASE("subscribers hear of backends that come and go, of errors, of waiters and of a pool that is too large") {
  auto options = pool_of(4, 4);
  options.report_interval = 60s;
  stepped_pool pool(options);
  auto watcher = pool.client();
  watcher.subscribe();
  pool.run();
  pool.warm_up();
  CHECK(watcher.count(pool_event_kind::connected) == 4);
  pool.advance(61s, 50ms);
  CHECK(watcher.count(pool_event_kind::mostly_idle) == 1);
  CHECK(watcher.count(pool_event_kind::saturated) == 0);
  pool.server.service_time = 200ms;
  auto client = pool.client();
  for (int i = 0; i < 100; ++i)
    client.run(unit_for());
  pool.advance(1s);
  CHECK(watcher.count(pool_event_kind::saturated) == 1); // once, not for each
  pool.advance(10s);
  pool.server.refusal = refused();
  pool.server.cut_all();
  pool.advance(2s);
  CHECK(watcher.count(pool_event_kind::removed) == 4);
  CHECK(watcher.count(pool_event_kind::error) >= 1);
}

TEST_CASE("a dead subscriber is forgotten, also one that was served by the pool before") {
  auto options = pool_of(2, 2);
  options.acquire_timeout = 1h;
  stepped_pool pool(options);
  pool.warm_up();
  REQUIRE(pool.control(pause_pool{}));
  std::vector<pool_client> dying;
  for (int i = 0; i < 1000; ++i) { // as many as are allowed
    dying.push_back(pool.client());
    dying.back().subscribe();
    dying.back().run(unit_for()); // waits, and so is watched for that too
  }
  pool.run();
  REQUIRE(pool.control(resume_pool{}));
  pool.advance(10s, 50ms);
  for (auto& each : dying)
    each.die();
  pool.run();
  auto watcher = pool.client();
  watcher.subscribe();
  pool.run();
  pool.server.cut_all();
  pool.advance(1s);
  CHECK(watcher.count(pool_event_kind::connected) == 2);
}
