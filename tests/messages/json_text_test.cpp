// What holds for every JSON text: encoding, depth, keys.
#include "messages/content.hpp"
#include "messages/limits.hpp"

#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <random>

using namespace colloquy;
using namespace std::string_literals;
using colloquy::test::ContainsSubstring;

namespace {

std::string refused(const std::string& json) {
  auto checked = check_json(json);
  INFO(json.substr(0, 200));
  REQUIRE_FALSE(checked.has_value());
  CHECK(checked.failure().code == error_code::invalid_request);
  return checked.failure().message;
}

void accepted(const std::string& json) {
  auto checked = check_json(json);
  INFO(json.substr(0, 200));
  if (!checked)
    FAIL(checked.failure().message);
}

} // namespace

TEST_CASE("every kind of JSON value passes, blanks around it too") {
  for (const std::string json : {"null", " true\n", "false", "0", "-0.5e-7", R"("")", R"("\"\\\/\b\f\n\r\t")", "[]",
                                 "{}", "[1,[2,{\"a\":[]}]]", "\t{ \"a\" : 1 , \"b\" : { } }\r\n"})
    accepted(json);
}

TEST_CASE("what is not JSON is refused with the place") {
  for (const std::string json :
       {"",      " ",        "nul",   "01",      "+1",      ".5",       "1.",          "1e",      "- 1",
        "NaN",   "Infinity", "0x10",  "'a'",     "\"a",     "\"\\x\"",  "\"\\u12g4\"", "[1,]",    "[,1]",
        "[1 2]", "[1",       "]",     "{",       "{\"a\"}", "{\"a\":}", "{\"a\":1,}",  "{a:1}",   "{1:2}",
        "[}",    "1 2",      "{} {}", "// a\n1", "/**/1",   "\"a\nb\"", "\"\x01\"",    "\"\x1f\""})
    CHECK_THAT(refused(json), ContainsSubstring("not valid JSON at byte"));
}

TEST_CASE("NUL is refused, raw and escaped") {
  CHECK_THAT(refused("{}\0"s), ContainsSubstring("NUL"));
  CHECK_THAT(refused("{}\0 garbage"s), ContainsSubstring("NUL"));
  CHECK_THAT(refused("\"a\0b\""s), ContainsSubstring("NUL"));
  CHECK_THAT(refused(R"("a\u0000b")"), ContainsSubstring("\\u0000"));
  CHECK_THAT(refused(R"([{"deep":{"\u0000":1}}])"), ContainsSubstring("\\u0000"));
  accepted(R"("\\u0000")");
  accepted(R"("\u0001\u007f")");
}

TEST_CASE("surrogates come in pairs") {
  accepted(R"("\ud83d\ude00 \uD83D\uDE00")");
  for (const std::string escape :
       {"\\ud83d", "\\ude00", "\\ud83d\\ud83d", "\\ude00\\ud83d", "\\ud83d\\u0041", "\\ud83dx", "\\ud83d\\\\ude00"})
    refused("\"" + escape + "\"");
  refused(R"({"\udc00":1})");
}

TEST_CASE("text is UTF-8") {
  accepted("\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF \xEF\xBF\xBF\"");
  for (const std::string bytes :
       {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xE2\x82", "\xF0\x9F\x98"}) {
    refused("\"" + bytes + "\"");
    refused("{\"" + bytes + "\":1}");
    refused(bytes);
  }
  CHECK_THAT(refused("\xEF\xBB\xBF{}"), ContainsSubstring("byte order mark"));
}

TEST_CASE("a key may be there once in an object, however it is written") {
  accepted(R"({"a":{"a":1},"b":[{"a":1},{"a":1}]})");
  accepted(R"({"a":1,"A":2,"aa":3,"":4})");
  CHECK_THAT(refused(R"({"a":1,"b":2,"a":3})"), ContainsSubstring("'a' is twice"));
  CHECK_THAT(refused(R"([{"x":{"\u0061":1,"a":2}}])"), ContainsSubstring("'a' is twice"));
  CHECK_THAT(refused(R"({"":1,"":2})"), ContainsSubstring("'' is twice"));
  // The outer key counts on after the inner object.
  CHECK_THAT(refused(R"({"a":{"b":1},"a":2})"), ContainsSubstring("'a' is twice"));
}

TEST_CASE("very many keys are checked in reasonable time") {
  std::string json = "{";
  for (int i = 0; i < 200'000; ++i)
    json += "\"" + std::to_string(i) + "\":0,";
  accepted(json + "\"last\":0}");
  CHECK_THAT(refused(json + "\"77777\":0}"), ContainsSubstring("'77777' is twice"));
}

TEST_CASE("depth is bounded, and a bomb costs no stack") {
  const auto allowed = static_cast<std::size_t>(limits::json_depth_max);
  accepted(std::string(allowed, '[') + std::string(allowed, ']'));
  CHECK_THAT(refused(std::string(allowed + 1, '[') + std::string(allowed + 1, ']')), ContainsSubstring("64 levels"));
  CHECK_THAT(refused(std::string(10'000'000, '[')), ContainsSubstring("64 levels"));
  CHECK(check_json("[[1]]", 2).has_value());
  CHECK_FALSE(check_json("[[1]]", 1).has_value());
  CHECK_FALSE(check_json("[]", 0).has_value());
}

TEST_CASE("a refusal does not repeat what was sent") {
  CHECK(refused("\"" + std::string(1'000'000, 'x') + "\xFF\"").size() < 300);
  CHECK(refused("{\"" + std::string(1000, 'x') + "\":1,\"" + std::string(1000, 'x') + "\":1}").size() < 300);
}

namespace {

/// Writes random JSON, with blanks and escapes where JSON allows them.
class json_writer {
public:
  explicit json_writer(std::mt19937& random)
    : random_(random) {}

  std::string value(int depth) {
    switch (pick(depth > 5 ? 4 : 6)) {
    case 0:
      return std::array{"null", "true", "false"}[pick(3)];
    case 1:
      return std::array{"0", "-1", "1.0", "1e400", "-0", "123456789012345678901234", "5E-3"}[pick(7)];
    case 2:
    case 3:
      return string();
    case 4:
      return container('[', ']', [&] { return value(depth + 1); });
    default:
      return object(depth);
    }
  }

  std::string object(int depth) {
    int count = 0;
    return container('{', '}', [&] {
      return "\"" + std::to_string(count++) + string().substr(1) + blanks() + ":" + blanks() + value(depth + 1);
    });
  }

private:
  std::size_t pick(std::size_t count) { return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_); }
  std::string blanks() { return std::array{"", "", "", " ", "\n\t", "\r "}[pick(6)]; }
  std::string string() {
    std::string out = "\"";
    for (auto length = pick(6); length > 0; --length)
      out += std::array{"a",
                        "{",
                        "}",
                        "[",
                        "]",
                        ",",
                        ":",
                        "\\\"",
                        "\\\\",
                        "\\u0041",
                        "\\ud83d\\ude00",
                        "\xC3\xA9",
                        "\xF0\x9F\x98\x80",
                        "\\n",
                        " "}[pick(15)];
    return out + "\"";
  }
  template <class Item>
  std::string container(char open, char close, Item item) {
    std::string out = open + blanks();
    for (auto count = pick(5); count > 0; --count)
      out += item() + blanks() + (count > 1 ? "," + blanks() : "");
    return out + close;
  }

  std::mt19937& random_;
};

// Its numbers must hold what ours may: 1e400 overflows a double.
using tree = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, long double>;

/// The parts of a valid container are its parts as a JSON library sees them, and cover it but for its punctuation.
void check_parts(const std::string& json) {
  const auto whole = tree::parse(json);
  if (whole.is_array()) {
    auto elements = split_array(json);
    REQUIRE(elements.has_value());
    REQUIRE(elements->size() == whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i)
      CHECK(tree::parse((*elements)[i]) == whole[i]);
    CHECK_FALSE(split_object(json).has_value());
  }
  if (whole.is_object()) {
    auto members = split_object(json);
    REQUIRE(members.has_value());
    REQUIRE(members->size() == whole.size());
    for (const auto& member : *members)
      CHECK(tree::parse(member.value) == whole.at(member.key));
    CHECK_FALSE(split_array(json).has_value());
  }
}

} // namespace

TEST_CASE("random JSON passes, splits into its parts, and random damage is refused or harmless") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  json_writer writer(random);
  for (int round = 0; round < 2000; ++round) {
    std::string json = writer.object(0);
    INFO(json);
    accepted(json);
    check_parts(json);
    const std::string message = R"({"role":"user","content":"","metadata":)" + json + "}";
    auto parsed = parse_message(message);
    REQUIRE(parsed.has_value());
    CHECK(parsed->data == message);

    std::string damaged = json;
    for (int edits = 0; edits < 3; ++edits)
      damaged[random() % damaged.size()] = static_cast<char>(random() % 2 ? "{}[]\",:\\0 "[random() % 10] : random());
    INFO(damaged);
    const bool passed = check_json(damaged).has_value();
    if (passed)
      CHECK(tree::accept(damaged));
    // Splitting reads only one level, and must be safe on anything.
    auto members = split_object(damaged);
    if (passed && tree::parse(damaged).is_object())
      CHECK(members.has_value());
  }
}
