#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/limits.hpp"
#include "messages/session.hpp"

#include "tests/support/catch.hpp"

#include <set>

using namespace colloquy;

TEST_CASE("the names of kinds, roles and states read back") {
  for (auto kind : {event_kind::message, event_kind::tool, event_kind::status, event_kind::custom})
    CHECK(parse_event_kind(to_string(kind)) == kind);
  for (auto role : {message_role::system, message_role::user, message_role::assistant, message_role::tool})
    CHECK(parse_message_role(to_string(role)) == role);
  for (auto status :
       {session_status::active, session_status::paused, session_status::completed, session_status::expired})
    CHECK(parse_session_status(to_string(status)) == status);
  for (auto status : {turn_status::queued, turn_status::running, turn_status::completed, turn_status::failed,
                      turn_status::cancelled, turn_status::interrupted, turn_status::rolled_back, turn_status::lost})
    CHECK(parse_turn_status(to_string(status)) == status);
}

TEST_CASE("what is no name is none") {
  for (const char* text : {"", "Message", "message ", "none", "x"}) {
    CHECK_FALSE(parse_event_kind(text).has_value());
    CHECK_FALSE(parse_message_role(text).has_value());
    CHECK_FALSE(parse_session_status(text).has_value());
    CHECK_FALSE(parse_turn_status(text).has_value());
  }
  CHECK(to_string(message_role::none).empty());
}

TEST_CASE("every error code has a name of its own") {
  std::set<std::string_view> names;
  for (int code = static_cast<int>(error_code::invalid_request);
       code <= static_cast<int>(error_code::deadline_exceeded); ++code)
    names.insert(to_string(static_cast<error_code>(code)));
  CHECK(names.size() == static_cast<std::size_t>(error_code::deadline_exceeded));
}

TEST_CASE("an event costs all of its bytes and its place in queues") {
  event_input event;
  CHECK(event.cost_bytes() == limits::event_overhead_bytes);
  event.data = "12345";
  event.tool_call_id = "67";
  event.tool_call_ids = {"890", "1"};
  event.source = "ab";
  event.trace_id = "c";
  CHECK(event.cost_bytes() == limits::event_overhead_bytes + 5 + 2 + 3 + 1 + 2 + 1);
}

TEST_CASE("times are RFC 3339 in UTC with microseconds") {
  using namespace std::chrono;
  CHECK(to_rfc3339(timestamp{}) == "1970-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339(sys_days{2024y / February / 29} + 23h + 59min + 59s + 999'999us) == "2024-02-29T23:59:59.999999Z");
  CHECK(to_rfc3339(sys_days{2026y / January / 31} + 12h + 1us) == "2026-01-31T12:00:00.000001Z");
  CHECK(to_rfc3339(timestamp{} - 1us) == "1969-12-31T23:59:59.999999Z");
}

TEST_CASE("the wall clock goes on") {
  const auto first = system_time();
  CHECK(system_time() >= first);
}

TEST_CASE("a result is a value or an error") {
  result<std::string> value = std::string("x");
  REQUIRE(value);
  CHECK(*value == "x");
  CHECK(value->size() == 1);
  result<std::string> failed = error{error_code::overloaded, "full", std::chrono::milliseconds{20}};
  REQUIRE_FALSE(failed);
  CHECK(failed.failure().code == error_code::overloaded);
  CHECK(failed.failure().retry_after == std::chrono::milliseconds{20});
  CHECK(result<void>{}.has_value());
  CHECK_FALSE(result<void>{error{}}.has_value());
}
