#include "config/units.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using namespace std::chrono_literals;

TEST_CASE("durations are read in each of their units", "[units]") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("30s") == 30s);
  CHECK(parse_duration("5min") == 5min);
  CHECK(parse_duration("24h") == 24h);
  CHECK(parse_duration("0s") == 0s);
}

TEST_CASE("what is not exactly a whole number and a unit is no duration", "[units]") {
  const auto* text = GENERATE("", "30", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1m", "1S", "1sec", "0x1s");
  CAPTURE(text);
  CHECK_FALSE(parse_duration(text));
}

TEST_CASE("sizes are read in each of their units", "[units]") {
  CHECK(parse_size("7B") == 7u);
  CHECK(parse_size("64KiB") == 65536u);
  CHECK(parse_size("4MiB") == 4194304u);
  CHECK(parse_size("64GiB") == 68719476736u);
}

TEST_CASE("a size in another or no unit is no size", "[units]") {
  const auto* text = GENERATE("", "4", "4MB", "4M", "4mib", "4 MiB", "-4MiB");
  CAPTURE(text);
  CHECK_FALSE(parse_size(text));
}

TEST_CASE("a number too large for its type is refused, not wrapped", "[units]") {
  CHECK_FALSE(parse_whole_number("18446744073709551616"));
  CHECK(parse_whole_number("18446744073709551615") == 18446744073709551615u);
  CHECK_FALSE(parse_size("17179869184GiB"));
  CHECK_FALSE(parse_duration("9223372036854775808ms"));
  CHECK_FALSE(parse_duration("5124095576031h"));
}

TEST_CASE("formatted durations and sizes use the largest exact unit and read back as themselves", "[units]") {
  CHECK(format_duration(300'000ms) == "5min");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(0ms) == "0ms");
  CHECK(format_size(4 * 1024 * 1024) == "4MiB");
  CHECK(format_size(1025) == "1025B");
  for (const auto each : {0ms, 1ms, 999ms, 1000ms, 61'000ms, 3'600'000ms, 3'600'001ms})
    CHECK(parse_duration(format_duration(each)) == each);
}
