// Backends that fail, and a database that cannot be reached: what the pool does until all is well again.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

pool_options of_size(std::size_t min, std::size_t max) {
  auto options = pool_of(min, max);
  options.acquire_timeout = 10s;
  return options;
}

/// When logins were tried, from the first after `from` on, as the time between each and the next.
std::vector<std::chrono::milliseconds> gaps(const fake_server& server, std::size_t from) {
  std::vector<std::chrono::milliseconds> between;
  for (auto i = from + 1; i < server.logins.size(); ++i)
    between.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(server.logins[i] - server.logins[i - 1]));
  return between;
}

bool is_about(std::chrono::milliseconds found, std::chrono::milliseconds wanted) {
  return found >= wanted * 70 / 100 && found <= wanted * 130 / 100 + 500ms; // jitter of 25 %, and ticks
}

} // namespace

TEST_CASE("a backend that was idle for long is checked before it is given out; one just used is not") {
  auto options = of_size(2, 2);
  options.health_check_interval = 1h;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  auto fresh = client.run(unit_for());
  pool.advance(50ms);
  REQUIRE(fresh->has_come());
  CHECK(pool.server.checks == 0);
  pool.advance(15s, 50ms);
  CHECK(pool.server.checks == 0);
  auto stale = client.run(unit_for());
  pool.advance(50ms);
  REQUIRE(stale->has_come());
  CHECK(pool.server.checks >= 1);
  const auto checked = pool.server.checks;
  auto lease = client.lease(lease_for());
  pool.advance(50ms);
  REQUIRE(lease->has_come());
  CHECK(pool.server.checks <= checked + 1);
}

TEST_CASE("nobody waits behind a slow unit while other backends are idle, for however long they have been") {
  auto options = of_size(5, 5);
  options.health_check_interval = 1h;
  stepped_pool pool(options);
  pool.warm_up();
  pool.advance(60s, 50ms);
  pool.server.service_time = 2s;
  auto client = pool.client();
  std::vector<unit_answer> units;
  for (int i = 0; i < 4; ++i) {
    units.push_back(client.run(unit_for()));
    pool.advance(100ms);
  }
  pool.advance(5s);
  for (const auto& unit : units) {
    REQUIRE(unit->has_come());
    CHECK(unit->waited() <= 2100ms); // its own time, and a check
  }
}

TEST_CASE("idle backends are checked every now and then, although nobody asks for one") {
  auto options = of_size(3, 3);
  options.health_check_interval = 30s;
  stepped_pool pool(options);
  pool.warm_up();
  pool.advance(29s, 50ms);
  CHECK(pool.server.checks == 0);
  pool.advance(2s, 50ms);
  CHECK(pool.server.checks == 3);
  pool.advance(60s, 50ms);
  CHECK(pool.server.checks == 9);
  CHECK(pool.status().idle == 3);
}

TEST_CASE("a backend whose check fails is replaced, and who waits for it is served by another") {
  auto options = of_size(2, 2);
  options.health_check_interval = 1h;
  stepped_pool pool(options);
  pool.warm_up();
  pool.advance(15s, 50ms);
  pool.server.checks_fail = true;
  auto client = pool.client();
  auto unit = client.run(unit_for());
  auto lease = client.lease(lease_for());
  pool.advance(1s);
  REQUIRE(unit->has_come());
  CHECK_FALSE(unit->value->failure);
  REQUIRE(lease->has_come());
  CHECK(lease->value->has_value());
  CHECK(pool.server.logins.size() == 4);
  CHECK(pool.status().total == 2);
}

TEST_CASE("backends that are lost are replaced at once, and the pool is back at its size") {
  stepped_pool pool(of_size(5, 10));
  pool.warm_up();
  pool.advance(5s);
  for (int round = 0; round < 5; ++round) {
    pool.server.cut(0);
    pool.server.kill(1); // its actor dies without a word
    pool.advance(500ms);
    CHECK(pool.status().total == 5);
    pool.advance(2s);
  }
  pool.server.cut_all();
  pool.advance(500ms);
  CHECK(pool.status().total == 5);
  CHECK(pool.server.live() == 5);
  CHECK(pool.status().numbers.disconnects == 15);
}

TEST_CASE("a backend that dies as soon as it is made counts as one that cannot be made: the delay grows") {
  stepped_pool pool(of_size(1, 2));
  for (int i = 0; i < 60 * 50; ++i) {
    pool.advance(20ms);
    pool.server.cut_all();
  }
  CHECK(pool.server.logins.size() < 30);
  pool.advance(8s);
  CHECK(pool.status().total == 1);
}

TEST_CASE("while the database is away the delay grows to its cap, and it is tried for ever") {
  auto options = of_size(3, 5);
  options.reconnect = {100ms, 5s, 25};
  stepped_pool pool(options);
  pool.server.refusal = refused();
  pool.advance(60s, 25ms);
  const auto delays = gaps(pool.server, 0);
  REQUIRE(delays.size() >= 8);
  CHECK(delays[0] <= 500ms); // the first delay, and the next tick
  for (std::size_t i = 8; i < delays.size(); ++i)
    CHECK(is_about(delays[i], 5s));
  CHECK(std::any_of(delays.begin() + 8, delays.end(), [&](const auto& each) { return each != delays[8]; })); // jitter
  const auto after_minute = pool.server.logins.size();
  pool.advance(10h, 1s);
  CHECK(pool.server.logins.size() - after_minute >= 36'000 / 8);
  CHECK(pool.server.live_max == 1);
  CHECK_THAT(pool.status().last_failure, ContainsSubstring("Connection refused"));
  CHECK(pool.status().numbers.connect_errors.at("network") == pool.server.logins.size());
}

TEST_CASE("when the database returns the pool is at its minimum within the cap") {
  auto options = of_size(5, 10);
  options.reconnect = {100ms, 5s, 25};
  stepped_pool pool(options);
  pool.warm_up();
  pool.advance(5s);
  pool.server.refusal = refused();
  pool.server.cut_all();
  pool.advance(5min, 50ms);
  CHECK(pool.status().total == 0);
  auto client = pool.client();
  auto waiting = client.run(unit_for());
  pool.run();
  pool.server.refusal.reset();
  pool.advance(7s, 25ms);
  CHECK(pool.status().total == 5);
  CHECK(pool.status().last_failure.empty());
  REQUIRE(waiting->has_come());
  CHECK_FALSE(waiting->value->failure);
}

TEST_CASE("who waits while the database is away is told why, after the time allowed") {
  stepped_pool pool(of_size(2, 5));
  pool.server.refusal = refused();
  pool.advance(1s);
  auto client = pool.client();
  auto unit = client.run(unit_for());
  auto lease = client.lease(lease_for());
  pool.advance(9s);
  CHECK_FALSE(unit->has_come());
  pool.advance(2s);
  REQUIRE(unit->has_come());
  REQUIRE(unit->value->failure);
  CHECK(unit->value->failure->kind == db::failure_kind::wait);
  CHECK_THAT(unit->value->failure->message, ContainsSubstring("Connection refused"));
  REQUIRE(lease->has_come());
  CHECK(lease->value->failure().code == error_code::database_unavailable);
  CHECK_THAT(lease->value->failure().message, ContainsSubstring("Connection refused"));
}

TEST_CASE("wrong credentials are tried after 15 s, 30 s, 60 s and every 120 s, whoever waits; new ones at once") {
  stepped_pool pool(of_size(3, 5));
  auto watcher = pool.client();
  watcher.subscribe();
  pool.server.refusal = wrong_password();
  auto client = pool.client();
  for (int i = 0; i < 6000; ++i) {
    if (i % 10 == 0)
      client.run(unit_for());
    pool.advance(100ms, 50ms);
  }
  const auto delays = gaps(pool.server, 0);
  REQUIRE(delays.size() >= 5);
  CHECK(is_about(delays[0], 15s));
  CHECK(is_about(delays[1], 30s));
  CHECK(is_about(delays[2], 60s));
  for (std::size_t i = 3; i < delays.size(); ++i)
    CHECK(is_about(delays[i], 120s));
  REQUIRE(watcher.count(pool_event_kind::error) >= 1);
  CHECK(pool.status().numbers.connect_errors.at("credentials") == pool.server.logins.size());

  pool.server.refusal.reset();
  REQUIRE(pool.control(reload_credentials{"host=127.0.0.1 user=someone password=new"}));
  pool.advance(200ms);
  CHECK(pool.status().total == 3);
}

TEST_CASE("credentials that expire while backends are there: they stay, and their number is not tried four at a time") {
  stepped_pool pool(of_size(6, 10));
  pool.warm_up();
  pool.advance(5s);
  pool.server.refusal = wrong_password();
  const auto before = pool.server.logins.size();
  for (int i = 0; i < 4; ++i)
    pool.server.cut(static_cast<std::size_t>(i));
  pool.advance(150s, 50ms);
  CHECK(pool.status().total == 2);
  CHECK(pool.server.logins.size() - before < 10); // ten within 150 s, and Supavisor blocks us
}

TEST_CASE("too many connections: the pool keeps what it has, tries seldom, and rises when there is room") {
  stepped_pool pool(of_size(2, 10));
  pool.server.places = 4;
  pool.server.service_time = 200ms;
  auto client = pool.client();
  const auto keep_busy = [&](std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 250ms) {
      for (int i = 0; i < 8; ++i)
        client.run(unit_for());
      pool.advance(250ms, 25ms);
    }
  };
  keep_busy(5s);
  CHECK(pool.status().total == 4);
  const auto before = pool.server.logins.size();
  keep_busy(120s);
  CHECK(pool.status().total == 4);
  CHECK(pool.server.logins.size() - before <= 9); // after 2, 4, 8, 16 s, then each half minute
  CHECK(pool.status().numbers.connect_errors.at("too many connections") >= 2);
  pool.server.places = 100;
  keep_busy(2min);
  CHECK(pool.status().total >= 8);
}

TEST_CASE("too many connections from the start: one backend is enough to go on, and it is never given up") {
  stepped_pool pool(of_size(5, 10));
  pool.server.places = 1;
  pool.advance(30s, 50ms);
  CHECK(pool.status().total == 1);
  auto client = pool.client();
  auto unit = client.run(unit_for());
  pool.advance(1s);
  REQUIRE(unit->has_come());
  CHECK_FALSE(unit->value->failure);
  pool.server.places = 0;
  pool.server.cut_all();
  pool.advance(60s, 50ms);
  CHECK(pool.status().total == 0);
  pool.server.places = 100;
  pool.advance(40s, 50ms);
  CHECK(pool.status().total >= 1);
  pool.advance(5min, 50ms);
  CHECK(pool.status().total == 5);
}

TEST_CASE("a pooler in transaction mode: refused at once with the reason, no connection is left, tried again later") {
  stepped_pool pool(of_size(3, 5));
  auto early = pool.client();
  auto lease = early.lease(lease_for());
  pool.server.shares_one_backend = true;
  pool.server.kind = db::endpoint_kind::pgbouncer;
  pool.advance(3s);
  REQUIRE(lease->has_come());
  CHECK(lease->value->failure().code == error_code::database_unavailable);
  auto client = pool.client();
  auto unit = client.run(unit_for());
  auto second = client.lease(lease_for());
  pool.run();
  REQUIRE(unit->has_come());
  REQUIRE(unit->value->failure);
  CHECK_THAT(unit->value->failure->message, ContainsSubstring("transaction mode"));
  REQUIRE(second->has_come());
  CHECK_THAT(second->value->failure().message, ContainsSubstring("transaction mode"));
  CHECK(pool.status().mode == db::pooling_mode::transaction);
  const auto tried = pool.server.logins.size();
  pool.advance(10s, 50ms);
  CHECK(pool.server.logins.size() == tried);
  pool.advance(10min, 50ms);
  CHECK(pool.server.logins.size() > tried);
  CHECK(pool.server.live() <= 5); // those that were found out have gone
  CHECK(pool.server.live_max <= 5);
  pool.server.shares_one_backend = false;
  pool.advance(3min, 50ms);
  CHECK(pool.status().mode == db::pooling_mode::session);
  CHECK(pool.status().total == 3);
  auto good = client.lease(lease_for());
  pool.advance(1s);
  REQUIRE(good->has_come());
  CHECK(good->value->has_value());
}
