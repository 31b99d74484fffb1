// Work that does not end is left behind, and what it holds lives as long as it does.
#include "db/running_work.hpp"
#include "tests/support/catch.hpp"

#include <future>
#include <memory>

using colloquy::db::running_work;
using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

TEST_CASE("what is done in time is given") {
  running_work<int> work([] { return 42; });
  CHECK(work.wait_until(clock_type::now() + 60s) == 42);
}

TEST_CASE("what is not done in time is left behind, and may end later") {
  std::promise<void> release;
  const auto ended = std::make_shared<std::promise<void>>();
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> watched = held;
  {
    running_work<int> work([gate = release.get_future().share(), ended, held = std::move(held)] {
      gate.wait();
      ended->set_value();
      return *held;
    });
    CHECK_FALSE(work.wait_until(clock_type::now() + 1ms));
  }
  CHECK(watched.lock()); // nobody waits for it any more, and it is not taken away from it
  release.set_value();
  CHECK(ended->get_future().wait_for(60s) == std::future_status::ready);
}
