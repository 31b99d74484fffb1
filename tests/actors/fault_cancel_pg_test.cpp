// Cancelling, while cancel requests are late, lost or refused: a backend is used again only when the cancel is known to
// have landed, and a stray one hits nobody.
#include "tests/actors/fault_fixture.hpp"

#include <thread>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr fault_scope cancels_alone{traffic::cancels, reach::all};

/// One backend for units, so that they share it; a cancel is waited for for `grace`.
test_pool::options one_backend(std::chrono::milliseconds grace) {
  auto options = times_for(faults().front()); // units have all the time they need
  options.pool.connections_min = 1;
  options.pool.connections_max = 2;
  options.pool.pipeline_depth = 100;
  options.connection.cancel_grace = grace;
  return options;
}

const std::string refused = "refused";

struct cancel_fault {
  std::string name;
  bool lands;
  std::function<void(tcp_proxy&)> begin;
};

const std::vector<cancel_fault>& cancel_faults() {
  static const std::vector<cancel_fault> all{
      {"in time", true, [](tcp_proxy&) {}},
      {"delayed", true, [](tcp_proxy& proxy) { proxy.delay(flow::to_server, 300ms, cancels_alone); }},
      {"throttled", true, [](tcp_proxy& proxy) { proxy.throttle(flow::both, 40, cancels_alone); }},
      {"delayed for longer than it is waited for", false,
       [](tcp_proxy& proxy) { proxy.delay(flow::to_server, 4s, cancels_alone); }},
      {"swallowed", false, [](tcp_proxy& proxy) { proxy.swallow(flow::both, cancels_alone); }},
      {"its answer swallowed", false, [](tcp_proxy& proxy) { proxy.swallow(flow::to_client, cancels_alone); }},
      {"cut in the middle", false, [](tcp_proxy& proxy) { proxy.cut_after(flow::to_server, 7, cancels_alone); }},
      {"refused at its first byte", false,
       [](tcp_proxy& proxy) { proxy.cut_after(flow::to_server, 0, cancels_alone); }},
      {refused, false, [](tcp_proxy& proxy) { proxy.refuse(); }},
  };
  return all;
}

void heal(tcp_proxy& proxy) {
  proxy.cut(traffic::cancels);
  proxy.forward();
  proxy.accept_again();
}

std::vector<std::int32_t> backends(faulty_pool& on) {
  std::vector<std::int32_t> pids;
  for (const auto& each : on.pool.status().backends)
    pids.push_back(each.backend_pid);
  return pids;
}

bool is_running(const faulty_pool& on, const std::string& what) {
  return on.sessions_at_server("state = 'active' AND query LIKE '%" + what + "%'") == 1;
}

} // namespace

TEST_CASE("a unit past its deadline, with its cancel through each fault: answered, and its neighbours are not hit") {
  for (const auto& each : cancel_faults()) {
    DYNAMIC_SECTION("the cancel is " << each.name) {
      faulty_pool on(one_backend(2s));
      REQUIRE(on.pool.wait_for_idle(1));
      const auto before = backends(on);
      each.begin(on.proxy);
      const stopwatch watch;
      std::vector<actors::run_unit> units{actors::run_unit{sql("SELECT pg_sleep(60)")}};
      units.front().deadline = on.pool.system().clock().now() + 500ms;
      std::vector<std::string> ids;
      for (int i = 0; i < 3; ++i) { // behind it on the same backend
        ids.push_back("neighbour" + std::to_string(i));
        units.push_back(faulty_pool::counted(ids.back()));
        units.back().idempotent = true;
      }
      std::thread healer([&] { // who is refused at the door cannot connect again before
        if (each.name == refused)
          eventually([&] { return on.pool.status().total == 0; });
        if (each.name == refused)
          heal(on.proxy);
      });
      auto outcomes = on.pool.run_all(std::move(units));
      healer.join();
      watch.check();
      REQUIRE(outcomes.front().failure);
      CHECK(outcomes.front().failure->message.find("no answer") == std::string::npos);
      outcomes.erase(outcomes.begin());
      for (const auto& outcome : outcomes)
        CHECK(only_value(outcome).starts_with("neighbour"));
      CHECK(on.pool.status().numbers.cancels == 1);
      if (each.lands)
        CHECK(backends(on) == before);
      else // it is given up, though what it ran may have been cancelled
        CHECK(eventually([&] { return backends(on) != before; }));
      heal(on.proxy);
      on.check_runs(ids, outcomes, /*idempotent=*/true);
      on.database.exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid "
                       "<> pg_backend_pid()"); // that no cancel has reached
      on.check_recovered();
    }
  }
}

TEST_CASE("a cancel that comes when its unit is done already hits its neighbour unseen") {
  faulty_pool on(one_backend(5s));
  REQUIRE(on.pool.wait_for_idle(1));
  const auto before = backends(on);
  on.proxy.delay(flow::to_server, 1200ms, cancels_alone);
  std::vector<actors::run_unit> units{actors::run_unit{sql("SELECT pg_sleep(1)::text || 'done all the same'")}};
  units.front().deadline = on.pool.system().clock().now() + 300ms;
  units.push_back(actors::run_unit{sql("INSERT INTO runs SELECT 'hit' FROM pg_sleep(2) RETURNING id")});
  const auto outcomes = on.pool.run_all(std::move(units));
  CHECK(only_value(outcomes[0]) == "done all the same");
  CHECK(only_value(outcomes[1]) == "hit");
  CHECK(on.proxy.counters().cancels_passed == 1);
  on.check_runs({"hit"}, {outcomes[1]});
  CHECK(on.database.value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(before.front())) ==
        "1");
  CHECK(backends(on) == before);
  heal(on.proxy);
  on.check_recovered();
}

TEST_CASE("a unit that is done before its cancel is sent off holds its backend until the cancel is back") {
  faulty_pool on(one_backend(5s));
  REQUIRE(on.pool.wait_for_idle(1));
  on.proxy.delay(flow::to_server, 1500ms, cancels_alone);
  actors::run_unit late{sql("SELECT pg_sleep(0.8)::text || 'done all the same'")};
  late.deadline = on.pool.system().clock().now() + 200ms;
  CHECK(only_value(on.pool.run(late)) == "done all the same");
  // Sent at once it would run into the cancel, which is still on its way: so it is not sent before.
  std::vector<std::string> ids;
  std::vector<db::unit_outcome> outcomes;
  CHECK(on.proxy.counters().cancels_passed == 0);
  for (int i = 0; i < 20; ++i) {
    ids.push_back("after" + std::to_string(i));
    outcomes.push_back(on.pool.run(faulty_pool::counted(ids.back())));
    CHECK(on.proxy.counters().cancels_passed == 1);
    CHECK_FALSE(outcomes.back().failure);
  }
  on.check_runs(ids, outcomes);
  heal(on.proxy);
  on.check_recovered();
}

TEST_CASE("what a lease leaves running, with its cancel through each fault: the next lease is not hit") {
  for (const auto& each : cancel_faults()) {
    DYNAMIC_SECTION("the cancel is " << each.name) {
      auto options = one_backend(1s);
      options.pool.connections_min = 2;
      faulty_pool on(options);
      REQUIRE(on.pool.wait_for_idle(2));
      test_owner first(on.pool);
      first.lease();
      const auto backend = first.backend_pid();
      first.run_without_waiting("SELECT pg_sleep(61)");
      REQUIRE(eventually([&] { return is_running(on, "pg_sleep(61)"); }));
      each.begin(on.proxy);
      first.end();
      if (each.name == refused) {
        CHECK(eventually([&] { return on.pool.status().total == 1; }));
        heal(on.proxy);
      }
      REQUIRE(on.pool.wait_for_idle(2));
      test_owner next(on.pool);
      next.lease();
      CHECK((next.backend_pid() == backend) == each.lands);
      std::vector<std::string> ids;
      std::vector<db::unit_outcome> outcomes;
      for (int i = 0; i < 20; ++i) {
        ids.push_back("next" + std::to_string(i));
        outcomes.push_back(next.run(faulty_pool::counted(ids.back())));
        CHECK_FALSE(outcomes.back().failure);
      }
      next.end();
      heal(on.proxy);
      on.check_runs(ids, outcomes);
      on.database.exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%' AND pid "
                       "<> pg_backend_pid()");
      on.check_recovered();
    }
  }
}

TEST_CASE("a cancel that is sent again and again, of units that are done at about their deadline, hits nobody else") {
  faulty_pool on(one_backend(5s));
  REQUIRE(on.pool.wait_for_idle(1));
  on.proxy.delay(flow::both, 30ms, cancels_alone);
  std::vector<actors::run_unit> units;
  std::vector<std::string> ids;
  const auto now = on.pool.system().clock().now();
  for (int i = 0; i < 40; ++i) {
    units.push_back(actors::run_unit{sql("SELECT pg_sleep(0.07)")});
    units.back().deadline = now + i * 120ms + 100ms;
    ids.push_back("bystander" + std::to_string(i));
    units.push_back(faulty_pool::counted(ids.back()));
  }
  const auto all = on.pool.run_all(std::move(units));
  std::vector<db::unit_outcome> bystanders;
  for (std::size_t i = 1; i < all.size(); i += 2) {
    CHECK_FALSE(all[i].failure);
    bystanders.push_back(all[i]);
  }
  on.check_runs(ids, bystanders);
  CHECK(on.pool.status().numbers.disconnects == 0);
  heal(on.proxy);
  on.check_recovered();
}
