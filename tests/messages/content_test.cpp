#include "messages/content.hpp"
#include "messages/limits.hpp"

#include "tests/support/catch.hpp"

using namespace colloquy;
using colloquy::test::ContainsSubstring;

namespace {

event_input parsed(const std::string& json) {
  auto message = parse_message(json);
  INFO(json);
  if (!message)
    FAIL(message.failure().message);
  CHECK(message->data == json);
  return *message;
}

std::string refused(const std::string& json, error_code code = error_code::invalid_request) {
  auto message = parse_message(json);
  INFO(json.substr(0, 200));
  REQUIRE_FALSE(message.has_value());
  CHECK(message.failure().code == code);
  return message.failure().message;
}

std::string with(const std::string& members) {
  return R"({"role":"user","content":"hi",)" + members + "}";
}

std::string repeated(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i)
    out += text;
  return out;
}

} // namespace

TEST_CASE("a message keeps its bytes and gives its role") {
  for (auto role : {message_role::system, message_role::user, message_role::assistant, message_role::tool}) {
    auto message = parsed(R"( { "content" : "a\u00e9\/" ,)"
                          "\n\t\"role\":\"" +
                          std::string(to_string(role)) + "\"}\r\n");
    CHECK(message.role == role);
    CHECK(message.kind == event_kind::message);
    CHECK_FALSE(message.tokens.has_value());
  }
}

TEST_CASE("tokens and tool-call ids leave the JSON as fields") {
  auto calls = parsed(R"({"role":"assistant","content":"","tokens":2147483647,"tool_calls":[
      {"id":"call_\u0031","name":"f","arguments":{"id":"not this","deep":[{"id":7}]}},{"name":"g","id":"call_2"}]})");
  CHECK(calls.tool_call_ids == std::vector<std::string>{"call_1", "call_2"});
  CHECK(calls.tokens == 2147483647);
  auto answer = parsed(R"({"role":"tool","content":"[]","tool_call_id":"call_1","name":"f"})");
  CHECK(answer.tool_call_id == "call_1");
  CHECK(answer.tool_call_ids.empty());
}

TEST_CASE("fields written with escapes are the same fields") {
  auto message = parsed(R"({"r\u006fle":"us\u0065r","content":"x"})");
  CHECK(message.role == message_role::user);
}

TEST_CASE("content is a string or an array of typed parts") {
  parsed(R"({"role":"user","content":""})");
  parsed(R"({"role":"user","content":[]})");
  parsed(R"({"role":"user","content":[{"type":"text","text":"a"},{"image":{"type":1},"type":"image"}]})");
  for (const std::string content : {"null", "1", "true", "{}", R"({"type":"text"})", R"(["text"])", "[1]", "[null]",
                                    "[[]]", "[{}]", R"([{"type":1}])", R"([{"type":{}}])", R"([{"type":["text"]}])",
                                    R"([{"text":"type"}])", R"([{"type":"text"},{"a":{"type":"text"}}])"})
    CHECK_THAT(refused(R"({"role":"user","content":)" + content + "}"), ContainsSubstring("content: "));
}

TEST_CASE("tool_calls is an array of objects with a string id") {
  parsed(with(R"("tool_calls":[])"));
  for (const std::string calls : {"null", "1", R"("call_1")", "{}", R"(["call_1"])", "[[]]", "[{}]", R"([{"id":1}])",
                                  R"([{"id":null}])", R"([{"id":{"id":"a"}}])", R"([{"id":"a"},{"name":"id"}])"})
    CHECK_THAT(refused(with(R"("tool_calls":)" + calls)), ContainsSubstring("tool_calls: "));
}

TEST_CASE("the role is one of four") {
  for (const std::string role : {R"("")", R"("User")", R"("developer")", "null", "1", "[]", "{}"})
    CHECK_THAT(refused(R"({"content":"x","role":)" + role + "}"),
               ContainsSubstring("role") && ContainsSubstring("allowed are system, user, assistant, tool"));
}

TEST_CASE("role and content must be there") {
  CHECK_THAT(refused(R"({"content":"x"})"), ContainsSubstring("'role'") || ContainsSubstring("field role"));
  CHECK_THAT(refused(R"({"role":"user"})"), ContainsSubstring("content"));
  CHECK_THAT(refused("{}"), ContainsSubstring("role"));
}

TEST_CASE("a message is an object") {
  for (const std::string json : {"[]", "null", "1", R"("role")", R"([{"role":"user","content":""}])"})
    CHECK_THAT(refused(json), ContainsSubstring("JSON object"));
}

TEST_CASE("tokens is a whole number of 31 bits") {
  CHECK(parsed(with(R"("tokens":0)")).tokens == 0);
  for (const std::string tokens : {"-1", "2147483648", "18446744073709551615", "1e3", "1.0", "null", R"("1")", "[]"})
    CHECK_THAT(refused(with(R"("tokens":)" + tokens)), ContainsSubstring("tokens: a whole number from 0 to"));
}

TEST_CASE("name and tool_call_id are counted in characters") {
  for (const std::string field : {"name", "tool_call_id"}) {
    parsed(with("\"" + field + "\":\"" + repeated("\xF0\x9F\x98\x80", limits::name_chars_max) + "\""));
    parsed(with("\"" + field + "\":\"" + repeated("\\u00e9", limits::name_chars_max) + "\""));
    for (const std::string& value : {std::string("\"\""), std::string("null"), std::string("7"), std::string("{}"),
                                     "\"" + std::string(limits::name_chars_max + 1, 'n') + "\""})
      CHECK_THAT(refused(with("\"" + field + "\":" + value)),
                 ContainsSubstring(field + ": a string of 1 to 255 characters"));
  }
}

TEST_CASE("metadata is an object of bounded bytes and otherwise opaque") {
  parsed(with(R"("metadata":{"role":1,"content":{"type":2},"tool_calls":[1],"":{"":null},"id":{"id":[{"id":5}]}})"));
  for (const std::string metadata : {"null", "[]", R"("{}")", "0"})
    CHECK_THAT(refused(with(R"("metadata":)" + metadata)), ContainsSubstring("metadata: a JSON object"));
  // {"k":"..."} is eight bytes around the text.
  parsed(with(R"("metadata":{"k":")" + std::string(limits::metadata_bytes_max - 8, 'x') + R"("})"));
  CHECK_THAT(refused(with(R"("metadata":{"k":")" + std::string(limits::metadata_bytes_max - 7, 'x') + R"("})"),
                     error_code::payload_too_large),
             ContainsSubstring("metadata: 65537 bytes; at most 65536"));
}

TEST_CASE("a message has a largest size") {
  const std::string head = R"({"role":"user","content":")";
  parsed(head + std::string(limits::event_bytes_max - head.size() - 2, 'x') + "\"}");
  CHECK_THAT(refused(head + std::string(limits::event_bytes_max - head.size() - 1, 'x') + "\"}",
                     error_code::payload_too_large),
             ContainsSubstring("at most 4194304"));
}

TEST_CASE("an unknown field is named with the nearest that there is") {
  CHECK_THAT(refused(with(R"("contnet":1)")), ContainsSubstring("'contnet'; did you mean 'content'?"));
  CHECK_THAT(refused(with(R"("tool_call":[])")), ContainsSubstring("did you mean 'tool_calls'?"));
  CHECK_THAT(refused(with(R"("Role":"x")")), ContainsSubstring("did you mean 'role'?"));
  CHECK_THAT(refused(with(R"("temperature":1)")),
             !ContainsSubstring("did you mean") && ContainsSubstring("allowed are role, content, tool_calls"));
  CHECK(refused(with("\"" + std::string(100'000, 'k') + "\":1")).size() < 300);
  CHECK_THAT(refused(with(R"("a\u0007b":1)")), ContainsSubstring("'a?b'"));
}

TEST_CASE("a field may be there once") {
  CHECK_THAT(refused(with(R"("role":"user")")), ContainsSubstring("'role' is twice"));
  CHECK_THAT(refused(with(R"("r\u006fle":"user")")), ContainsSubstring("'role' is twice"));
}

TEST_CASE("numbers come back as they were written") {
  parsed(with(R"("metadata":{"a":1.0,"b":1e400,"c":-0,"d":-0.0,"e":12345678901234567890123,"f":1E+2,"g":1e-4000})"));
  CHECK_THAT(refused(with(R"("metadata":{"a":1e5000})")), ContainsSubstring("is out of range"));
  parsed(with(R"("metadata":{"a":1e-999999999,"b":0e999999999,"c":1e+00000000000001})"));
  for (const auto* number : {"0e1000000000", "1e-1000000000", "0e40854775809", "1E-99999999999999999999"})
    CHECK_THAT(refused(with(R"("metadata":{"a":)" + std::string(number) + "}")),
               ContainsSubstring("exponent of a number has more than the 9 digits allowed"));
}

TEST_CASE("a message nests as deep as allowed") {
  // The message and `metadata` are two levels.
  const auto levels = static_cast<std::size_t>(limits::json_depth_max) - 2;
  parsed(with(R"("metadata":{"a":)" + repeated("[", levels) + repeated("]", levels) + "}"));
  CHECK_THAT(refused(with(R"("metadata":{"a":)" + repeated("[", levels + 1) + repeated("]", levels + 1) + "}")),
             ContainsSubstring("64 levels"));
}
