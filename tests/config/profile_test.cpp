#include "config/load.hpp"
#include "config/profile.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

#include <set>

using namespace colloquy::config;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;
using colloquy::test::temp_folder;

namespace {

sources with_profile(const std::string& profile) {
  sources from;
  from.environment = {{"HOME", "/home/someone"}, {"COLLOQUY_PROFILE", profile}};
  return from;
}

settings load_well(const sources& from) {
  const auto found = load(from);
  for (const auto& each : found.mistakes)
    FAIL_CHECK(format(each));
  return found.values;
}

const std::vector<std::string> all_profiles{"small",      "medium", "large",     "interactive",
                                            "monitoring", "batch",  "persistent"};

} // namespace

TEST_CASE("a size of a profile is the pool's", "[profile]") {
  struct size {
    const char* name;
    std::size_t min;
    std::size_t max;
  };
  const auto each = GENERATE(values<size>({{"small", 2, 5}, {"medium", 5, 15}, {"large", 10, 30}}));
  CAPTURE(each.name);
  const auto found = load_well(with_profile(each.name));
  CHECK(found.pool_min == each.min);
  CHECK(found.pool_max == each.max);
  CHECK(found.statement_timeout == settings{}.statement_timeout);
}

TEST_CASE("a kind of agent has the timeouts that users know", "[profile]") {
  struct kind {
    const char* name;
    std::chrono::seconds connect;
    std::chrono::seconds idle;
    std::chrono::seconds statement;
    std::chrono::seconds idle_in_transaction;
  };
  const auto each = GENERATE(values<kind>(
      {{"interactive", 10s, 600s, 30s, 120s}, {"monitoring", 5s, 300s, 10s, 30s}, {"batch", 15s, 180s, 120s, 180s}}));
  CAPTURE(each.name);
  const auto found = load_well(with_profile(each.name));
  CHECK(found.connect_timeout == each.connect);
  CHECK(found.acquire_timeout == each.connect);
  CHECK(found.pool_idle_timeout == each.idle);
  CHECK(found.statement_timeout == each.statement);
  CHECK(found.idle_in_transaction_timeout == each.idle_in_transaction);
  CHECK(found.pool_min == 5);
  CHECK(found.pool_max == 20);
}

TEST_CASE("persistent agents have a pool, a deadline and a keepalive of their own", "[profile]") {
  const auto found = load_well(with_profile("persistent"));
  CHECK(found.pool_min == 5);
  CHECK(found.pool_max == 20);
  CHECK(found.pool_idle_timeout == 300s);
  CHECK(found.connect_timeout == 10s);
  CHECK(found.statement_timeout == 60s);
  CHECK(found.request_timeout == 30s);
  CHECK(found.keepalive_idle == 10s);
}

TEST_CASE("a size and a kind go together, in any order and case, and the size says how large the pool is",
          "[profile]") {
  for (const auto* list : {"small,persistent", " Persistent , SMALL "}) {
    CAPTURE(list);
    const auto found = load_well(with_profile(list));
    CHECK(found.pool_min == 2);
    CHECK(found.pool_max == 5);
    CHECK(found.statement_timeout == 60s);
  }
}

TEST_CASE("every profile's values are settings and lie in their ranges, each once", "[profile]") {
  for (const auto& name : all_profiles) {
    const auto values = parse_profile(name);
    REQUIRE(values.has_value());
    CHECK_FALSE(values->empty());
    std::set<std::string_view> seen;
    for (const auto& each : *values) {
      CAPTURE(name, each.setting, each.text);
      CHECK(seen.insert(each.setting).second);
      const auto* setting = find_setting(each.setting);
      REQUIRE(setting != nullptr);
      settings into;
      CHECK(setting->read(into, each.text, spelling::with_unit).has_value());
    }
  }
  CHECK(parse_profile("")->empty());
  CHECK(parse_profile("  ")->empty());
}

TEST_CASE("what is given itself, wherever, wins over the profile", "[profile]") {
  const temp_folder folder;
  auto from = with_profile("large,batch");
  from.file = folder.write("x.conf", "statement_timeout = 7s\n");
  from.env_file = folder.write(".env", "IDLE_TIMEOUT=8000\n");
  from.environment["CONNECTION_TIMEOUT"] = "9000";
  from.flags = {{"pool-max", "12"}};
  const auto found = load_well(from);
  CHECK(found.statement_timeout == 7s);
  CHECK(found.pool_idle_timeout == 8s);
  CHECK(found.connect_timeout == 9s);
  CHECK(found.acquire_timeout == 9s);
  CHECK(found.pool_max == 12);
  CHECK(found.pool_min == 10);
  CHECK(found.idle_in_transaction_timeout == 180s);
}

TEST_CASE("a profile's least follows a given most down, and a given least above it is told with the profile",
          "[profile]") {
  auto from = with_profile("large");
  from.environment["DB_POOL_MAX"] = "4";
  CHECK(load_well(from).pool_min == 4);
  from = with_profile("small");
  from.environment["DB_POOL_MIN"] = "6";
  const auto found = load(from);
  REQUIRE(found.mistakes.size() == 1);
  CHECK(format(found.mistakes[0]) ==
        "pool_min = \"6\" (environment DB_POOL_MIN): must be at most pool_max, which is 5 (profile small)");
}

TEST_CASE("a profile that there is not, or two of one sort, is a mistake that names all", "[profile]") {
  const auto* list = GENERATE("tiny", "small,large", "small,small", "batch,interactive", "small,", ",", "small batch",
                              "small,batch,persistent");
  CAPTURE(list);
  const auto found = load(with_profile(list));
  REQUIRE(found.mistakes.size() == 1);
  CHECK(found.mistakes[0].setting == "profile");
  for (const auto& name : all_profiles)
    CHECK_THAT(found.mistakes[0].explanation, ContainsSubstring(name));
  CHECK(found.values.pool_max == settings{}.pool_max);
}
