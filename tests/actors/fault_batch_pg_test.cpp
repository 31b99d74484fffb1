// The writer's batches, while the way to the server is slow, cut, dead or closed: what was accepted becomes durable,
// once and in order.
#include "tests/actors/fault_fixture.hpp"
#include "tests/support/test_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

config::settings settings_for(bool breaks) {
  auto settings = small_settings();
  settings.pool_min = 2;
  settings.pool_max = 4;
  settings.connect_timeout = breaks ? 2s : 20s;
  settings.acquire_timeout = breaks ? 2s : 20s;
  settings.statement_timeout = breaks ? 1s : 20s;
  settings.lock_timeout = 1s;
  settings.request_timeout = breaks ? 700ms : 20s;
  settings.reconnect_delay_first = 50ms;
  settings.reconnect_delay_max = 300ms;
  settings.health_check_interval = 1s;
  return settings;
}

/// Four sessions, whose messages are numbered; what is accepted is remembered.
class conversation {
public:
  explicit conversation(bool breaks)
    : service(settings_for(breaks), proxy.through(database.service_conninfo())) {
    for (int i = 0; i < 4; ++i)
      sessions_.push_back(service.make_session("tenant-" + std::to_string(i % 2)));
    REQUIRE(eventually([&] { return static_cast<bool>(service.flush_all()); }));
  }

  void say(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      ++said_;
      for (const auto& session : sessions_)
        REQUIRE(service.append(session, {user_message("message " + std::to_string(said_))}));
    }
  }

  /// One more message to each; what became of the last.
  result<appended> say_durably() {
    ++said_;
    result<appended> last = error{error_code::internal, "nothing was said"};
    for (const auto& session : sessions_)
      last = service.append(session, {user_message("message " + std::to_string(said_))},
                            &session == &sessions_.back() ? durability::durable : durability::accepted);
    return last;
  }

  /// As rows, read past everything that is being tested.
  void check_all_is_durable() {
    result<void> flushed = error{error_code::internal, "not tried"};
    REQUIRE(eventually([&] { return static_cast<bool>(flushed = service.flush_all()); }, 60s));
    for (const auto& session : sessions_) {
      const auto rows = database.exec("SELECT \"offset\", data::jsonb->>'content' FROM events WHERE log_id = '" +
                                      session.id.to_string() + "' ORDER BY \"offset\"");
      REQUIRE(rows.size() == static_cast<std::size_t>(said_));
      for (int i = 0; i < said_; ++i) {
        REQUIRE(rows[static_cast<std::size_t>(i)][0] == std::to_string(i));
        REQUIRE(rows[static_cast<std::size_t>(i)][1] == "message " + std::to_string(i + 1));
      }
    }
  }

  void check_recovered() {
    REQUIRE(eventually([&] {
      const auto now = status();
      return now.leased == 1 && now.idle + 1 == now.total && now.waiting == 0 && now.connecting == 0 &&
             now.total >= 2; // the writer has its lease
    }));
    CHECK(eventually([&] {
      return database.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'colloquy' AND state <> 'idle' AND "
                            "datname = current_database()") == "0";
    }));
    CHECK(eventually([&] {
      return database.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'colloquy' AND datname = "
                            "current_database()") == std::to_string(status().total);
    }));
  }

  actors::pool_status status() {
    caf::scoped_actor self{service.system()};
    actors::pool_status out;
    self->request(service.service().pool(), call_timeout, actors::get_pool_status{})
        .receive([&](result<actors::pool_status>& answer) { out = answer.value(); }, [](const caf::error&) {});
    return out;
  }

  test_database database = test_database::make();
  tcp_proxy proxy{target_of(database.service_conninfo())};
  test_service service;

private:
  std::vector<session_key> sessions_;
  int said_ = 0;
};

} // namespace

TEST_CASE("batches through each fault: what was accepted is durable once and in order when it is over") {
  for (const auto& each : faults()) {
    DYNAMIC_SECTION(each.name) {
      conversation on(each.breaks);
      on.say(5);
      each.begin(on.proxy);
      on.say(20); // accepted all the same
      const stopwatch watch;
      // Who waits for durability is told in time that it is not so yet; the message itself stays accepted.
      const auto waited = on.say_durably();
      CHECK(static_cast<bool>(waited) == !each.breaks);
      if (!waited)
        CHECK(waited.failure().code == error_code::deadline_exceeded);
      CHECK(static_cast<bool>(on.service.flush_all()) == !each.breaks);
      watch.check();
      on.say(5);
      each.heal(on.proxy);
      on.check_all_is_durable();
      on.say(5);
      on.check_all_is_durable();
      on.check_recovered();
    }
  }
}

TEST_CASE("batches cut at one byte after the other: what was accepted is durable once and in order") {
  conversation on(/*breaks=*/true);
  for (const auto direction : {flow::to_server, flow::to_client})
    for (const std::uint64_t bytes : {1, 40, 90, 150, 300, 700, 1500, 4000}) {
      CAPTURE(bytes, direction == flow::to_server);
      on.proxy.cut_after(direction, bytes, {traffic::all, reach::existing});
      on.say(3);
      on.check_all_is_durable();
      on.proxy.forward();
    }
  on.check_recovered();
}
