// LISTEN for everybody on one backend: counted channels, order, and gaps that are told.
#include "actors/listener.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <mutex>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// What a subscriber has heard; "gap" for a gap. Written by its actor, read by the test.
class heard {
public:
  void add(std::string what) {
    std::lock_guard lock(mutex_);
    all_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

actors::channel_subscriber::behavior_type subscriber(actors::channel_subscriber::pointer, std::shared_ptr<heard> to) {
  return {[to](const actors::channel_notified& got) { to->add(got.channel + ":" + got.payload); },
          [to](const actors::channel_gap& gap) { to->add(gap.channel + ":(gap)"); }};
}

class listening_pool {
public:
  explicit listening_pool(actors::listener_options options = {})
    : pool(database.service_conninfo()) {
    REQUIRE(pool.wait_for_idle(2));
    listener = caf::actor_cast<actors::listener_actor>(
        pool.system().spawn<actors::listener>(caf::actor_cast<actors::supervisor_actor>(pool.handle()), options));
  }
  ~listening_pool() {
    caf::scoped_actor self{pool.system()};
    for (const auto& each : subscribers)
      self->send_exit(each, caf::exit_reason::user_shutdown);
    self->send_exit(listener, caf::exit_reason::user_shutdown);
    self->wait_for(listener);
  }

  std::pair<actors::channel_subscriber, std::shared_ptr<heard>> subscribe(const std::string& channel) {
    auto ears = std::make_shared<heard>();
    auto made = pool.system().spawn(subscriber, ears);
    subscribers.push_back(made);
    REQUIRE(ask(channel, made));
    return {made, ears};
  }
  result<actors::listening> ask(const std::string& channel, const actors::channel_subscriber& by) {
    caf::scoped_actor self{pool.system()};
    result<actors::listening> outcome{error{error_code::internal, "no answer"}};
    self->request(listener, 60s, actors::listen_to{channel, by})
        .receive([&](const result<actors::listening>& answer) { outcome = answer; }, [](const caf::error&) {});
    return outcome;
  }
  void notify(const std::string& channel, const std::string& payload) {
    database.exec("SELECT pg_notify('" + channel + "', '" + payload + "')");
  }
  std::string listening_backends() {
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'colloquy-test listener'");
  }

  test_database database = test_database::make();
  test_pool pool;
  actors::listener_actor listener;
  std::vector<actors::channel_subscriber> subscribers;
};

bool hears(const std::shared_ptr<heard>& ears, const std::vector<std::string>& what) {
  const bool did = eventually([&] { return ears->all().size() >= what.size(); });
  CHECK(ears->all() == what);
  return did;
}

} // namespace

TEST_CASE("subscribers of several channels hear theirs, in order, over one backend") {
  listening_pool on;
  auto [first, first_ears] = on.subscribe("news");
  auto [second, second_ears] = on.subscribe("news");
  auto [other, other_ears] = on.subscribe("Weather_1");
  on.notify("news", "one");
  on.notify("Weather_1", "rain");
  on.notify("news", "two");
  CHECK(hears(first_ears, {"news:one", "news:two"}));
  CHECK(hears(second_ears, {"news:one", "news:two"}));
  CHECK(hears(other_ears, {"Weather_1:rain"}));
  CHECK(on.listening_backends() == "1");
}

TEST_CASE("a channel is let go with its last subscriber, and the backend with the last channel") {
  listening_pool on;
  auto [first, first_ears] = on.subscribe("news");
  auto [second, second_ears] = on.subscribe("news");
  auto [other, other_ears] = on.subscribe("weather");
  caf::anon_send(on.listener, actors::stop_listening{"news", first});
  on.notify("news", "one");
  CHECK(hears(second_ears, {"news:one"}));
  CHECK(first_ears->all().empty());
  caf::anon_send_exit(second, caf::exit_reason::kill); // its death says the same
  caf::anon_send_exit(other, caf::exit_reason::kill);
  CHECK(eventually([&] { return on.pool.status().leased == 0; }));
  CHECK(eventually([&] { return on.listening_backends() == "0"; }));
  auto [again, again_ears] = on.subscribe("news");
  on.notify("news", "three");
  CHECK(hears(again_ears, {"news:three"}));
}

TEST_CASE("after its backend is lost it listens again, and tells each subscriber of the gap before what comes after") {
  listening_pool on;
  auto [first, first_ears] = on.subscribe("news");
  auto [other, other_ears] = on.subscribe("weather");
  on.notify("news", "one");
  REQUIRE(hears(first_ears, {"news:one"}));
  on.database.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                   "'colloquy-test listener'");
  CHECK(hears(first_ears, {"news:one", "news:(gap)"}));
  CHECK(hears(other_ears, {"weather:(gap)"}));
  on.notify("news", "two");
  CHECK(hears(first_ears, {"news:one", "news:(gap)", "news:two"}));
}

TEST_CASE("when the pool replaces its backends the listener moves over, with a gap, and nothing is cut") {
  listening_pool on;
  auto [first, first_ears] = on.subscribe("news");
  REQUIRE(on.pool.control(actors::rotate_pool{}));
  CHECK(hears(first_ears, {"news:(gap)"}));
  on.notify("news", "two");
  CHECK(hears(first_ears, {"news:(gap)", "news:two"}));
}

TEST_CASE("a backend that has died silently is found by the probe") {
  actors::listener_options options;
  options.probe_interval = 300ms;
  listening_pool on(options);
  auto [first, first_ears] = on.subscribe("news");
  const auto lost = on.pool.status().numbers.disconnects;
  on.database.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                   "'colloquy-test listener'");
  CHECK(eventually([&] { return on.pool.status().numbers.disconnects > lost; }));
  CHECK(hears(first_ears, {"news:(gap)"}));
}

TEST_CASE("a channel's name that could not be one is refused, named, and says what is allowed") {
  listening_pool on;
  auto ears = std::make_shared<heard>();
  auto made = on.pool.system().spawn(subscriber, ears);
  on.subscribers.push_back(made);
  for (const std::string name : {"", "a b", "x\"; DROP TABLE y; --", "naïve"}) {
    const auto refused = on.ask(name, made);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
    CHECK_THAT(refused.failure().message, ContainsSubstring("a-z, A-Z, 0-9 and _"));
  }
  CHECK_FALSE(on.ask(std::string(64, 'x'), made));
  CHECK(on.ask(std::string(63, 'x'), made));
}
