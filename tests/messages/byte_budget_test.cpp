#include "messages/byte_budget.hpp"

#include "tests/support/catch.hpp"

#include <limits>
#include <thread>
#include <vector>

using namespace colloquy;

TEST_CASE("bytes are given back when the last owner lets go") {
  auto budget = std::make_shared<byte_budget>(100);
  auto first = byte_reservation::take(budget, 60);
  REQUIRE(first);
  CHECK(first->bytes() == 60);
  auto copy = first;
  first.reset();
  CHECK(budget->used_bytes() == 60);
  copy.reset();
  CHECK(budget->used_bytes() == 0);
}

TEST_CASE("a budget gives all it has and nothing more") {
  auto budget = std::make_shared<byte_budget>(100);
  auto all = byte_reservation::take(budget, 100);
  REQUIRE(all);
  CHECK_FALSE(byte_reservation::take(budget, 1));
  CHECK(byte_reservation::take(budget, 0));
  all.reset();
  CHECK_FALSE(byte_reservation::take(budget, 101));
  CHECK_FALSE(byte_reservation::take(budget, std::numeric_limits<std::size_t>::max()));
  CHECK(budget->used_bytes() == 0);
}

TEST_CASE("a reservation keeps its budget alive") {
  auto budget = std::make_shared<byte_budget>(10);
  auto kept = byte_reservation::take(budget, 10);
  budget.reset();
  kept.reset();
  SUCCEED();
}

TEST_CASE("callers on many threads never take more than there is, and all of it comes back") {
  constexpr std::size_t bytes_max = 1000;
  auto budget = std::make_shared<byte_budget>(bytes_max);
  std::atomic<bool> over{false};
  {
    std::vector<std::jthread> callers;
    for (std::size_t caller = 0; caller < 4; ++caller)
      callers.emplace_back([&, caller] {
        for (std::size_t i = 0; i < 20'000; ++i) {
          auto taken = byte_reservation::take(budget, 100 * caller + i % 400);
          if (budget->used_bytes() > bytes_max)
            over = true;
        }
      });
  }
  CHECK_FALSE(over);
  CHECK(budget->used_bytes() == 0);
}
