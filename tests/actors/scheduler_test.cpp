#include "actors/scheduler.hpp"

#include "actors/ready_queue.hpp"
#include "tests/support/catch.hpp"

#include <caf/actor_system.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto wait_max = 60s;

struct job : caf::resumable {
  resume_result resume(caf::execution_unit*, size_t) override { return done; }
  void intrusive_ptr_add_ref_impl() override {}
  void intrusive_ptr_release_impl() override {}
};

/// A queue of a scheduler that has two workers, neither of which runs.
struct two_workers {
  struct settings : caf::actor_system_config {
    settings() {
      set("scheduler.policy", caf::atom("testing"));
      set("scheduler.max-threads", std::size_t{2});
    }
  } config;
  caf::actor_system system{config};
  ready_queue queue{&system.scheduler()};
  job first, second, third;

  std::future<caf::resumable*> sleeper() {
    auto found = std::async(std::launch::async, [this] { return queue.pop(); });
    while (queue.asleep() == 0)
      std::this_thread::yield();
    return found;
  }
};

TEST_CASE("two things that a worker makes ready are left to that worker, and a third wakes another one") {
  two_workers has;
  auto sleeper = has.sleeper();
  has.queue.push(&has.first, true);
  has.queue.push(&has.second, true);
  CHECK(has.queue.woken() == 0);
  has.queue.push(&has.third, true);
  REQUIRE(sleeper.wait_for(wait_max) == std::future_status::ready);
  CHECK(sleeper.get() == &has.first);
  CHECK(has.queue.take() == &has.second);
  CHECK(has.queue.take() == &has.third);
  CHECK(has.queue.take() == nullptr);
}

TEST_CASE("what comes from outside of the scheduler wakes a worker although another one is awake") {
  two_workers has;
  auto sleeper = has.sleeper();
  has.queue.push(&has.first, false);
  REQUIRE(sleeper.wait_for(wait_max) == std::future_status::ready);
  CHECK(sleeper.get() == &has.first);
}

TEST_CASE("what is made ready while all sleep wakes one, whoever makes it ready") {
  two_workers has;
  auto one = has.sleeper();
  auto other = std::async(std::launch::async, [&] { return has.queue.pop(); });
  while (has.queue.asleep() < 2)
    std::this_thread::yield();
  has.queue.push(&has.first, true);
  has.queue.push(&has.second, false);
  REQUIRE(one.wait_for(wait_max) == std::future_status::ready);
  REQUIRE(other.wait_for(wait_max) == std::future_status::ready);
  CHECK(one.get() != other.get());
}

using ring_message = std::uint64_t;

caf::behavior ring_member(caf::event_based_actor* self) {
  auto next = std::make_shared<caf::actor>();
  return {[next](const caf::actor& given) { *next = given; },
          [self, next](ring_message left, const caf::actor& home) {
            if (left == 0)
              self->send(home, left);
            else
              self->send(*next, left - 1, home);
          }};
}

TEST_CASE("every message arrives, whether one worker has all of them or many come at once, and the system ends") {
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  caf::actor_system_config config;
  use_sparing_scheduler(config, workers);
  caf::actor_system system(config);
  REQUIRE(system.scheduler().num_workers() == workers);
  constexpr std::size_t members = 20, runners = 50;
  constexpr ring_message hops = 2'000;
  std::vector<caf::actor> ring;
  for (std::size_t i = 0; i < members; ++i)
    ring.push_back(system.spawn(ring_member));
  for (std::size_t i = 0; i < members; ++i)
    caf::anon_send(ring[i], ring[(i + 1) % members]);
  caf::scoped_actor self(system);
  std::size_t back = 0;
  for (std::size_t i = 0; i < runners; ++i)
    self->send(ring[i % members], hops, caf::actor_cast<caf::actor>(self));
  while (back < runners) {
    bool is_late = false;
    self->receive([&](ring_message) { ++back; }, caf::after(wait_max) >> [&] { is_late = true; });
    REQUIRE_FALSE(is_late);
  }
  for (const auto& each : ring)
    caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace colloquy::actors
