#include "gateway/call_reader.hpp"
#include "tests/support/catch.hpp"

#include <string>

using namespace colloquy;
using namespace colloquy::gateway;
using test::ContainsSubstring;

namespace {

const std::string session = "01890a5d-ac96-774b-bcce-b302099a8057";

struct asked {
  operation_id id = operation_id::create_session;
  std::vector<std::string> parameters{};
  std::string query{};
  std::string body{};
  call_headers headers{.content_type = "application/json"};
};

call_reading read(const asked& of) {
  // Read values point into the body, which must outlive them here.
  static std::vector<std::unique_ptr<std::string>> bodies;
  const auto& body = *bodies.emplace_back(std::make_unique<std::string>(of.body));
  return read_call(operation_of(of.id), of.parameters, of.query, of.headers, body, {});
}

/// "WHERE detail" of the only mistake.
std::string why_not(const asked& of) {
  const auto reading = read(of);
  CAPTURE(of.query, of.body);
  REQUIRE(reading.mistake_count == 1);
  return reading.mistakes.front().where + " " + reading.mistakes.front().detail;
}

asked messages(std::string query) {
  return {operation_id::list_messages, {session}, std::move(query)};
}
asked append(std::string body) {
  return {operation_id::append_messages, {session}, "", std::move(body)};
}

} // namespace

TEST_CASE("a call without mistakes says what its path, query, headers and body say") {
  auto of = append(R"( {"role":"user","content":"x"} )");
  of.query = "durability=durable";
  of.headers.idempotency_key = "key 1";
  const auto reading = read(of);
  REQUIRE(reading.is_good());
  CHECK(uuid_to_string(*reading.said.path.maybe<uuid_bytes>("id")) == session);
  CHECK(reading.said.query.text("durability") == "durable");
  CHECK(reading.said.idempotency_key == "key 1");
  REQUIRE(reading.said.messages.size() == 1);
  CHECK(reading.said.messages[0].data == R"({"role":"user","content":"x"})");
}

TEST_CASE("mistakes of path, query, headers and body are told together") {
  asked of{operation_id::list_events, {"no-id"}, "limit=0&limt=1&after=x", "{}"};
  of.headers.last_event_id = "minus one";
  const auto reading = read(of);
  CHECK(reading.mistake_count == 6);
  CHECK(reading.mistakes.front().in == mistake::place::path);
  CHECK(reading.mistakes.back().in == mistake::place::body);
}

TEST_CASE("a query has each of its parameters once, and no others") {
  CHECK(read(messages("limit=1&&after=-1&")).is_good());
  CHECK(why_not(messages("limit=1&limit=2")) == "limit is there twice");
  CHECK(why_not(messages("limit=1&limi%74=2")) == "limit is there twice");
  CHECK_THAT(why_not(messages("limt=1")), ContainsSubstring("did you mean \"limit\"?"));
  CHECK_THAT(why_not(messages("limit=1001")), ContainsSubstring("a whole number, 1 to 1000"));
  CHECK_THAT(why_not(messages("after=-2")), ContainsSubstring("-1 to "));
  CHECK_THAT(why_not(messages("limit=%zz")), ContainsSubstring("two hexadecimal digits"));
  CHECK_THAT(why_not(messages("%ff=1")), ContainsSubstring("valid UTF-8"));
  CHECK_THAT(why_not(messages("cursor=%00")), ContainsSubstring("without NUL"));
  CHECK_THAT(why_not(messages("order=up")), ContainsSubstring("one of asc, desc"));
}

TEST_CASE("what a query must have is missed") {
  const auto reading = read({operation_id::get_analytics, {}, "from=2026-01-01T00:00:00Z"});
  REQUIRE(reading.mistake_count == 1);
  CHECK(reading.mistakes[0].where == "to");
}

TEST_CASE("a body is one message, or several under their name") {
  CHECK(read(append(R"({"messages":[{"role":"user","content":"x"},{"role":"user","content":"y"}]})"))
            .said.messages.size() == 2);
  CHECK_THAT(why_not(append(R"({"messages":[]})")), ContainsSubstring("/messages must be an array of 1 to 1000"));
  CHECK_THAT(why_not(append("[]")), ContainsSubstring("object"));
  CHECK_FALSE(read(append("")).is_good());
  const auto both = read(append(R"({"messages":[{"role":"user","content":"x"}],"role":"user"})"));
  REQUIRE(both.mistake_count == 1);
  CHECK(both.mistakes[0].where == "/role");
}

TEST_CASE("a body that is no JSON we take is told once, whatever else might be wrong in it") {
  for (const std::string body : {"{", "{\"user_id\":\"a\",\"user_id\":\"b\"}", "{\"user_id\":\"\\u0000\"}",
                                 "{\"user_id\":\"\xff\"}", "{\"user_id\":\"\\ud800\"}", "{} {}", "\xEF\xBB\xBF{}"})
    CHECK_THAT(why_not({operation_id::create_session, {}, "", body}),
               ContainsSubstring("the body is not what it must be"));
  const std::string bomb(1 << 20, '[');
  CHECK_THAT(why_not({operation_id::create_session, {}, "", bomb}), ContainsSubstring("nest deeper"));
}

TEST_CASE("a body has a type, which no simple form of a page has") {
  asked of{operation_id::create_session, {}, "", R"({"user_id":"a"})"};
  for (const auto* good : {"application/json", "application/json; charset=utf-8", "application/merge-patch+json"}) {
    of.headers.content_type = good;
    CHECK(read(of).is_good());
  }
  for (const auto* wrong : {"text/plain", "application/x-www-form-urlencoded", "", "text/json, application/json"}) {
    of.headers.content_type = wrong;
    CHECK_THAT(why_not(of), ContainsSubstring("Content-Type is"));
  }
  of.headers.content_type.reset();
  CHECK_FALSE(read(of).is_good());
}

TEST_CASE("a call without a body takes none, and one that may have one takes none, too") {
  CHECK_THAT(why_not({operation_id::get_session, {session}, "", "{}"}), ContainsSubstring("takes no body"));
  asked of{operation_id::start_turn, {session}};
  of.headers.content_type.reset();
  CHECK(read(of).is_good());
}

TEST_CASE("a repeat's key is text of some length, and is not taken where a key is made") {
  asked of{operation_id::create_session, {}, "", R"({"user_id":"a"})"};
  const std::string longest(255, 'k'), too_long(256, 'k');
  of.headers.idempotency_key = longest;
  CHECK(read(of).said.idempotency_key == longest);
  for (const std::string_view wrong : {std::string_view(too_long), std::string_view(""), std::string_view("\xff")}) {
    of.headers.idempotency_key = wrong;
    CHECK_THAT(why_not(of), ContainsSubstring("Idempotency-Key must be"));
  }
  asked making{operation_id::create_key, {"acme"}, "", R"({"scopes":["read"]})"};
  making.headers.idempotency_key = "k";
  CHECK_THAT(why_not(making), ContainsSubstring("shown only once"));
  asked reading{operation_id::get_session, {session}};
  reading.headers.idempotency_key = "k";
  CHECK(read(reading).is_good());
}

TEST_CASE("a version is a number, in quotes or not, or any") {
  asked of{operation_id::update_session, {session}, "", "{}"};
  for (const auto* good : {"3", "\"3\""}) {
    of.headers.if_match = good;
    CHECK(read(of).said.version == 3);
  }
  of.headers.if_match = "*";
  CHECK_FALSE(read(of).said.version.has_value());
  for (const auto* wrong : {"", "0", "-1", "x", "W/\"3\"", "\"3", "3, 4", "\xff"}) {
    of.headers.if_match = wrong;
    CHECK_THAT(why_not(of), ContainsSubstring("If-Match is"));
    CHECK(why_not(of).find('\xff') == std::string::npos); // a reply is text
  }
}

TEST_CASE("metadata over its size is too large, which is another status") {
  const auto reading = read({operation_id::create_session,
                             {},
                             "",
                             R"({"user_id":"a","metadata":{"a":")" + std::string(70'000, 'x') + "\"}}"});
  CHECK(reading.mistake_count == 1);
  CHECK(reading.is_too_large);
}
