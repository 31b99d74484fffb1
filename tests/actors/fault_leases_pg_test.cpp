// Leases and LISTEN, while the way to the server is slow, cut, dead or closed.
#include "actors/listener.hpp"
#include "tests/actors/fault_fixture.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <mutex>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

actors::leaseholder_actor::behavior_type count_losses(actors::leaseholder_actor::pointer,
                                                      std::shared_ptr<std::atomic<int>> losses) {
  return {[](const actors::backend_notified&) {}, [](const actors::lease_recalled&) {},
          [losses](const actors::lease_lost&) { ++*losses; }};
}

/// What a subscriber has heard; "(gap)" for a gap. Written by its actor, read by the test.
class ears {
public:
  void add(const std::string& what) {
    std::lock_guard lock(mutex_);
    all_.push_back(what);
  }
  std::vector<std::string> all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }
  std::ptrdiff_t count(const std::string& what) const {
    const auto now = all();
    return std::count(now.begin(), now.end(), what);
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

actors::channel_subscriber::behavior_type subscriber(actors::channel_subscriber::pointer, std::shared_ptr<ears> to) {
  return {[to](const actors::channel_notified& got) { to->add(got.payload); },
          [to](const actors::channel_gap&) { to->add("(gap)"); }};
}

/// A listener on a faulty pool, with one subscriber.
class faulty_listening {
public:
  explicit faulty_listening(const fault& met)
    : on(times_for(met)) {
    actors::listener_options options;
    options.request_timeout = met.breaks ? 1s : 20s;
    options.probe_interval = 500ms;
    listener = caf::actor_cast<actors::listener_actor>(
        on.pool.system().spawn<actors::listener>(caf::actor_cast<actors::supervisor_actor>(on.pool.handle()), options));
    made = on.pool.system().spawn(subscriber, heard);
  }
  ~faulty_listening() { end(); }
  void end() {
    if (!listener)
      return;
    caf::scoped_actor self{on.pool.system()};
    self->send_exit(made, caf::exit_reason::user_shutdown);
    self->send_exit(listener, caf::exit_reason::user_shutdown);
    self->wait_for(listener);
    listener = nullptr;
  }

  result<actors::listening> listen() {
    caf::scoped_actor self{on.pool.system()};
    result<actors::listening> outcome{error{error_code::internal, "no answer"}};
    self->request(listener, 60s, actors::listen_to{"news", made})
        .receive([&](const result<actors::listening>& answer) { outcome = answer; }, [](const caf::error&) {});
    return outcome;
  }
  void notify(const std::string& what) const { on.database.exec("SELECT pg_notify('news', '" + what + "')"); }
  /// Whoever has listened for a while must hear it at once; until then it may be said to nobody.
  bool hears_what_is_said() {
    int said = 0;
    return eventually([&] {
      const auto what = "said " + std::to_string(++said);
      notify(what);
      return eventually([&] { return heard->count(what) == 1; }, 200ms);
    });
  }

  faulty_pool on;
  std::shared_ptr<ears> heard = std::make_shared<ears>();
  actors::listener_actor listener;
  actors::channel_subscriber made;
};

} // namespace

TEST_CASE("a lease through each fault: its units are answered, its holder hears of a loss, and nothing is left") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      faulty_pool on(times_for(each));
      REQUIRE(on.pool.wait_for_idle(2));
      auto losses = std::make_shared<std::atomic<int>>(0);
      auto holder = on.pool.system().spawn(count_losses, losses);
      test_owner owner(on.pool);
      actors::lease_connection wanted{"faulty"};
      wanted.holder = holder;
      REQUIRE(owner.lease(wanted));
      REQUIRE_FALSE(owner.run("BEGIN").failure);
      REQUIRE_FALSE(owner.run(faulty_pool::counted("in a transaction")).failure);
      each.begin(on.proxy);
      const stopwatch watch;
      std::vector<std::string> ids;
      std::vector<actors::run_unit> units;
      for (int i = 0; i < 5; ++i) {
        ids.push_back("leased" + std::to_string(i));
        units.push_back(faulty_pool::counted(ids.back()));
      }
      units.push_back(actors::run_unit{sql("COMMIT")});
      auto outcomes = owner.run_all(std::move(units));
      watch.check();
      for (const auto& outcome : outcomes)
        CHECK(outcome.failure.has_value() == each.breaks);
      if (each.breaks) {
        CHECK(eventually([&] { return losses->load() == 1; }));
        CHECK(only_value(owner.run("SELECT 1")).starts_with("failed:"));
      }
      each.heal(on.proxy);
      owner.end();
      on.check_recovered();
      outcomes.pop_back();
      on.check_runs(ids, outcomes);
      // The transaction is whole or nothing; that its end got through is possible if the answers were cut.
      const auto rows = on.database.value("SELECT count(*) FROM runs");
      CHECK((rows == "6" || (each.breaks && rows == "0")));
      CHECK(losses->load() == (each.breaks ? 1 : 0));
      caf::anon_send_exit(holder, caf::exit_reason::user_shutdown);
    }
  }
}

TEST_CASE("a lease that ends, or whose owner dies, during a fault is closed or made as new") {
  for (const auto& each : faults())
    for (const bool dies : {false, true}) {
      DYNAMIC_SECTION(each.name << (dies ? ", killed" : ", ended")) {
        faulty_pool on(times_for(each));
        REQUIRE(on.pool.wait_for_idle(2));
        test_owner owner(on.pool);
        owner.lease();
        owner.run("SELECT set_config('work_mem', '77MB', false)");
        owner.run_without_waiting("SELECT pg_sleep(0.3)");
        each.begin(on.proxy);
        if (dies)
          owner.die();
        else
          owner.end();
        // Given up while the fault lasts, or given back: it is nobody's either way.
        CHECK(eventually([&] { return on.pool.status().leased == 0; }));
        CHECK(eventually([&] {
          const auto now = on.pool.status();
          return std::none_of(now.backends.begin(), now.backends.end(),
                              [](const auto& one) { return one.state == "cleaning" || one.state == "closing"; });
        }));
        each.heal(on.proxy);
        on.check_recovered();
        test_owner next(on.pool);
        next.lease();
        CHECK(only_value(next.run("SELECT current_setting('work_mem') = '77MB'")) == "f");
        next.end();
      }
    }
}

TEST_CASE("LISTEN through each fault: all is heard, or a gap is told before what comes after") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      faulty_listening there(each);
      REQUIRE(there.on.pool.wait_for_idle(2));
      REQUIRE(there.listen());
      there.notify("before");
      REQUIRE(eventually([&] { return there.heard->count("before") == 1; }));
      each.begin(there.on.proxy);
      there.notify("during");
      if (each.breaks)
        REQUIRE(eventually([&] { return there.on.pool.status().leased == 0; })); // it has found out
      else
        CHECK(eventually([&] { return there.heard->count("during") == 1; }));
      each.heal(there.on.proxy);
      if (each.breaks)
        CHECK(eventually([&] { return there.heard->count("(gap)") == 1; }));
      CHECK(there.hears_what_is_said());
      const auto all = there.heard->all();
      CHECK(all.front() == "before");
      CHECK(there.heard->count("before") == 1);
      CHECK(there.heard->count("(gap)") == (each.breaks ? 1 : 0));
      there.end();
      there.on.check_recovered();
    }
  }
}

TEST_CASE("a LISTEN begun during a fault is answered within its time, and heard when the fault is over, with a gap") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      faulty_listening there(each);
      REQUIRE(there.on.pool.wait_for_idle(2));
      each.begin(there.on.proxy);
      const stopwatch watch;
      const auto answer = there.listen();
      watch.check();
      CHECK(static_cast<bool>(answer) == !each.breaks);
      if (!answer)
        CHECK(answer.failure().code == error_code::database_unavailable);
      each.heal(there.on.proxy);
      if (!answer) // it may have missed something since it asked
        CHECK(eventually([&] { return there.heard->count("(gap)") == 1; }));
      CHECK(there.hears_what_is_said());
      there.end();
      there.on.check_recovered();
    }
  }
}
