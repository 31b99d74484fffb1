// A pool behind a proxy that misbehaves, the faults that it is put through, and what must hold during and after each.
#pragma once

#include "tests/support/catch.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace colloquy::test {

struct fault {
  const char* name;
  bool breaks; ///< connections; otherwise it only makes them slow
  std::function<void(tcp_proxy&)> begin;
  std::function<void(tcp_proxy&)> heal;
};

/// Delay, throttle, cut in mid-message in either direction, swallow, refuse.
inline const std::vector<fault>& faults() {
  using namespace std::chrono_literals;
  static const std::vector<fault> all{
      {"delay", false, [](tcp_proxy& proxy) { proxy.delay(flow::both, 60ms); },
       [](tcp_proxy& proxy) { proxy.forward(); }},
      {"throttle", false, [](tcp_proxy& proxy) { proxy.throttle(flow::both, 8 * 1024); },
       [](tcp_proxy& proxy) { proxy.forward(); }},
      {"cut in the middle of an answer", true, [](tcp_proxy& proxy) { proxy.cut_after(flow::to_client, 23); },
       [](tcp_proxy& proxy) { proxy.forward(); }},
      {"cut in the middle of a request", true, [](tcp_proxy& proxy) { proxy.cut_after(flow::to_server, 23); },
       [](tcp_proxy& proxy) { proxy.forward(); }},
      {"swallow", true, [](tcp_proxy& proxy) { proxy.swallow(flow::both); },
       // A stream that has lost bytes does not go on: whoever comes back to life resets it.
       [](tcp_proxy& proxy) {
         proxy.cut();
         proxy.forward();
       }},
      {"refuse", true,
       [](tcp_proxy& proxy) {
         proxy.refuse();
         proxy.cut(); // those that are open would go on
       },
       [](tcp_proxy& proxy) { proxy.accept_again(); }},
  };
  return all;
}

/// Two to three backends, and everything short; but what is only slow has all the time that it may need.
inline test_pool::options times_for(const fault& met) {
  using namespace std::chrono_literals;
  test_pool::options options;
  options.pool.connections_min = 2;
  options.pool.connections_max = 3;
  options.pool.acquire_timeout = met.breaks ? 1500ms : 20s;
  options.pool.health_check_interval = 1s;
  options.pool.reconnect = {50ms, 300ms, 25};
  options.connection.connect_timeout = met.breaks ? 700ms : 20s;
  options.connection.unit_timeout = met.breaks ? 1s : 20s;
  options.connection.cancel_grace = met.breaks ? 1s : 20s;
  return options;
}

/// Every answer comes well within it: the times above, three tries, and a slow machine. Without one it is a minute.
inline constexpr std::chrono::seconds answered_within{20};

class faulty_pool {
public:
  explicit faulty_pool(const test_pool::options& options)
    : pool(conninfo(), options)
    , min_(options.pool.connections_min) {}

  /// A unit that leaves a row in `runs`, and answers with more than a cut lets through.
  static actors::run_unit counted(const std::string& id) {
    return actors::run_unit{sql("INSERT INTO runs VALUES ($1) RETURNING id || repeat(' ', 500)", {id})};
  }

  /// What the server has of these units is what their outcomes say: done once; not done; or, if nobody knows, not more
  /// than once. Those that may be repeated have been done once at least if they were answered so.
  void check_runs(const std::vector<std::string>& ids, const std::vector<db::unit_outcome>& outcomes,
                  bool idempotent = false) const {
    std::map<std::string, int> runs;
    for (const auto& row : database.exec("SELECT id, count(*) FROM runs GROUP BY id"))
      runs[row[0]] = std::stoi(row[1]);
    REQUIRE(ids.size() == outcomes.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto& failure = outcomes[i].failure;
      INFO(ids[i] << ": " << (failure ? failure->message : "done"));
      if (failure)
        CHECK(failure->message.find("no answer") == std::string::npos);
      if (!failure)
        CHECK(runs[ids[i]] >= 1);
      else if (failure->kind != db::failure_kind::connection_lost && !idempotent)
        CHECK(runs[ids[i]] == 0);
      if (!idempotent)
        CHECK(runs[ids[i]] <= 1);
    }
  }

  /// The fault is over: the pool is at its minimum, units and leases work, and nothing is left over anywhere.
  void check_recovered() {
    REQUIRE(eventually([&] { return is_whole(); }));
    actors::run_unit unit{sql("SELECT 'a unit'")};
    unit.deadline = pool.system().clock().now() + answered_within;
    CHECK(only_value(pool.run(unit)) == "a unit");
    {
      test_owner owner(pool);
      const auto leased = owner.lease(actors::lease_connection{"afterwards"});
      REQUIRE(leased);
      unit = actors::run_unit{sql("SELECT 'a lease'")};
      unit.deadline = pool.system().clock().now() + answered_within;
      CHECK(only_value(owner.run(unit)) == "a lease");
      owner.end();
    }
    CHECK(eventually([&] { return is_whole(); }));
    CHECK(eventually([&] { return sessions_at_server("state <> 'idle'") == 0; }));
    CHECK(eventually([&] { return sessions_at_server("true") == pool.status().total; }));
    CHECK(pool.status().last_failure.empty());
  }

  std::size_t sessions_at_server(const std::string& which) const {
    return std::stoul(database.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'colloquy' AND datname = "
                                     "current_database() AND " +
                                     which));
  }

  /// Of its status: at its minimum at least, and nobody has anything.
  bool is_whole() {
    const auto now = pool.status();
    return now.idle == now.total && now.total >= min_ && now.leased == 0 && now.waiting == 0 && now.connecting == 0;
  }

  test_database database = test_database::make();
  tcp_proxy proxy{target_of(database.service_conninfo())};
  test_pool pool;

private:
  std::string conninfo() {
    database.exec("CREATE TABLE runs (id text); GRANT ALL ON runs TO colloquy_service");
    return proxy.through(database.service_conninfo());
  }

  const std::size_t min_;
};

/// Whether it came within the bound, for one request or many at once.
class stopwatch {
public:
  void check() const { CHECK(std::chrono::steady_clock::now() - begun_ < answered_within); }

private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

} // namespace colloquy::test
