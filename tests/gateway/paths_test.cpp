// Paths, queries, times, cursors: text that is read in one way only.
#include "gateway/operations.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/rfc3339.hpp"
#include "gateway/router.hpp"
#include "gateway/url.hpp"
#include "tests/support/catch.hpp"

#include <limits>
#include <string>

using namespace colloquy;
using namespace colloquy::gateway;

namespace {

const router& routes() {
  static const router all;
  return all;
}

std::string filled(std::string_view path) {
  std::string out;
  for (std::size_t at = 0; at < path.size();) {
    if (path[at] != '{') {
      out += path[at++];
      continue;
    }
    out += "value";
    at = path.find('}', at) + 1;
  }
  return out;
}

std::string written(std::string_view time) {
  const auto at = parse_rfc3339(time);
  return at ? to_rfc3339(*at) : "none";
}

} // namespace

TEST_CASE("every operation is found by its path and method, with as many parameters as it has") {
  for (const auto& each : operations()) {
    const auto path = filled(each.path);
    CAPTURE(path);
    const auto match = routes().match(each.method, path);
    REQUIRE(match.found != nullptr);
    CHECK(match.found->id == each.id);
    CHECK(match.parameters == std::vector<std::string>(each.path_fields.size(), "value"));
  }
}

TEST_CASE("HEAD goes where GET goes, and another method is told which there are") {
  CHECK(routes().match("HEAD", "/v1/sessions").found == &operation_of(operation_id::list_sessions));
  const auto match = routes().match("TRACE", "/v1/sessions");
  CHECK(match.found == nullptr);
  CHECK(match.allowed == "GET, HEAD, POST, OPTIONS");
  CHECK(routes().match("get", "/v1/sessions").found == nullptr);
}

TEST_CASE("a path that is written in another way leads nowhere") {
  for (const auto* path : {"",
                           "/",
                           "v1/sessions",
                           "/v1/sessions/",
                           "//v1/sessions",
                           "/v1//sessions",
                           "/V1/sessions",
                           "/v1/Sessions",
                           "/v1/sessions;x",
                           "/v1/./sessions",
                           "/v1/sessions/.",
                           "/v1/sessions/..",
                           "/v1/sessions/../sessions",
                           "/v1/users/../export",
                           "/v1/users/./export",
                           "/%761/sessions",
                           "/v1%2fsessions",
                           "/v1/sessions/%",
                           "/v1/sessions/%4",
                           "/v1/sessions/%zz",
                           "/v1/sessions//turns",
                           "/v1/sessions/by-external-id",
                           "/v1",
                           "/v1/sessions/a/b/c/d/e"}) {
    CAPTURE(path);
    const auto match = routes().match("GET", path);
    CHECK(match.found == nullptr);
    CHECK(match.allowed.empty());
  }
}

TEST_CASE("a parameter is decoded once, and may have a slash in it") {
  const auto match = routes().match("GET", "/v1/users/a%2Fb%252f+c/export");
  REQUIRE(match.found != nullptr);
  CHECK(match.parameters == std::vector<std::string>{"a/b%2f+c"});
  CHECK(routes().match("GET", "/v1/users/%2E%2e/export").parameters == std::vector<std::string>{".."});
}

TEST_CASE("a query is pairs in order, decoded, with a plus for a space") {
  const auto pairs = parse_query("a=b+c&d=%41%2f&e&&=f&g=h=i");
  REQUIRE(pairs);
  CHECK(*pairs == std::vector<std::pair<std::string, std::string>>{
                      {"a", "b c"}, {"d", "A/"}, {"e", ""}, {"", "f"}, {"g", "h=i"}});
  CHECK(parse_query("")->empty());
  for (const auto* wrong : {"%", "a=%", "a=%4", "a=%4g", "%zz=a"})
    CHECK_FALSE(parse_query(wrong).has_value());
}

TEST_CASE("what is percent-encoded decodes to what it was, whatever the bytes") {
  std::string all, decoded;
  for (int i = 0; i < 256; ++i)
    all += static_cast<char>(i);
  const auto encoded = percent_encode(all);
  CHECK(encoded.find_first_not_of("%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~") ==
        std::string::npos);
  REQUIRE(percent_decode(encoded, decoded));
  CHECK(decoded == all);
}

TEST_CASE("times are read with their offset and fraction") {
  CHECK(written("2026-01-31T12:00:00Z") == "2026-01-31T12:00:00.000000Z");
  CHECK(written("2026-01-31t12:00:00z") == "2026-01-31T12:00:00.000000Z");
  CHECK(written("2026-01-31 12:00:00.5+01:30") == "2026-01-31T10:30:00.500000Z");
  CHECK(written("2026-01-01T00:30:00-23:59") == "2026-01-02T00:29:00.000000Z");
  CHECK(written("2026-01-31T12:00:00.123456789Z") == "2026-01-31T12:00:00.123456Z");
  CHECK(written("2024-02-29T00:00:00Z") == "2024-02-29T00:00:00.000000Z");
  CHECK(written("2016-12-31T23:59:60Z") == "2017-01-01T00:00:00.000000Z");
  CHECK(written("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00.000000Z");
  CHECK(written("9999-12-31T23:59:59.999999Z") == "9999-12-31T23:59:59.999999Z");
}

TEST_CASE("what is no time, or none of the years that are written with four digits, is refused") {
  for (const auto* wrong : {"",
                            "now",
                            "2026-01-31",
                            "2026-01-31T12:00:00",
                            "2026-01-31T12:00Z",
                            "2026-1-31T12:00:00Z",
                            "2026-02-30T00:00:00Z",
                            "2025-02-29T00:00:00Z",
                            "2026-13-01T00:00:00Z",
                            "2026-00-01T00:00:00Z",
                            "2026-01-31T24:00:00Z",
                            "2026-01-31T12:60:00Z",
                            "2026-01-31T12:00:61Z",
                            "2026-01-31T12:00:00.Z",
                            "2026-01-31T12:00:00.1234567890Z",
                            "2026-01-31T12:00:00+24:00",
                            "2026-01-31T12:00:00+0100",
                            "2026-01-31T12:00:00Z ",
                            " 2026-01-31T12:00:00Z",
                            "0000-01-01T00:00:00Z",
                            "0001-01-01T00:00:00+00:01",
                            "9999-12-31T23:59:59-00:01",
                            "9999-12-31T23:59:60Z",
                            "+026-01-31T12:00:00Z",
                            "20260131T120000Z"}) {
    CAPTURE(wrong);
    CHECK(written(wrong) == "none");
  }
}

TEST_CASE("a cursor is what it was made of, and of its own list alone") {
  for (const std::int64_t at : {std::int64_t{0}, std::int64_t{255}, std::numeric_limits<std::int64_t>::max()}) {
    CHECK(from_cursor('e', to_cursor('e', at)) == at);
    CHECK_FALSE(from_cursor('m', to_cursor('e', at)).has_value());
  }
  for (const auto* wrong :
       {"", "1", "1e", "2e5", "1e05", "1eA", "1e+5", "1e5 ", "1e5x", "1e-0", "1effffffffffffffff"}) {
    CAPTURE(wrong);
    CHECK_FALSE(from_cursor('e', wrong).has_value());
  }
}

TEST_CASE("a cursor that is a name gives it back, and nothing else is taken for one") {
  for (const std::string name : {"a", "a/b'\n", "\xc3\xa4\xf0\x9f\x98\x80", "1c61"}) {
    CHECK(from_name_cursor('c', to_name_cursor('c', name)) == name);
    CHECK_FALSE(from_name_cursor('d', to_name_cursor('c', name)).has_value());
  }
  CHECK(to_name_cursor('c', "").empty());
  for (const auto* wrong : {"", "1c", "1c6", "1c6g", "1cAB", "2c61", "1c61 ", "1c00", "1cff", "1c-1", "a"})
    CHECK_FALSE(from_name_cursor('c', wrong).has_value());
}
