#include "config/settings.hpp"
#include "tests/support/catch.hpp"

#include <set>

using namespace colloquy::config;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;

namespace {

const setting_descriptor& setting(std::string_view name) {
  const auto* found = find_setting(name);
  REQUIRE(found != nullptr);
  return *found;
}

bool accepts(std::string_view name, std::string_view text, spelling written = spelling::with_unit) {
  settings into;
  return setting(name).read(into, text, written).has_value();
}

std::string refusal(std::string_view name, std::string_view text, spelling written = spelling::with_unit) {
  settings into;
  const auto read = setting(name).read(into, text, written);
  REQUIRE_FALSE(read.has_value());
  return read.failure().message;
}

} // namespace

TEST_CASE("every default of the table is the struct's own and lies in its range", "[settings]") {
  for (const auto& each : descriptors()) {
    CAPTURE(each.name);
    settings into;
    REQUIRE(each.read(into, each.default_text, spelling::with_unit).has_value());
    if (each.name != "data_dir") // it depends on the environment; the loader's tests have it
      CHECK(each.write(into) == each.write(settings{}));
  }
}

TEST_CASE("every setting has a meaning of one sentence and its own environment name first", "[settings]") {
  for (const auto& each : descriptors()) {
    CAPTURE(each.name);
    CHECK(each.meaning.ends_with('.'));
    CHECK_FALSE(each.allowed.empty());
    REQUIRE_FALSE(each.environment.empty());
    std::string own = "COLLOQUY_";
    for (const char c : each.name)
      own += c == '_' ? '_' : static_cast<char>(c - 'a' + 'A');
    CHECK(each.environment.front().name == own);
    CHECK(each.environment.front().written == spelling::with_unit);
    CHECK(each.environment.front().is_own());
  }
}

TEST_CASE("no name and no environment name is used twice", "[settings]") {
  std::set<std::string> seen;
  for (const auto& each : descriptors()) {
    CHECK(seen.insert(std::string(each.name)).second);
    for (const auto& name : each.environment)
      CHECK(seen.insert(name.name).second);
  }
}

TEST_CASE("a refused value leaves the setting as it was", "[settings]") {
  for (const auto& each : descriptors()) {
    CAPTURE(each.name);
    settings into;
    const auto before = each.write(into);
    CHECK_FALSE(each.read(into, "~\n", spelling::with_unit).has_value());
    CHECK(each.write(into) == before);
  }
}

TEST_CASE("ranges include their ends and nothing beyond them", "[settings]") {
  struct ends {
    const char* name;
    const char* below;
    const char* min;
    const char* max;
    const char* above;
  };
  const auto each = GENERATE(values<ends>({
      {"pool_min", "0", "1", "1000", "1001"},
      {"pool_max", "1", "2", "1000", "1001"},
      {"connect_timeout", "99ms", "100ms", "10min", "601s"},
      {"statement_timeout", "99ms", "100ms", "24h", "25h"},
      {"idle_in_transaction_timeout", "99ms", "100ms", "24h", "25h"},
      {"batch_events_max", "999", "1000", "100000", "100001"},
      {"batch_bytes_max", "63KiB", "64KiB", "256MiB", "257MiB"},
      {"batches_in_flight_max", "0", "1", "16", "17"},
      {"undurable_bytes_max", "1023KiB", "1MiB", "64GiB", "65GiB"},
      {"session_undurable_bytes_max", "1023KiB", "1MiB", "64GiB", "65GiB"},
      {"journal_bytes_max", "1023KiB", "1MiB", "64GiB", "65GiB"},
      {"sessions_resident_max", "0", "1", "100000000", "100000001"},
      {"session_idle_timeout", "999ms", "1s", "24h", "25h"},
      {"request_timeout", "99ms", "100ms", "10min", "601s"},
      {"shutdown_timeout", "99ms", "100ms", "1h", "61min"},
  }));
  CAPTURE(each.name);
  CHECK_FALSE(accepts(each.name, each.below));
  CHECK(accepts(each.name, each.min));
  CHECK(accepts(each.name, each.max));
  CHECK_FALSE(accepts(each.name, each.above));
  CHECK_THAT(refusal(each.name, each.above), ContainsSubstring(std::string(each.min) + " to " + each.max));
}

TEST_CASE("a bare number where a unit is due is refused with the units", "[settings]") {
  CHECK_THAT(refusal("connect_timeout", "30"), ContainsSubstring("ms, s, min or h"));
  CHECK_THAT(refusal("batch_bytes_max", "4194304"), ContainsSubstring("B, KiB, MiB or GiB"));
}

TEST_CASE("names of other programs take bare numbers in their own unit", "[settings]") {
  settings into;
  const auto& timeout = setting("connect_timeout");
  REQUIRE(timeout.read(into, "2500", spelling::bare_milliseconds).has_value());
  CHECK(into.connect_timeout == 2500ms);
  REQUIRE(timeout.read(into, "7", spelling::bare_seconds).has_value());
  CHECK(into.connect_timeout == 7s);
  CHECK(refusal("connect_timeout", "99", spelling::bare_milliseconds) ==
        "a whole number of milliseconds, 100 to 600000");
  // A tenth of a second cannot be written in whole seconds, so the least is one.
  CHECK(refusal("connect_timeout", "0", spelling::bare_seconds) == "a whole number of seconds, 1 to 600");
  CHECK_FALSE(accepts("connect_timeout", "30s", spelling::bare_milliseconds));
}

TEST_CASE("levels are read in any case and under the names of other programs", "[settings]") {
  const auto read = [](std::string_view text) {
    settings into;
    REQUIRE(setting("log_level").read(into, text, spelling::with_unit).has_value());
    return into.log_level;
  };
  CHECK(read("trace") == log_level::trace);
  CHECK(read("DEBUG") == log_level::debug);
  CHECK(read("Info") == log_level::info);
  CHECK(read("WARNING") == log_level::warn);
  CHECK(read("warn") == log_level::warn);
  CHECK(read("error") == log_level::error);
  CHECK(read("CRITICAL") == log_level::error);
  CHECK(refusal("log_level", "loud") == "a level, trace, debug, info, warn or error");
}

TEST_CASE("the log is text unless JSON is asked for", "[settings]") {
  settings into;
  CHECK(into.log_format == log_format::text);
  REQUIRE(setting("log_format").read(into, "JSON", spelling::with_unit));
  CHECK(into.log_format == log_format::json);
  REQUIRE(setting("log_format").read(into, "text", spelling::with_unit));
  CHECK(into.log_format == log_format::text);
  CHECK(refusal("log_format", "xml") == "text, text or json");
}

TEST_CASE("a schema is an identifier that means the same quoted and unquoted", "[settings]") {
  CHECK(accepts("schema", "_a9"));
  CHECK(accepts("schema", std::string(63, 'a')));
  const auto text = GENERATE(as<std::string>{}, "", "9a", "A", "a-b", "a\"b", "a b", "\xC3\xA4", std::string(64, 'a'));
  CAPTURE(text);
  CHECK_FALSE(accepts("schema", text));
}

TEST_CASE("the embedded server's user cannot be root", "[settings]") {
  CHECK(accepts("embedded_user", "pg-user_1"));
  CHECK_FALSE(accepts("embedded_user", "root"));
  CHECK_FALSE(accepts("embedded_user", ""));
  CHECK_FALSE(accepts("embedded_user", "-x"));
}

TEST_CASE("a database is a URI or pairs, or empty for the embedded server", "[settings]") {
  CHECK(accepts("database", ""));
  CHECK(accepts("database", "postgres://h/d"));
  CHECK(accepts("database", "postgresql://u:p@h:5432/d?sslmode=require"));
  CHECK(accepts("database", "host=/run/postgresql dbname=d"));
  CHECK(accepts("database", "host = h"));
  const auto* text = GENERATE("mysql://h/d", "localhost", "localhost:5432/d", "/run/pg=1", "postgres://h/d\nx", "=x");
  CAPTURE(text);
  CHECK_FALSE(accepts("database", text));
}

TEST_CASE("a path that a shell would have expanded is refused", "[settings]") {
  CHECK(accepts("data_dir", "/srv/colloquy"));
  CHECK(accepts("data_dir", "data"));
  CHECK_THAT(refusal("data_dir", "~/data"), ContainsSubstring("${HOME}"));
  CHECK_FALSE(accepts("data_dir", ""));
  CHECK(accepts("postgres_bin_dir", ""));
}

TEST_CASE("a shown secret is redacted and anything else is as written", "[settings]") {
  settings values;
  values.database = "postgres://u:hunter2@h/d";
  values.schema = "tables";
  CHECK(shown_value(setting("database"), values) == "postgres://u:***@h/d");
  CHECK(shown_value(setting("schema"), values) == "tables");
}
