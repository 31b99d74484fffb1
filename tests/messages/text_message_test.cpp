#include "messages/text_message.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;

TEST_CASE("a text becomes a message and is read back as it was") {
  for (const std::string text :
       {"", "hello", "a \"quoted\" \\ word", "line\nline\ttab\x01\x1f", "caf\u00e9 \U0001F600"}) {
    const auto role = GENERATE(message_role::system, message_role::user, message_role::assistant);
    auto made = text_message(role, text);
    REQUIRE(made);
    CHECK(made->kind == event_kind::message);
    CHECK(made->role == role);
    CHECK(text_of(*made) == text);
  }
}

TEST_CASE("a text that no message can hold is refused") {
  CHECK_FALSE(text_message(message_role::user, "\xff"));
  CHECK_FALSE(text_message(message_role::user, std::string_view("a\0b", 3)));
  CHECK_FALSE(text_message(message_role::tool, "x"));
  CHECK_FALSE(text_message(message_role::none, "x"));
}

TEST_CASE("the text of a message of parts is that of its parts") {
  event_input message;
  message.data =
      R"({"role":"user","content":[{"type":"text","text":"a\u00e9"},{"type":"image"},{"type":"text","text":"\"b"}]})";
  CHECK(text_of(message) == "a\u00e9\"b");
  for (const char* none :
       {"", "[]", "{}", R"({"content":null})", R"({"content":3})", R"({"content":[1,"x"]})", "{\"content\":\""}) {
    message.data = none;
    CHECK(text_of(message).empty());
  }
}
