#include "messages/content.hpp"

#include "tests/support/catch.hpp"

using namespace colloquy;
using strings = std::vector<std::string_view>;

TEST_CASE("an array splits into its elements without the blanks") {
  CHECK(split_array("[]")->empty());
  CHECK(split_array(" [ \n ] ")->empty());
  CHECK(*split_array("[1]") == strings{"1"});
  CHECK(*split_array(R"( [ 1.0 ,"a,]\"}" , {"b":[1,2]},[ ],null ] )") ==
        strings{"1.0", R"("a,]\"}")", R"({"b":[1,2]})", "[ ]", "null"});
  CHECK(*split_array(R"(["\\","\\\"","]"])") == strings{R"("\\")", R"("\\\"")", R"("]")"});
}

TEST_CASE("an object splits into decoded keys and raw values, in order") {
  CHECK(split_object("{}")->empty());
  auto members = split_object(R"({ "b" : 1e400 ,"\u0061\"" : { "x":"}" } , "" : [ 1 , 2 ] })");
  REQUIRE(members.has_value());
  REQUIRE(members->size() == 3);
  CHECK((*members)[0].key == "b");
  CHECK((*members)[0].value == "1e400");
  CHECK((*members)[1].key == "a\"");
  CHECK((*members)[1].value == R"({ "x":"}" })");
  CHECK((*members)[2].key.empty());
  CHECK((*members)[2].value == "[ 1 , 2 ]");
}

TEST_CASE("the parts are views into the text given") {
  const std::string json = R"({"messages":[{"role":"user","content":"hi"}]})";
  auto members = split_object(json);
  REQUIRE(members.has_value());
  const auto value = members->front().value;
  CHECK(value.data() == json.data() + json.find('['));
  CHECK(split_array(value)->front() == R"({"role":"user","content":"hi"})");
}

TEST_CASE("what is no array or object, or is torn, is refused") {
  for (const std::string json :
       {"",    " ",    "1",     "null", "\"[]\"", "{}",    "[",         "]",    "[1",  "[1,",   "[1,]",
        "[,]", "[,1]", "[1 2]", "[1]]", "[1] 2",  "[\"a]", "[\"a\\\"]", "[[1]", "[{]", "[1:2]", "[\"a\"\"b\"]"}) {
    INFO(json);
    auto elements = split_array(json);
    REQUIRE_FALSE(elements.has_value());
    CHECK(elements.failure().code == error_code::invalid_request);
  }
  for (const std::string json : {"",
                                 "1",
                                 "[]",
                                 "{",
                                 "}",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1",
                                 "{\"a\":1,}",
                                 "{,}",
                                 "{a:1}",
                                 "{1:2}",
                                 "{\"a\":1}}",
                                 "{\"a\" 1}",
                                 "{\"a\":1 2}",
                                 "{\"a\\\":1}",
                                 "{\"\\x\":1}",
                                 "{\"\\ud800\":1}",
                                 "{\"\xFF\":1}",
                                 "{\"a\\u0000\":1}",
                                 "{[]:1}"}) {
    INFO(json);
    auto members = split_object(json);
    REQUIRE_FALSE(members.has_value());
    CHECK(members.failure().code == error_code::invalid_request);
  }
}

TEST_CASE("a bomb of brackets costs no stack") {
  CHECK_FALSE(split_array(std::string(5'000'000, '[')).has_value());
  CHECK(split_array("[" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "]")->size() == 1);
}
