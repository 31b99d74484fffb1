// What a document must be, and what an update may set.
#include "messages/document.hpp"
#include "messages/document_number.hpp"

#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace std::string_literals;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;

namespace {

std::string with(const std::string& fields) {
  return R"({"id":"a","version":null,"creation_utc":null)" + (fields.empty() ? "" : "," + fields) + "}";
}

error refusal(const std::string& json) {
  const auto checked = check_document(json);
  INFO(json.substr(0, 200));
  REQUIRE_FALSE(checked);
  return checked.failure();
}

std::string refused(const std::string& json) {
  const auto why = refusal(json);
  CHECK(why.code == error_code::invalid_request);
  return why.message;
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

} // namespace

TEST_CASE("a document has an id, and a version and a creation_utc that may be null") {
  const auto head =
      check_document(R"({"x":[1,{"id":7}],"creation_utc":"2024-01-01T00:00:00Z","version":"0.1.0","id":"a/b\n"})");
  REQUIRE(head);
  CHECK(head->id == "a/b\n");
  CHECK(head->version == "0.1.0");
  CHECK(head->creation_utc == "2024-01-01T00:00:00Z");
  const auto old = check_document(with(""));
  REQUIRE(old);
  CHECK_FALSE(old->version);
  CHECK_FALSE(old->creation_utc);
  const auto empty = check_document(R"({"id":"a","version":"","creation_utc":""})");
  REQUIRE(empty);
  CHECK(empty->version == "");
}

TEST_CASE("a document without one of its three fields is refused, and so is one of another type") {
  CHECK(refused(R"({"version":"1","creation_utc":"t"})") ==
        "/id is missing; a document has id, version and creation_utc");
  CHECK_THAT(refused(R"({"id":"a","creation_utc":"t"})"), StartsWith("/version is missing"));
  CHECK_THAT(refused(R"({"id":"a","version":"1"})"), StartsWith("/creation_utc is missing"));
  CHECK_THAT(refused(R"({"x":{"id":"a","version":"1","creation_utc":"t"}})"), StartsWith("/id is missing"));
  for (const auto& id :
       std::vector<std::string>{"1", "null", "\"\"", "[]", "{}", "true", "\"" + std::string(256, 'x') + "\""})
    CHECK(refused(R"({"version":"1","creation_utc":"t","id":)" + id + "}") ==
          "/id must be a string of 1 to 255 characters");
  for (const auto& field : std::vector<std::string>{"version", "creation_utc"})
    for (const auto& value : std::vector<std::string>{"1", "[]", "{}", "false", "\"" + std::string(256, 'x') + "\""})
      CHECK_THAT(refused("{\"" + field + "\":" + value + "}"),
                 StartsWith("/" + field + " must be a string of at most 255 characters, or null"));
  std::string wide;
  for (int i = 0; i < 255; ++i)
    wide += "😀";
  CHECK(check_document(R"({"version":"1","creation_utc":"t","id":")" + wide + "\"}"));
}

TEST_CASE("what is no object is no document") {
  for (const auto& json : std::vector<std::string>{"[]", "1", "\"a\"", "null"})
    CHECK_THAT(refused(json), StartsWith("the document must be a JSON object"));
  for (const auto& json : std::vector<std::string>{
           ""s, "{"s, with("") + "x", with("\"id\":1"), with("\"a\":\"\\u0000\""), with("\"a\":\"\\ud800\""),
           with("\"a\":\"\xff\""), with("\"a\":{\"b\":1,\"b\":2}"), with("\"a\":1e5000")})
    refused(json);
}

TEST_CASE("a document nests a hundred levels, itself included") {
  CHECK(check_document(with("\"a\":" + nested(99))));
  CHECK_THAT(refused(with("\"a\":" + nested(100))),
             StartsWith("/a/0/0") && ContainsSubstring("deeper than the 100 levels"));
  refused(with("\"a\":" + std::string(500'000, '[')));
}

TEST_CASE("a document's bytes are bounded, also when its numbers are written out") {
  const auto of = [](std::size_t bytes) {
    return with("\"a\":\"" + std::string(bytes - with("\"a\":\"\"").size(), 'x') + "\"");
  };
  CHECK(check_document(of(limits::document_bytes_max)));
  CHECK(refusal(of(limits::document_bytes_max + 1)).code == error_code::payload_too_large);
  CHECK(refusal(of(limits::document_bytes_max + 1)).message ==
        "the document has 1048577 bytes; at most 1048576 are allowed");
  CHECK_FALSE(check_document(of(200), 199));
  CHECK(check_document(of(200), 200));

  std::string numbers;
  for (int i = 0; i < 1'100; ++i)
    numbers += (i == 0 ? "" : ",") + "1e999"s;
  CHECK(refusal(with("\"a\":[" + numbers + "]")).code == error_code::payload_too_large);
  CHECK_THAT(refusal(with("\"a\":[" + numbers + "]")).message, ContainsSubstring("when its numbers are written out"));
  CHECK(check_document(with("\"a\":[" + numbers.substr(0, 6 * 900 - 1) + "]")));
}

TEST_CASE("bytes are counted alike whoever spelled the document") {
  const auto compact = with(R"("a":["é\"\\\n",{"b":-1.5,"c":[true,false,null]},[],{}],"n":1200)");
  const auto bytes = check_document(compact)->bytes;
  CHECK(bytes == compact.size());
  CHECK(check_document(
            with(R"( "a" : [ "\u00e9\u0022\u005c\u000a" , { "b" : -15e-1, "c" : [true, false, null]}, [ ], { } ],
    "n": 12e2 )"))
            ->bytes == bytes);
  CHECK(check_document(compact, bytes));
  CHECK_FALSE(check_document(compact, bytes - 1));
  CHECK(check_document(with(R"("":"\u0001")"))->bytes == with("\"\":\"123456\"").size());
  // What is blank counts only where it is out of all proportion.
  CHECK(check_document(compact + std::string(bytes, ' '), bytes));
  CHECK(check_document(compact + std::string(2 * bytes, ' '), bytes).failure().code == error_code::payload_too_large);
}

TEST_CASE("a number's bytes are those of jsonb") {
  for (const auto& [number, text] :
       std::vector<std::pair<std::string, std::string>>{{"0", "0"},
                                                        {"-0.0", "0.0"},
                                                        {"1.50", "1.50"},
                                                        {"-1.5e1", "-15"},
                                                        {"1.50e1", "15.0"},
                                                        {"1e-5", "0.00001"},
                                                        {"-12.5e-3", "-0.0125"},
                                                        {"0.05e1", "0.5"},
                                                        {"0.05e3", "50"},
                                                        {"0e7", "0"},
                                                        {"123456789012345678901", "123456789012345678901"},
                                                        {"1e20", "100000000000000000000"},
                                                        {"0.0e5", "0"},
                                                        {"10e-1", "1.0"}})
    CHECK(std::pair(number, bytes_written_out(number)) == std::pair(number, text.size()));
}

TEST_CASE("a number of more than a thousand digits is refused where it stands") {
  CHECK_THAT(refused(with(R"("a":{"b":[0,1e1000]})")), StartsWith("/a/b/1 is a number of more than 1000 digits"));
  CHECK(check_document(with(R"("a":[1e999,-1e-998,123456789012345678901234567890.5])")));
}

TEST_CASE("digits are counted as a number is written out") {
  for (const auto& [number, digits] :
       std::vector<std::pair<std::string, std::size_t>>{{"0", 1},
                                                        {"-7", 1},
                                                        {"10", 2},
                                                        {"1.5", 2},
                                                        {"12.50e1", 4},
                                                        {"1e3", 4},
                                                        {"1E+3", 4},
                                                        {"1e-3", 4},
                                                        {"1.25e-1", 4},
                                                        {"12.5e-1", 3},
                                                        {"-1.0e2", 3},
                                                        {"0.001", 4},
                                                        {"1e0", 1},
                                                        {"100e-2", 3},
                                                        {"1e1000000000000", 1'000'000'001},
                                                        {"1e-1000000000000", 1'000'000'001}})
    CHECK(std::pair(number, digits_written_out(number)) == std::pair(number, digits));
}

TEST_CASE("an update sets at least one field, and its id, version and creation_utc are as in a document") {
  CHECK(check_document_changes(R"({"a":null})"));
  CHECK(check_document_changes(R"({"id":"b"})"));
  CHECK(check_document_changes(R"({"version":null,"creation_utc":null})"));
  for (const auto& json : std::vector<std::string>{"{}", "[]", "1", R"({"id":""})", R"({"id":null})", R"({"id":1})",
                                                   R"({"version":1})", R"({"creation_utc":[]})", R"({"a":1e1000})"})
    CHECK_FALSE(check_document_changes(json));
  CHECK(check_document_changes("{\"a\":\"" + std::string(100, 'x') + "\"}", 50).failure().code ==
        error_code::payload_too_large);
}

TEST_CASE("a collection's name has 1 to 255 characters of any kind") {
  for (const auto& name : std::vector<std::string>{"a"s, "A b/c'\"\\"s, std::string(255, 'x'), "\n"s, "$1"s, "größe"s})
    CHECK(is_collection_name(name));
  for (const auto& name :
       std::vector<std::string>{""s, std::string(256, 'x'), "a\0b"s, "\xff"s, std::string(2000, 'x')})
    CHECK_FALSE(is_collection_name(name));
}
