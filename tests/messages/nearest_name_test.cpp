#include "messages/nearest_name.hpp"
#include "tests/support/catch.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace colloquy;

TEST_CASE("only a misspelt name has a nearest one") {
  const std::vector<std::string_view> known{"pool_min", "pool_max", "schema"};
  CHECK(nearest_name("pool_mx", known) == "pool_max");
  CHECK(nearest_name("schemma", known) == "schema");
  CHECK(nearest_name("colour", known) == "");
  CHECK(nearest_name("x", std::vector<std::string_view>{"ab"}) == "");
  CHECK(nearest_name(std::string(100'000, 'a'), known) == "");
}
