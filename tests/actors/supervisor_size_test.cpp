// How many backends the pool has, and when: from the first one to the last, and while one takes another's place.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// A pool of that size in which each backend runs one unit at a time.
pool_options one_at_a_time(std::size_t min, std::size_t max) {
  auto options = pool_of(min, max);
  options.pipeline_depth = 1;
  options.acquire_timeout = 1h;
  return options;
}

std::vector<unit_answer> ask_for(pool_client& client, std::size_t count, const std::string& tenant = "") {
  std::vector<unit_answer> answers;
  for (std::size_t i = 0; i < count; ++i)
    answers.push_back(client.run(unit_for(tenant)));
  return answers;
}

std::size_t failures(const std::vector<unit_answer>& answers) {
  return static_cast<std::size_t>(std::count_if(answers.begin(), answers.end(),
                                                [](const auto& each) { return !each->value || each->value->failure; }));
}

} // namespace

TEST_CASE("warming up: the first backend alone, then the others to the minimum, and nobody is kept waiting for it") {
  stepped_pool pool(pool_of(5, 20));
  pool.run();
  CHECK(pool.status().connecting == 1); // answers at once
  pool.advance(15ms);
  CHECK(pool.server.logins.size() == 1);
  auto client = pool.client();
  auto early = client.run(unit_for());
  pool.advance(20ms);
  CHECK(pool.status().total == 1);
  CHECK(early->has_come());
  CHECK(pool.status().connecting == 4);
  pool.advance(20ms);
  CHECK(pool.status().total == 5);
  pool.advance(60s);
  CHECK(pool.server.logins.size() == 5);
  CHECK(pool.server.live_max == 5);
}

TEST_CASE("the pool grows one by one while somebody waits, up to its maximum") {
  stepped_pool pool(one_at_a_time(2, 6));
  pool.warm_up();
  pool.server.service_time = 1s;
  auto client = pool.client();
  auto answers = ask_for(client, 40);
  std::size_t connecting_max = 0;
  for (int i = 0; i < 60; ++i) {
    pool.advance(5ms);
    connecting_max = std::max(connecting_max, pool.status().connecting);
  }
  CHECK(pool.status().total == 6);
  CHECK(connecting_max == 1);
  pool.advance(10s, 50ms);
  CHECK(failures(answers) == 0);
  CHECK(pool.server.live_max == 6);
  CHECK(pool.server.logins.size() == 6);
}

TEST_CASE("nobody waits, so the pool does not grow") {
  stepped_pool pool(one_at_a_time(2, 6));
  pool.warm_up();
  auto client = pool.client();
  for (int i = 0; i < 100; ++i) {
    auto answers = ask_for(client, 2);
    pool.advance(20ms);
    REQUIRE(failures(answers) == 0);
  }
  CHECK(pool.server.logins.size() == 2);
}

TEST_CASE("what has been idle for long goes, down to the minimum") {
  auto options = one_at_a_time(2, 6);
  options.idle_timeout = 20s;
  stepped_pool pool(options);
  pool.warm_up();
  auto watcher = pool.client();
  watcher.subscribe();
  pool.server.service_time = 1s;
  auto client = pool.client();
  auto answers = ask_for(client, 40);
  pool.advance(10s, 50ms);
  REQUIRE(failures(answers) == 0);
  REQUIRE(pool.status().total == 6);
  pool.advance(10s, 50ms);
  CHECK(pool.status().total == 6);
  pool.advance(20s, 50ms);
  CHECK(pool.status().total == 2);
  CHECK(pool.server.live() == 2);
  CHECK(watcher.count(pool_event_kind::removed) == 4);
  pool.advance(120s, 250ms);
  CHECK(pool.status().total == 2);
}

TEST_CASE("what is in use every now and then is kept: the most recently used idle backend is used first") {
  auto options = one_at_a_time(1, 6);
  options.idle_timeout = 20s;
  stepped_pool pool(options);
  pool.server.service_time = 1s;
  auto client = pool.client();
  auto answers = ask_for(client, 24);
  pool.advance(10s, 50ms);
  REQUIRE(pool.status().total == 6);
  for (int i = 0; i < 20; ++i) {
    ask_for(client, 2);
    pool.advance(2s, 50ms);
  }
  CHECK(pool.status().total == 2);
}

TEST_CASE("past its lifetime a backend is replaced: its successor first, one at a time, spread over time") {
  auto options = pool_of(10, 10);
  options.max_lifetime = 100s;
  stepped_pool pool(options);
  pool.warm_up();
  const auto begun = pool.now();
  const auto first = pool.server.logins.size();
  REQUIRE(first == 10);
  std::size_t ready_min = 10;
  for (int i = 0; i < 110 * 4; ++i) {
    pool.advance(250ms, 25ms);
    ready_min = std::min(ready_min, pool.status().total);
  }
  CHECK(ready_min == 10);
  CHECK(pool.server.live_max == 11);
  REQUIRE(pool.server.logins.size() == 20);
  const auto soonest = pool.server.logins[10] - begun;
  const auto latest = pool.server.logins[19] - begun;
  CHECK(soonest >= 89s);
  CHECK(latest <= 101s);
  CHECK(latest - soonest >= 3s);
}

TEST_CASE("a lease is not cut for its backend's age: its holder is told, and the backend goes when it is given back") {
  auto options = pool_of(3, 3);
  options.max_lifetime = 60s;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  auto terms = lease_for();
  terms.holder = client.as_holder();
  const auto lease = client.lease(terms);
  pool.run();
  REQUIRE(lease->value->has_value());
  const auto pid = lease->value->value().backend_pid;
  pool.advance(600s, 250ms);
  CHECK(client.recalled() == std::vector<lease_id>{lease->value->value().lease});
  CHECK(client.lost().empty());
  CHECK(pool.status().leased == 1);
  CHECK(pool.server.live_max <= 4);
  const auto used = client.run_on(lease, unit_for());
  pool.advance(50ms);
  REQUIRE(used->value);
  CHECK_FALSE(used->value->failure);
  client.end(lease);
  pool.advance(1s);
  const auto status = pool.status();
  CHECK(std::none_of(status.backends.begin(), status.backends.end(),
                     [pid](const auto& each) { return each.backend_pid == pid; }));
  CHECK(status.total == 3);
}

TEST_CASE("units are never cut for a backend's age, and there is never more than one backend above the maximum") {
  auto options = one_at_a_time(4, 4);
  options.max_lifetime = 20s;
  options.pipeline_depth = 4;
  stepped_pool pool(options);
  pool.warm_up();
  pool.server.service_time = 3s;
  auto client = pool.client();
  std::vector<unit_answer> answers;
  for (int i = 0; i < 100; ++i) {
    answers.push_back(client.run(unit_for()));
    pool.advance(750ms, 50ms);
  }
  pool.advance(60s, 50ms);
  CHECK(failures(answers) == 0);
  CHECK(pool.server.logins.size() > 12);
  CHECK(pool.server.live_max <= 5);
}

TEST_CASE("leases on all backends past their lifetime: still at most one backend above the maximum") {
  auto options = pool_of(2, 6);
  options.max_lifetime = 20s;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  std::vector<lease_answer> leases;
  for (int i = 0; i < 5; ++i)
    leases.push_back(client.lease(lease_for()));
  auto waiting = client.lease(lease_for()); // the sixth backend is for units
  pool.advance(5s);
  REQUIRE(pool.status().leased == 5);
  for (int i = 0; i < 40; ++i) {
    auto unit = client.run(unit_for());
    pool.advance(1s, 25ms);
    REQUIRE(unit->has_come());
    CHECK_FALSE(unit->value->failure);
  }
  CHECK(pool.server.live_max <= 7);
  for (const auto& lease : leases)
    client.end(lease);
  pool.advance(10s, 25ms);
  CHECK(pool.status().leased == 0);
  CHECK(pool.status().total >= 2);
  CHECK(pool.status().total <= 6);
}
