#include "config/settings.hpp"
#include "config/sizing.hpp"
#include "tests/support/catch.hpp"

#include <limits>

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;

namespace {

sizing_input with_concurrency(std::size_t concurrency) {
  sizing_input input;
  input.cores = 2;
  input.concurrency = concurrency;
  input.max_connections = 500;
  return input;
}

std::string warnings_of(const sizing_input& input) {
  std::string text;
  for (const auto& each : advise(input).warnings) {
    CHECK(find_setting(each.setting) != nullptr);
    text += each.sentence + "\n";
  }
  return text;
}

} // namespace

TEST_CASE("the formulas are those of the guides, rounded up", "[sizing]") {
  struct expected {
    std::size_t concurrency;
    std::size_t buffered;
    std::size_t ample;
  };
  const auto each = GENERATE(values<expected>({{0, 0, 5}, {1, 2, 7}, {5, 6, 13}, {10, 12, 20}, {11, 14, 22}}));
  CAPTURE(each.concurrency);
  auto input = with_concurrency(each.concurrency);
  input.cores = 8;
  input.disks = 3;
  const auto advice = advise(input);
  CHECK(advice.by_cores == 19);
  CHECK(advice.by_concurrency == each.buffered);
  CHECK(advice.by_concurrency_ample == each.ample);
}

TEST_CASE("the server has left what is neither reserved nor used by others", "[sizing]") {
  sizing_input input;
  input.max_connections = 100;
  input.superuser_reserved_connections = 3;
  input.reserved_connections = 2;
  input.used_by_others = 45;
  CHECK(advise(input).server_left == 50);
  input.used_by_others = 200;
  CHECK(advise(input).server_left == 0);
}

TEST_CASE("the pool is what cores and callers ask for, but not more than callers can use", "[sizing]") {
  CHECK(advise(with_concurrency(50)).pool_max == 60); // callers ask for more than the cores
  auto input = with_concurrency(4);
  input.cores = 4;
  CHECK(advise(input).pool_max == 9); // the cores can work on more
  input.cores = 64;
  CHECK(advise(input).pool_max == 11); // 4 x 1.5 + 5: the rest would be idle
  CHECK(advise(with_concurrency(50)).warnings.empty());
}

TEST_CASE("the least is a third of the most, as in the profiles", "[sizing]") {
  struct size {
    std::size_t limit;
    std::size_t min;
  };
  const auto each = GENERATE(values<size>({{2, 1}, {5, 2}, {15, 5}, {30, 10}}));
  auto input = with_concurrency(100);
  input.pooler_limit = each.limit;
  CHECK(advise(input).pool_max == each.limit);
  CHECK(advise(input).pool_min == each.min);
}

TEST_CASE("a pooler's limit bounds the pool and is warned of with both figures", "[sizing]") {
  auto input = with_concurrency(25);
  input.pooler_limit = supabase_pooler_limit;
  CHECK(advise(input).pool_max == 30);
  CHECK(advise(input).warnings.empty());
  input.concurrency = 26;
  CHECK(advise(input).pool_max == 30);
  CHECK_THAT(warnings_of(input), ContainsSubstring("32 connections are wanted, but the pooler gives 30") &&
                                     ContainsSubstring("DB_POOL_MAX"));
}

TEST_CASE("the server's limit bounds the pool and is warned of with what uses it", "[sizing]") {
  auto input = with_concurrency(50);
  input.max_connections = 100;
  input.used_by_others = 57;
  CHECK(advise(input).pool_max == 40);
  CHECK_THAT(warnings_of(input), ContainsSubstring("60 connections are wanted, but the server has 40 left") &&
                                     ContainsSubstring("max_connections 100") &&
                                     ContainsSubstring("superuser_reserved_connections 3") &&
                                     ContainsSubstring("used by others 57"));
  input.used_by_others = 37;
  CHECK(warnings_of(input).empty());
}

TEST_CASE("a pool as it is set now is warned of where it cannot be had", "[sizing]") {
  auto input = with_concurrency(5);
  input.pooler_limit = supabase_pooler_limit;
  input.pool_max = 30;
  CHECK(warnings_of(input).empty());
  input.pool_max = 31;
  CHECK(advise(input).warnings.size() == 1);
  CHECK_THAT(warnings_of(input), ContainsSubstring("pool_max is 31, but the pooler gives 30"));
  input.max_connections = 33; // 30 left
  CHECK(advise(input).warnings.size() == 2);
}

TEST_CASE("too little for any pool is told, and the recommendation stays one that can be set", "[sizing]") {
  auto input = with_concurrency(5);
  input.max_connections = 10;
  input.used_by_others = 6; // one left
  auto advice = advise(input);
  CHECK(advice.pool_max == 2);
  CHECK(advice.pool_min == 1);
  CHECK_THAT(warnings_of(input), ContainsSubstring("needs 2 connections at least, and there is 1"));
  input.used_by_others = 7;
  CHECK_THAT(warnings_of(input), ContainsSubstring("there are none"));
  input.used_by_others = 5; // two left
  CHECK_THAT(warnings_of(input), !ContainsSubstring("needs 2 connections"));
}

TEST_CASE("figures without measure overflow nothing and stay in the setting's range", "[sizing]") {
  constexpr auto huge = std::numeric_limits<std::size_t>::max();
  sizing_input input;
  input.cores = input.disks = input.concurrency = input.max_connections = huge;
  CHECK(advise(input).pool_max == 1000);
  CHECK(advise(input).pool_min == 334);
  input.superuser_reserved_connections = input.reserved_connections = input.used_by_others = huge;
  CHECK(advise(input).server_left == 0);
  settings into;
  CHECK(find_setting("pool_max")->read(into, "1000", spelling::with_unit).has_value());
}
