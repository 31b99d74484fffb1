// The grammar of filters, sentence by sentence, and what is refused with which words.
#include "messages/document_filter.hpp"
#include "messages/limits.hpp"

#include "tests/support/catch.hpp"

#include <random>

using namespace colloquy;
using namespace std::string_literals;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;

namespace {

std::string shown(const filter_literal& literal) {
  switch (literal.kind) {
  case literal_kind::null:
    return "null";
  case literal_kind::boolean:
    return literal.text;
  case literal_kind::number:
    return literal.text;
  case literal_kind::string:
    return "'" + literal.text + "'";
  }
  return "?";
}

/// As in all(a $eq 1, any(b $in ['x'])).
std::string shown(const document_filter& filter) {
  std::string out;
  if (filter.kind == document_filter::what::test) {
    for (const auto& each : filter.test.operands)
      out += (out.empty() ? "" : " ") + shown(each);
    return filter.test.field + " " + std::string(to_string(filter.test.op)) + " [" + out + "]";
  }
  for (const auto& part : filter.parts)
    out += (out.empty() ? "" : ", ") + shown(part);
  return (filter.kind == document_filter::what::all ? "all(" : "any(") + out + ")";
}

std::string read(const std::string& json) {
  const auto filter = parse_filter(json);
  INFO(json.substr(0, 200));
  if (!filter)
    FAIL(filter.failure().message);
  return shown(*filter);
}

std::string refused(const std::string& json) {
  const auto filter = parse_filter(json);
  INFO(json.substr(0, 200));
  REQUIRE_FALSE(filter);
  CHECK(filter.failure().code == error_code::invalid_request);
  return filter.failure().message;
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i)
    out += text;
  return out;
}

} // namespace

TEST_CASE("an empty filter is true of all, and so is an empty $and; an empty $or is true of none") {
  CHECK(read("{}") == "all()");
  CHECK(read(" {\n} ") == "all()");
  CHECK(read(R"({"$and": []})") == "all()");
  CHECK(read(R"({"$or": []})") == "any()");
  CHECK(read(R"({"$or": [{}]})") == "all()");
  CHECK(read(R"({"a": {"$eq": 1}, "$or": []})") == "all(a $eq [1], any())");
}

TEST_CASE("every operator takes its operand") {
  for (const std::string op : {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"}) {
    CHECK(read(R"({"f": {")" + op + R"(": "x"}})") == "f " + op + " ['x']");
    CHECK(read(R"({"f": {")" + op + R"(": null}})") == "f " + op + " [null]");
  }
  CHECK(read(R"({"f": {"$in": [1, "1", true, null]}})") == "f $in [1 '1' true null]");
  CHECK(read(R"({"f": {"$nin": []}})") == "f $nin []");
}

TEST_CASE("all operators of all fields hold together, and what stands beside $and and $or holds with them") {
  CHECK(read(R"({"f": {"$gt": 1, "$lt": 5}})") == "all(f $gt [1], f $lt [5])");
  CHECK(read(R"({"f": {"$eq": 1}, "g": {"$ne": false}})") == "all(f $eq [1], g $ne [false])");
  CHECK(read(R"({"$or": [{"a": {"$eq": 1}, "b": {"$eq": 2}}, {"c": {"$eq": 3}}], "d": {"$eq": 4}})") ==
        "all(any(all(a $eq [1], b $eq [2]), c $eq [3]), d $eq [4])");
  CHECK(read(R"({"$and": [{"$or": [{"a": {"$in": []}}, {"$and": [{}, {"b": {"$eq": 1}}]}]}, {"$or": []}]})") ==
        "all(any(a $in [], all(all(), b $eq [1])), any())");
}

TEST_CASE("literals keep their type and numbers their spelling") {
  CHECK(read(R"({"f": {"$in": ["10", 10, true, false, 10.0, 1e1, -0.50]}})") ==
        "f $in ['10' 10 true false 10.0 1e1 -0.50]");
  CHECK(
      read(
          R"({"f": {"$in": [9223372036854775807, 9223372036854775808, 18446744073709551616, -9223372036854775809]}})") ==
      "f $in [9223372036854775807 9223372036854775808 18446744073709551616 -9223372036854775809]");
  CHECK(read(R"({"f": {"$eq": 0.1000000000000000055511151231257827}})") ==
        "f $eq [0.1000000000000000055511151231257827]");
  CHECK(read(R"({"f": {"$eq": "a\"b\\\u00e9\ud83d\ude00"}})") == "f $eq ['a\"b\\é😀']");
}

TEST_CASE("any string but $and and $or is a field's name") {
  for (const std::string name :
       {"a.b", "", "$1", "%s", "'; DROP TABLE documents; --", "$eq", "$in", "$not", "naïve", "a b"})
    CHECK(read("{\"" + name + R"(": {"$eq": 1}})") == name + " $eq [1]");
  CHECK(read(R"({"a\"b": {"$eq": 1}})") == "a\"b $eq [1]");
}

TEST_CASE("what is no object of operators is refused where a field's tests should be") {
  CHECK_THAT(refused(R"({"status": "open"})"), StartsWith("/status must be an object of operators"));
  for (const std::string value : {"1", "true", "null", "[1]", "[]"})
    CHECK_THAT(refused(R"({"f": )" + value + "}"), StartsWith("/f must be an object of operators"));
  CHECK_THAT(refused(R"({"f": {}})"), StartsWith("/f has no operator; allowed are $eq"));
  CHECK_THAT(refused(R"({"$nor": [{}]})"),
             ContainsSubstring("/$nor must be") && ContainsSubstring("did you mean '$or'?"));
}

TEST_CASE("an unknown operator is refused with what was meant, or with all there are") {
  CHECK_THAT(refused(R"({"f": {"$neq": 1}})"), StartsWith("/f/$neq is no operator; did you mean '$ne'?"));
  CHECK_THAT(refused(R"({"f": {"gte": 1}})"), ContainsSubstring("did you mean '$gte'?"));
  CHECK_THAT(refused(R"({"f": {"$exists": true}})"),
             StartsWith("/f/$exists is no operator; allowed are") && !ContainsSubstring("mean"));
  CHECK_THAT(refused(R"({"f": {"$eq": 1, "$": 2}})"), StartsWith("/f/$ is no operator"));
  CHECK_THAT(refused(R"({"f": {"$and": [{"$eq": 1}]}})"), StartsWith("/f/$and is no operator"));
  CHECK_THAT(refused(R"({"f": {"g": {"$eq": 1}}})"), StartsWith("/f/g is no operator"));
}

TEST_CASE("wrong operands are refused") {
  for (const std::string op : {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"})
    for (const std::string value : {"{}", "[]", "[1]", R"({"a":1})"})
      CHECK(refused(R"({"f": {")" + op + "\": " + value + "}}") ==
            "/f/" + op + " must be one string, number, boolean or null");
  for (const std::string op : {"$in", "$nin"})
    for (const std::string value : {"{}", "1", "\"a\"", "null"})
      CHECK(refused(R"({"f": {")" + op + "\": " + value + "}}") ==
            "/f/" + op + " must be an array of strings, numbers, booleans or null");
  CHECK(refused(R"({"f": {"$in": [1, [2]]}})") == "/f/$in/1 must be one string, number, boolean or null");
  CHECK(refused(R"({"f": {"$in": [{}]}})") == "/f/$in/0 must be one string, number, boolean or null");
}

TEST_CASE("$and and $or take arrays of filters") {
  for (const std::string junction : {"$and", "$or"}) {
    for (const std::string value : {"{}", "1", "null", R"({"f": {"$eq": 1}})"})
      CHECK(refused("{\"" + junction + "\": " + value + "}") == "/" + junction + " must be an array of filters");
    for (const std::string value : {"1", "[]", "null"})
      CHECK_THAT(refused("{\"" + junction + "\": [{}, " + value + "]}"),
                 StartsWith("/" + junction + "/1 must be an object"));
  }
  CHECK_THAT(refused(R"({"$or": [{"a": {"$eq": 1}}, {"$and": [{"b": 2}]}]})"), StartsWith("/$or/1/$and/0/b must be"));
}

TEST_CASE("what is no object is no filter") {
  for (const std::string json : {"[]", "1", "\"a\"", "null", "true"})
    CHECK_THAT(refused(json), StartsWith("the filter must be an object"));
}

TEST_CASE("the place is a JSON pointer, and a long or strange name in it is cut") {
  CHECK_THAT(refused(R"({"a/b~c": 1})"), StartsWith("/a~1b~0c must be"));
  CHECK_THAT(refused("{\"" + std::string(100'000, 'x') + "\": 1}"),
             StartsWith("/" + std::string(64, 'x') + "... must be"));
  CHECK_THAT(refused("{\"a\\nb\": 1}"), StartsWith("/a?b must be"));
}

TEST_CASE("the rules of every JSON text hold for filters") {
  for (const auto& json : {""s, "{"s, "{}{}"s, "{\"a\":{\"$eq\":1}"s, R"({"a":{"$eq":1},})"s, "\xef\xbb\xbf{}"s,
                           "{\"a\":{\"$eq\":\"\xff\"}}"s, R"({"a":{"$eq":"\ud800"}})"s, R"({"a":{"$eq":"\u0000"}})"s,
                           R"({"\u0000":{"$eq":1}})"s, R"({"a":{"$eq":1},"a":{"$eq":2}})"s,
                           R"({"a":{"$eq":1,"$eq":2}})"s, R"({"a":{"$eq":1e5000}})"s, "{}\0"s})
    refused(json);
}

TEST_CASE("nesting, tests, values and digits are bounded") {
  const auto nested = [](std::size_t levels) {
    return repeated(R"({"$and":[)", levels) + R"({"f":{"$eq":1}})" + repeated("]}", levels);
  };
  static_assert(limits::filter_depth_max == 32);
  CHECK(read(nested(15)) == "f $eq [1]"); // 2 * 15 + 2
  CHECK_THAT(refused(nested(16)), ContainsSubstring("nests deeper than the 32 levels") && StartsWith("/$and/0/$and"));
  refused(repeated("[", 100'000));
  refused(repeated(R"({"$or":[)", 100'000));

  const auto tests = [](std::size_t count) {
    std::string json;
    for (std::size_t i = 0; i < count; ++i)
      json += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + R"(":{"$eq":1})";
    return "{" + json + "}";
  };
  CHECK(parse_filter(tests(limits::filter_tests_max)));
  CHECK_THAT(refused(tests(limits::filter_tests_max + 1)),
             StartsWith("/f1000/$eq is one test too many; at most 1000 are allowed"));

  const auto values = [](std::size_t count) { return R"({"f":{"$in":[0)" + repeated(",0", count - 1) + "]}}"; };
  CHECK(parse_filter(values(limits::filter_values_max)));
  CHECK_THAT(refused(values(limits::filter_values_max + 1)), StartsWith("/f/$in/10000 is one value too many"));

  for (const auto& number : {"1e999"s, "1e-998"s, std::string(1000, '9'), "0." + std::string(999, '1'), "12.5e-997"s})
    CHECK(parse_filter(R"({"f":{"$eq":)" + number + "}}"));
  for (const auto& number : {"1e1000"s, "1e-1000"s, std::string(1001, '9'), "1e-999999999"s, "12.5e-1000"s}) {
    CHECK_THAT(refused(R"({"f":{"$eq":)" + number + "}}"), StartsWith("/f/$eq is a number of more than 1000 digits"));
    CHECK_THAT(refused(R"({"f":{"$nin":[1,)" + number + "]}}"), StartsWith("/f/$nin/1 is a number of more than"));
  }
}

TEST_CASE("any bytes are safe to read as a filter") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::vector<std::string> pieces{
      "{",     "}",    "[",       "]",         ",",          ":",       "\"a\"",       "\"$and\"", "\"$or\"",
      "1",     "true", "null",    "\"$eq\"",   "\"$in\"",    "\"$gt\"", "\"\\u0000\"", "\xff",     "-1e9",
      "\"$\"", "\"\"", "{\"f\":", "{\"$eq\":", "{\"$or\":[", "}]}",     "}}"};
  for (int i = 0; i < 20'000; ++i) {
    std::string json;
    for (auto left = random() % 24; left > 0; --left)
      json += pieces[random() % pieces.size()];
    const auto filter = parse_filter(json);
    if (!filter)
      CHECK_FALSE(filter.failure().message.empty());
  }
}

TEST_CASE("a filter that was put together in code has the same bounds") {
  const auto test = [](filter_operator op, std::vector<filter_literal> operands, std::string field = "f") {
    document_filter made;
    made.kind = document_filter::what::test;
    made.test = {std::move(field), op, std::move(operands)};
    return made;
  };
  const auto within = [](document_filter inner, int levels) {
    for (int i = 0; i < levels; ++i) {
      document_filter outer;
      outer.parts.push_back(std::move(inner));
      inner = std::move(outer);
    }
    return inner;
  };
  const filter_literal one{literal_kind::number, "1"};
  CHECK(check_filter({}));
  CHECK(check_filter(test(filter_operator::eq, {one})));
  CHECK(check_filter(test(filter_operator::in, {})));
  CHECK(check_filter(within(test(filter_operator::eq, {one}), limits::filter_depth_max - 1)));
  CHECK_FALSE(check_filter(within(test(filter_operator::eq, {one}), limits::filter_depth_max)));
  CHECK_FALSE(check_filter(test(filter_operator::eq, {})));
  CHECK_FALSE(check_filter(test(filter_operator::lt, {one, one})));
  CHECK_FALSE(check_filter(test(filter_operator::nin, std::vector(limits::filter_values_max + 1, one))));
  CHECK_FALSE(check_filter(test(filter_operator::eq, {one}, "\xff")));
  for (const auto& number : {"", "x", "1 ,2", "{}", "\"1\"", "true", "1e1000", "NaN"})
    CHECK_FALSE(check_filter(test(filter_operator::eq, {{literal_kind::number, number}})));
  CHECK_FALSE(check_filter(test(filter_operator::eq, {{literal_kind::string, "a\xff"}})));
  CHECK_FALSE(check_filter(test(filter_operator::eq, {{literal_kind::boolean, "yes"}})));
  document_filter many;
  for (std::size_t i = 0; i <= limits::filter_tests_max; ++i)
    many.parts.push_back(test(filter_operator::eq, {one}));
  CHECK_FALSE(check_filter(many));
  many.parts.pop_back();
  CHECK(check_filter(many));
}
