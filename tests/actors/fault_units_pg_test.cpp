// Connecting and units of work, while the way to the server is slow, cut, dead or closed.
#include "tests/actors/fault_fixture.hpp"

#include <thread>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> ids(const std::string& prefix, int count) {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i)
    all.push_back(prefix + std::to_string(i));
  return all;
}

std::vector<actors::run_unit> units_of(const std::vector<std::string>& ids, bool idempotent) {
  std::vector<actors::run_unit> all;
  for (const auto& id : ids) {
    all.push_back(faulty_pool::counted(id));
    all.back().idempotent = idempotent;
  }
  return all;
}

} // namespace

TEST_CASE(
    "connecting through each fault: who asks is answered with the reason, and the pool comes up when it is over") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      faulty_pool on(times_for(each));
      each.begin(on.proxy);
      on.proxy.cut(); // those that were quicker than the fault
      const stopwatch watch;
      const auto names = ids("u", 4);
      const auto outcomes = on.pool.run_all(units_of(names, false));
      test_owner owner(on.pool);
      actors::lease_connection wanted{"early"};
      wanted.deadline = on.pool.system().clock().now() + (each.breaks ? 500ms : 20000ms);
      const auto leased = owner.lease(wanted);
      watch.check();
      if (each.breaks) {
        for (const auto& outcome : outcomes) {
          REQUIRE(outcome.failure);
          CHECK_THAT(outcome.failure->message, ContainsSubstring("no connection to the database: "));
        }
        REQUIRE_FALSE(leased);
        CHECK(leased.failure().code == error_code::database_unavailable);
        CHECK(on.pool.status().total == 0);
        CHECK_FALSE(on.pool.status().last_failure.empty());
      } else {
        for (const auto& outcome : outcomes)
          CHECK_FALSE(outcome.failure);
        CHECK(leased);
        owner.end();
      }
      each.heal(on.proxy);
      on.check_recovered();
      on.check_runs(names, outcomes);
    }
  }
}

TEST_CASE("units through each fault: each is answered, and none is done more often than it may be") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      faulty_pool on(times_for(each));
      REQUIRE(on.pool.wait_for_idle(2));
      each.begin(on.proxy);
      const stopwatch watch;
      const auto once = ids("once", 6), repeatable = ids("repeatable", 6);
      auto all = units_of(once, false);
      for (auto& unit : units_of(repeatable, true))
        all.push_back(std::move(unit));
      auto outcomes = on.pool.run_all(std::move(all));
      watch.check();
      const std::vector<db::unit_outcome> of_repeatable(outcomes.begin() + 6, outcomes.end());
      outcomes.resize(6);
      if (!each.breaks)
        for (const auto& outcome : outcomes)
          CHECK_FALSE(outcome.failure);
      each.heal(on.proxy);
      on.check_recovered();
      on.check_runs(once, outcomes);
      on.check_runs(repeatable, of_repeatable, /*idempotent=*/true);
      if (!each.breaks)
        CHECK(on.pool.status().numbers.disconnects == 0);
    }
  }
}

TEST_CASE("a fault that is over within a unit's time is not noticed by those that may be repeated") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      auto options = times_for(each);
      options.connection.unit_timeout = 30s;
      options.pool.acquire_timeout = 30s;
      options.timeouts.statement = 25s;
      faulty_pool on(options);
      REQUIRE(on.pool.wait_for_idle(2));
      const auto names = ids("repeatable", 8);
      each.begin(on.proxy);
      std::vector<db::unit_outcome> outcomes;
      std::thread asker([&] { outcomes = on.pool.run_all(units_of(names, true)); });
      // Until the fault has met them: a backend is lost, or some bytes are, or all is only slow.
      eventually([&] { return on.pool.status().total < 2 || on.proxy.counters().bytes_swallowed > 0; }, 300ms);
      each.heal(on.proxy);
      asker.join();
      for (const auto& outcome : outcomes)
        CHECK(only_value(outcome).starts_with("repeatable"));
      on.check_recovered();
      on.check_runs(names, outcomes, /*idempotent=*/true);
    }
  }
}

TEST_CASE("a backend cut again and again is replaced each time, and units go on") {
  faulty_pool on(times_for(faults().front()));
  REQUIRE(on.pool.wait_for_idle(2));
  std::vector<std::string> names;
  std::vector<db::unit_outcome> outcomes;
  for (int round = 0; round < 6; ++round) {
    // Each time at another byte, of the setup too.
    on.proxy.cut_after(flow::to_client, static_cast<std::uint64_t>(173 * round));
    names.push_back("round" + std::to_string(round));
    outcomes.push_back(on.pool.run(faulty_pool::counted(names.back())));
    on.proxy.forward();
    REQUIRE(on.pool.wait_for_idle(2));
  }
  on.check_recovered();
  on.check_runs(names, outcomes);
}
