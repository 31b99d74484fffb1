// Who waits for how long when one tenant storms the pool.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>
#include <map>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr auto service = 10ms;

pool_options for_storms(std::size_t size) {
  auto options = pool_of(size, size);
  options.acquire_timeout = 1h;
  return options;
}

/// 10,000 units of one tenant, all waiting.
std::vector<unit_answer> storm(pool_client& client, std::size_t count = 10'000) {
  std::vector<unit_answer> answers;
  for (std::size_t i = 0; i < count; ++i)
    answers.push_back(client.run(unit_for("storm")));
  return answers;
}

/// A tenant that asks again as soon as it is answered.
struct steady {
  pool_client client;
  std::string tenant;
  unit_answer current{};
  std::size_t answered = 0;

  void go_on() {
    if (current && !current->has_come())
      return;
    answered += current ? 1 : 0;
    current = client.run(unit_for(tenant));
  }
};

/// The longest that a newcomer waits, beyond its own service time, in service times.
double worst_wait_in_storm(std::size_t backends, std::size_t others) {
  // Of the default pipeline_depth, too: each unit before one in the pipeline delays it. Past 3 the figure is not kept.
  stepped_pool pool(for_storms(backends));
  pool.server.service_time = service;
  pool.warm_up();
  auto stormer = pool.client();
  const auto flood = storm(stormer);
  std::vector<steady> active;
  for (std::size_t i = 0; i < others; ++i)
    active.push_back({pool.client(), "active" + std::to_string(i)});
  auto newcomer = pool.client();
  auto worst = 0ms;
  for (int asked = 0; asked < 20; ++asked) {
    for (int step = 0; step < 7 + asked; ++step) { // at different moments
      for (auto& each : active)
        each.go_on();
      pool.advance(5ms);
    }
    const auto answer = newcomer.run(unit_for("newcomer"));
    for (int step = 0; step < 1000 && !answer->has_come(); ++step) {
      for (auto& each : active)
        each.go_on();
      pool.advance(5ms);
    }
    REQUIRE(answer->has_come());
    REQUIRE_FALSE(answer->value->failure);
    worst = std::max(worst, answer->waited() - service);
  }
  REQUIRE_FALSE(flood.back()->has_come()); // it was a storm all the time
  return static_cast<double>(worst.count()) / static_cast<double>(service.count());
}

} // namespace

TEST_CASE("in a storm of 10,000 units another tenant's next one waits (active tenants + 1) service times at most") {
  for (const std::size_t backends : {1, 2, 5})
    for (const std::size_t others : {0, 1, 5, 20}) {
      const auto worst = worst_wait_in_storm(backends, others);
      const auto tenants = others + 2; // the storm's, and the one that comes
      WARN("fairness: " << backends << " backends, a storm of 10,000 and " << others << " active tenants: worst wait "
                        << worst << " service times, allowed are " << tenants + 1);
      CHECK(worst <= static_cast<double>(tenants + 1));
    }
}

TEST_CASE("in a storm of 10,000 leases another tenant's next one waits (active tenants + 1) holding times at most") {
  constexpr auto held = 20ms;
  stepped_pool pool(for_storms(2)); // one for leases, one for units
  pool.server.reset_time = 0ms;
  pool.warm_up();
  std::vector<std::pair<pool_client, lease_answer>> waiting;
  const auto ask = [&](const std::string& tenant) {
    waiting.emplace_back(pool.client(), nullptr);
    waiting.back().second = waiting.back().first.lease(lease_for(tenant));
  };
  for (int i = 0; i < 10'000; ++i)
    ask("storm");
  pool.run();
  const auto give_back = [&] { // whatever has been granted for long enough
    for (auto& [client, lease] : waiting)
      if (lease && lease->has_come() && pool.now() - lease->came_at >= held) {
        client.end(lease);
        lease = nullptr;
      }
  };
  const std::size_t others = 5;
  std::vector<std::size_t> place(others);
  for (std::size_t i = 0; i < others; ++i) {
    place[i] = waiting.size();
    ask("active" + std::to_string(i));
  }
  const auto pass = [&] {
    for (std::size_t i = 0; i < others; ++i)
      if (!waiting[place[i]].second) {
        place[i] = waiting.size();
        ask("active" + std::to_string(i));
      }
    pool.advance(5ms);
    give_back();
  };
  auto worst = 0ms;
  auto newcomer = pool.client();
  for (int asked = 0; asked < 5; ++asked) {
    for (int step = 0; step < 31 + asked; ++step)
      pass();
    const auto answer = newcomer.lease(lease_for("newcomer"));
    for (int step = 0; step < 1000 && !answer->has_come(); ++step)
      pass();
    REQUIRE(answer->has_come());
    worst = std::max(worst, answer->waited());
    newcomer.end(answer);
  }
  const auto figure = static_cast<double>(worst.count()) / static_cast<double>(held.count());
  WARN("fairness: a storm of 10,000 leases and 5 active tenants: worst wait " << figure << " holding times");
  CHECK(figure <= static_cast<double>(others + 3));
}

TEST_CASE("shares follow the weights while several tenants wait") {
  stepped_pool pool(for_storms(2));
  pool.warm_up();
  limit_tenant gold;
  gold.tenant = "gold";
  gold.weight = 3;
  REQUIRE(pool.control(gold));
  auto client = pool.client();
  for (int i = 0; i < 1000; ++i) {
    client.run(unit_for("gold"));
    client.run(unit_for("plain"));
  }
  pool.advance(2s);
  std::map<std::string, double> served;
  for (const auto& unit : pool.server.units)
    ++served[unit.tenant];
  CHECK(served["gold"] / served["plain"] > 2.8);
  CHECK(served["gold"] / served["plain"] < 3.2);
}

TEST_CASE("a tenant has no more leases, and no more units under way, than it may have; others are served past it") {
  auto options = for_storms(6);
  options.tenant_backends_max = 2;
  options.pipeline_depth = 2;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  std::vector<lease_answer> leases;
  for (int i = 0; i < 4; ++i)
    leases.push_back(client.lease(lease_for("greedy")));
  auto modest = client.lease(lease_for("modest"));
  pool.advance(1s);
  CHECK(pool.status().leased == 3);
  CHECK(modest->has_come());
  CHECK_FALSE(leases[2]->has_come());
  client.end(leases[0]);
  pool.advance(1s);
  CHECK(leases[2]->has_come());
  CHECK_FALSE(leases[3]->has_come());

  pool.server.service_time = 1s;
  auto flood = storm(client, 50);
  auto other = client.run(unit_for("other"));
  pool.advance(500ms);
  CHECK(pool.server.under_way <= 5); // 2 backends x 2 units of the storm, and the other's
  pool.advance(1700ms);
  CHECK(other->has_come());
}

TEST_CASE("a limit of one tenant's own goes before the common one, and is lifted again") {
  stepped_pool pool(for_storms(6));
  pool.warm_up();
  limit_tenant limit;
  limit.tenant = "acme";
  limit.backends_max = 1;
  REQUIRE(pool.control(limit));
  auto client = pool.client();
  std::vector<lease_answer> leases;
  for (int i = 0; i < 3; ++i)
    leases.push_back(client.lease(lease_for("acme")));
  pool.advance(1s);
  CHECK(pool.status().leased == 1);
  limit.backends_max = 0;
  REQUIRE(pool.control(limit));
  pool.advance(1s);
  CHECK(pool.status().leased == 3);
  limit.weight = 0;
  const auto refused = pool.control(limit);
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::invalid_request);
}

TEST_CASE("a lease that its tenant may not have yet holds no backend back from units") {
  auto options = for_storms(3);
  options.pipeline_depth = 1;
  options.tenant_backends_max = 1;
  stepped_pool pool(options);
  pool.warm_up();
  pool.server.service_time = 100ms;
  auto client = pool.client();
  auto held = client.lease(lease_for("acme"));
  pool.advance(50ms);
  REQUIRE(held->has_come());
  std::vector<unit_answer> units;
  for (int i = 0; i < 40; ++i)
    units.push_back(client.run(unit_for("")));
  pool.advance(50ms);
  auto second = client.lease(lease_for("acme"));
  pool.advance(2100ms); // 40 units on two backends; on one they take twice as long
  CHECK_FALSE(second->has_come());
  CHECK(std::all_of(units.begin(), units.end(), [](const auto& each) { return each->has_come(); }));
}

TEST_CASE("the one past a tenant's 10,000 waiters is refused, and other tenants wait and are served as before") {
  stepped_pool pool(for_storms(2));
  pool.warm_up();
  REQUIRE(pool.control(pause_pool{}));
  auto client = pool.client();
  auto flood = storm(client);
  pool.run();
  CHECK(pool.status().waiting == 10'000);
  auto one_more = client.run(unit_for("storm"));
  auto other = client.run(unit_for("other"));
  pool.run();
  REQUIRE(one_more->has_come());
  REQUIRE(one_more->value->failure);
  CHECK(one_more->value->failure->kind == db::failure_kind::wait);
  CHECK_THAT(one_more->value->failure->message, ContainsSubstring("tenant_waiters_max"));
  CHECK_FALSE(other->has_come());
  for (int i = 0; i < 10'000; ++i)
    client.lease(lease_for("storm"));
  auto no_lease = client.lease(lease_for("storm"));
  pool.run();
  REQUIRE(no_lease->has_come());
  CHECK(no_lease->value->failure().code == error_code::overloaded);
  CHECK(pool.status().numbers.by_tenant.find("storm")->second.refused == 2);
  REQUIRE(pool.control(resume_pool{}));
  pool.advance(200ms);
  CHECK(other->has_come());
}

TEST_CASE("the queue as a whole is bounded") {
  auto options = for_storms(2);
  options.waiters_max = 10;
  stepped_pool pool(options);
  pool.warm_up();
  REQUIRE(pool.control(pause_pool{}));
  auto client = pool.client();
  std::vector<unit_answer> answers;
  for (int i = 0; i < 12; ++i)
    answers.push_back(client.run(unit_for("t" + std::to_string(i))));
  pool.run();
  CHECK(std::count_if(answers.begin(), answers.end(), [](const auto& each) { return each->has_come(); }) == 2);
}

TEST_CASE("a waiter that dies, and one whose deadline passes, leave no trace") {
  auto options = for_storms(2);
  options.acquire_timeout = 5s;
  stepped_pool pool(options);
  pool.warm_up();
  REQUIRE(pool.control(pause_pool{}));
  auto mortal = pool.client();
  auto patient = pool.client();
  for (int i = 0; i < 1000; ++i) {
    mortal.run(unit_for("mortal"));
    mortal.lease(lease_for("mortal"));
  }
  auto hasty = unit_for("hasty");
  hasty.deadline = pool.now() + 1s;
  auto soon_over = patient.run(hasty);
  auto whole_time = patient.run(unit_for("patient"));
  auto lease = patient.lease(lease_for("patient"));
  pool.run();
  REQUIRE(pool.status().waiting == 2003);
  mortal.die();
  pool.run();
  CHECK(pool.status().waiting == 3);
  pool.advance(1300ms);
  CHECK(pool.status().waiting == 2);
  REQUIRE(soon_over->has_come());
  CHECK(soon_over->value->failure->kind == db::failure_kind::wait);
  CHECK_THAT(soon_over->value->failure->message, ContainsSubstring("paused"));
  pool.advance(4s);
  CHECK(pool.status().waiting == 0);
  CHECK(whole_time->has_come());
  REQUIRE(lease->has_come());
  CHECK(lease->value->failure().code == error_code::database_unavailable);
  REQUIRE(pool.control(resume_pool{}));
  pool.advance(1s);
  CHECK(pool.server.units.empty()); // nothing of them is run
  CHECK(pool.status().leased == 0);
}
