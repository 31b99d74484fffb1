// Leases: how they are given beside units, and everything that ends one.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

pool_options of_size(std::size_t size) {
  auto options = pool_of(size, size);
  options.acquire_timeout = 1h;
  options.pipeline_depth = 2;
  return options;
}

bool was_granted(const lease_answer& lease) {
  return lease->has_come() && lease->value && lease->value->has_value();
}

lease_id id_of(const lease_answer& lease) {
  return lease->value->value().lease;
}

/// As many units as keep all backends busy, again and again.
struct unit_stream {
  stepped_pool& pool;
  pool_client client;
  std::size_t width;
  std::vector<unit_answer> under_way{};
  std::size_t done = 0;

  void pass(std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 5ms) {
      done += std::erase_if(under_way, [](const auto& each) { return each->has_come(); });
      while (under_way.size() < width)
        under_way.push_back(client.run(unit_for("stream")));
      pool.advance(5ms);
    }
  }
};

} // namespace

TEST_CASE("a lease is granted although units keep every backend busy") {
  for (const std::size_t size : {2, 5}) {
    stepped_pool pool(of_size(size));
    pool.server.service_time = 50ms;
    pool.warm_up();
    unit_stream stream{pool, pool.client(), size * 4};
    stream.pass(1s);
    auto client = pool.client();
    const auto lease = client.lease(lease_for());
    stream.pass(500ms);
    REQUIRE(was_granted(lease));
    CHECK(lease->waited() <= 3 * pool.server.service_time); // a pipeline of two runs empty, no more
    const auto before = stream.done;
    stream.pass(1s);
    CHECK(stream.done - before >= 19 * (size - 1)); // units go on, on the others
  }
}

TEST_CASE("units go on although leases hold and wait for all backends but one") {
  stepped_pool pool(of_size(4));
  pool.server.service_time = 50ms;
  pool.warm_up();
  auto client = pool.client();
  std::vector<lease_answer> leases;
  for (int i = 0; i < 10; ++i)
    leases.push_back(client.lease(lease_for()));
  pool.advance(1s);
  CHECK(std::count_if(leases.begin(), leases.end(), was_granted) == 3);
  unit_stream stream{pool, pool.client(), 4};
  stream.pass(1s);
  CHECK(stream.done >= 18);
  CHECK(std::count_if(leases.begin(), leases.end(), was_granted) == 3);
}

TEST_CASE("units of others never come to a leased backend") {
  stepped_pool pool(of_size(3));
  pool.server.service_time = 20ms;
  pool.warm_up();
  unit_stream stream{pool, pool.client(), 6};
  for (int i = 0; i < 20; ++i) {
    auto client = pool.client();
    const auto lease = client.lease(lease_for());
    stream.pass(200ms);
    REQUIRE(was_granted(lease));
    auto own = client.run_on(lease, unit_for());
    stream.pass(100ms);
    REQUIRE(own->has_come());
    CHECK_FALSE(own->value->failure);
    if (i % 2 == 0)
      client.end(lease);
    else
      client.die();
  }
  stream.pass(1s);
  CHECK(pool.server.strays == 0);
  CHECK(pool.status().leased == 0);
}

TEST_CASE("a lease ends with its owner, and its backend is as new for the next") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto owner = pool.client();
  const auto lease = owner.lease(lease_for("acme", "work"));
  pool.run();
  REQUIRE(was_granted(lease));
  owner.run_on(lease, unit_for());
  pool.advance(50ms);
  auto next = pool.client();
  const auto waiting = next.lease(lease_for());
  pool.advance(1s);
  CHECK_FALSE(was_granted(waiting));
  owner.die();
  pool.advance(50ms);
  REQUIRE(was_granted(waiting));
  CHECK(id_of(waiting) != id_of(lease));
  CHECK(pool.server.resets == 1);
  CHECK(pool.status().numbers.leases_cleaned == 1);
  CHECK(pool.server.logins.size() == 2);
}

TEST_CASE("an owner that dies without faith in its backend has it closed, and another one made") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto owner = pool.client();
  auto terms = lease_for();
  terms.reusable = false;
  const auto lease = owner.lease(terms);
  pool.run();
  REQUIRE(was_granted(lease));
  owner.die();
  pool.advance(100ms);
  CHECK(pool.server.resets == 0);
  CHECK(pool.server.logins.size() == 3);
  CHECK(pool.status().idle == 2);
  CHECK(pool.status().last_failure.empty());
}

TEST_CASE("one that asked for a lease and died before it was granted holds nothing") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto holder = pool.client();
  const auto first = holder.lease(lease_for());
  pool.run();
  auto mortal = pool.client();
  mortal.lease(lease_for());
  pool.run();
  mortal.die();
  pool.run();
  holder.end(first);
  pool.advance(1s);
  CHECK(pool.status().leased == 0);
  CHECK(pool.status().idle == 2);
}

TEST_CASE("a lease that is idle for its idle timeout ends, and its holder's next unit is refused") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto owner = pool.client();
  auto terms = lease_for();
  terms.idle_timeout = 10s;
  const auto lease = owner.lease(terms);
  pool.run();
  REQUIRE(was_granted(lease));
  for (int i = 0; i < 5; ++i) { // used, it lasts
    pool.advance(8s, 50ms);
    owner.run_on(lease, unit_for());
  }
  CHECK(pool.status().leased == 1);
  pool.advance(11s, 50ms);
  CHECK(pool.status().leased == 0);
  auto late = owner.run_on(lease, unit_for());
  pool.advance(1s);
  REQUIRE(late->has_come());
  REQUIRE(late->value->failure);
  CHECK_THAT(late->value->failure->message, ContainsSubstring("lease has ended"));
}

TEST_CASE("a lease ended twice, or under an old number, ends nothing else") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto first = pool.client();
  const auto old = first.lease(lease_for());
  pool.run();
  first.end(old);
  first.end(old);
  pool.advance(100ms);
  CHECK(pool.status().idle == 2);
  auto second = pool.client();
  const auto current = second.lease(lease_for());
  pool.advance(100ms);
  REQUIRE(was_granted(current));
  first.end(old);
  first.end(old, /*reusable=*/false);
  pool.advance(1s);
  CHECK(pool.status().leased == 1);
  auto own = second.run_on(current, unit_for());
  pool.advance(100ms);
  REQUIRE(own->has_come());
  CHECK_FALSE(own->value->failure);
  first.die();
  pool.advance(100ms);
  CHECK(pool.status().leased == 1);
}

TEST_CASE("a lease whose backend is lost: the holder is told, its end harms nothing, the next lease gets another") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto owner = pool.client();
  auto terms = lease_for("acme");
  terms.holder = owner.as_holder();
  const auto lease = owner.lease(terms);
  pool.run();
  REQUIRE(was_granted(lease));
  pool.advance(2s);
  pool.server.cut_all();
  pool.advance(1s);
  CHECK(owner.lost() == std::vector<lease_id>{id_of(lease)});
  CHECK(pool.status().leased == 0);
  CHECK(pool.status().total == 2);
  owner.end(lease);
  auto next = owner.lease(lease_for("acme"));
  pool.advance(1s);
  CHECK(was_granted(next));
  CHECK(pool.status().leased == 1);
}

TEST_CASE("a lease that has run nothing for suspiciously long is told of by name, with what it ran last") {
  stepped_pool pool(of_size(2));
  pool.warm_up();
  auto watcher = pool.client();
  watcher.subscribe();
  auto owner = pool.client();
  auto terms = lease_for("acme", "nightly report");
  terms.idle_timeout = 10min;
  const auto lease = owner.lease(terms);
  pool.run();
  REQUIRE(was_granted(lease));
  owner.run_on(lease, unit_for());
  pool.advance(90s, 250ms);
  REQUIRE(watcher.count(pool_event_kind::error) == 1);
  const auto& told = std::find_if(watcher.events().begin(), watcher.events().end(), [](const auto& each) {
                       return each.kind == pool_event_kind::error;
                     })->what;
  CHECK_THAT(told, ContainsSubstring("nightly report") && ContainsSubstring("acme") && ContainsSubstring("SELECT ?"));
  CHECK(pool.status().numbers.leaks == 1);
  CHECK(pool.status().leased == 1); // told of, not cut
}

TEST_CASE("a backend that was held out of use for a lease that gave up takes units again") {
  auto options = of_size(2);
  options.acquire_timeout = 1s;
  stepped_pool pool(options);
  pool.warm_up();
  pool.server.service_time = 4s; // no backend is ever idle in time
  auto client = pool.client();
  std::vector<unit_answer> first;
  for (int i = 0; i < 4; ++i)
    first.push_back(client.run(unit_for()));
  pool.run();
  const auto lease = client.lease(lease_for());
  pool.advance(2s);
  REQUIRE(lease->has_come());
  CHECK_FALSE(was_granted(lease));
  pool.advance(8s);
  pool.server.service_time = 100ms;
  std::vector<unit_answer> second;
  for (int i = 0; i < 4; ++i)
    second.push_back(client.run(unit_for()));
  pool.advance(250ms); // two of each backend, one after the other
  CHECK(std::all_of(second.begin(), second.end(), [](const auto& each) { return each->has_come(); }));
}
