#include "gateway/import_reader.hpp"
#include "messages/content.hpp"
#include "tests/support/catch.hpp"

#include <string>

using namespace colloquy;
using namespace colloquy::gateway;
using test::ContainsSubstring;

namespace {

const timestamp now{std::chrono::hours{24 * 365 * 57}};
const std::string id = "01890a5d-ac96-774b-bcce-b302099a8057";

std::string session_line(const std::string& changed = R"("user_id":"ada")", const std::string& status = "active") {
  return R"({"type":"session","session":{"id":")" + id +
         R"(","external_id":null,"agent_id":null,"title":"t","status":")" + status +
         R"(","created_at":"2026-01-31T12:00:00Z","updated_at":"2026-01-31T12:00:00Z","expires_at":null,)" +
         R"("turn_count":1,"total_tokens":3,"next_offset":2,"durable_offset":-1,"metadata":{"a": 1},"parent_id":null,)" +
         R"("fork_offset":null,"version":1,)" + changed + "}}\n";
}

std::string turn_line(const std::string& turn_id, const std::string& status, int number = 1) {
  return R"({"type":"turn","turn":{"id":")" + turn_id + R"(","number":)" + std::to_string(number) + R"(,"status":")" +
         status + R"(","trace_id":null,"started_at":"2026-01-31T12:00:00Z","ended_at":null,"lease_expires_at":null,)" +
         R"("usage":{"input_tokens":1,"output_tokens":2}}})" + "\n";
}

std::string event_line(const std::string& data, const std::string& kind = "message",
                       const std::string& turn_id = "null", const std::string& author = "null") {
  return R"({"type":"event","event":{"offset":0,"kind":")" + kind +
         R"(","created_at":"2026-01-31T12:00:00Z","turn_id":)" + turn_id + R"(,"author":)" + author +
         R"(,"source":null,"trace_id":null,"data":)" + data + "}}\n";
}

const std::string hello = R"({"role": "user", "content":"Hello."})";
const std::string end = "{\"type\":\"end\",\"sessions\":1}\n";

import_reading read(const std::string& body) {
  return read_import(body, size_limits{1000, 100}, now);
}

std::string only_mistake(const std::string& body) {
  const auto reading = read(body);
  CAPTURE(body);
  REQUIRE(reading.mistake_count == 1);
  CHECK(reading.sessions.empty());
  return reading.mistakes[0].where + " " + reading.mistakes[0].detail;
}

} // namespace

TEST_CASE("an export is read as sessions with their logs, data as it was, blank lines aside") {
  const auto reading = read(session_line() + "\n" + turn_line(id, "completed") +
                            event_line(hello, "message", "\"" + id + "\"", "\"bob\"") + event_line("[1, 2]", "custom") +
                            " \r\n" + session_line(R"("user_id":"eve")", "paused") + end);
  if (reading.mistake_count > 0)
    FAIL(reading.mistakes[0].where + " " + reading.mistakes[0].detail);
  REQUIRE(reading.sessions.size() == 2);
  const auto& first = reading.sessions[0];
  CHECK(first.exported_id == id);
  CHECK(first.wanted.user_id == "ada");
  CHECK(first.wanted.metadata == "{\"a\": 1}");
  CHECK_FALSE(first.wanted.expires_in.has_value());
  CHECK((first.events == 2 && first.turns == 1));
  REQUIRE(first.pieces.size() == 1);
  const auto& piece = first.pieces[0];
  CHECK(piece.events[0].data == hello);
  CHECK(piece.events[0].role == message_role::user);
  CHECK(piece.events[1].data == "[1, 2]");
  CHECK(piece.log.authors == std::vector<std::string>{"bob", ""});
  CHECK(piece.log.turns[0] == piece.log.ended_turns.at(0).id);
  CHECK(piece.log.turns[0].to_string() != id); // another id than the exported one
  CHECK(piece.log.turns[1].is_nil());
  CHECK(reading.sessions[1].status == session_status::paused);
}

TEST_CASE("what ran is lost, what waited is left out, and a turn of another session means nothing") {
  const std::string other = "01890a5d-ac96-774b-bcce-b302099a8058";
  const auto reading =
      read(session_line() + turn_line(id, "running") + turn_line(other, "queued", 0) +
           event_line(hello, "message", "\"" + id + "\"") + event_line(hello, "message", "\"" + other + "\"") +
           session_line() + event_line(hello, "message", "\"" + id + "\"") + end);
  REQUIRE(reading.mistake_count == 0);
  const auto& log = reading.sessions[0].pieces[0].log;
  REQUIRE(log.ended_turns.size() == 1);
  CHECK(log.ended_turns[0].status == turn_status::lost);
  CHECK(log.ended_turns[0].ended_at == now);
  CHECK(log.turns[1].is_nil());
  CHECK(reading.sessions[1].pieces[0].log.turns[0].is_nil());
}

TEST_CASE("a long log is cut into pieces that can be appended") {
  std::string body = session_line();
  for (int i = 0; i < 2500; ++i)
    body += event_line(hello);
  const auto reading = read(body + end);
  REQUIRE(reading.sessions.size() == 1);
  CHECK(reading.sessions[0].pieces.size() == 3);
  CHECK(reading.sessions[0].events == 2500);
}

TEST_CASE("what is cut off, out of order, or no line of an export is refused with its line") {
  CHECK_THAT(only_mistake(session_line()), ContainsSubstring("the last line, of type end, is missing"));
  CHECK_THAT(only_mistake(""), ContainsSubstring("the last line"));
  CHECK_THAT(only_mistake(event_line(hello) + end), ContainsSubstring("/1 a session must come first"));
  CHECK_THAT(only_mistake(end + session_line()), ContainsSubstring("/2 there is more behind"));
  CHECK_THAT(only_mistake(session_line() + "{\"type\":\"secret\",\"secret\":{}}\n" + end),
             ContainsSubstring("/2/type must be"));
  CHECK_THAT(only_mistake(session_line() + "{\"type\":\"event\",\"turn\":{}}\n" + end),
             ContainsSubstring("a member of that name"));
  CHECK_THAT(only_mistake(session_line() + "[]\n" + end), ContainsSubstring("begins with its type"));
  CHECK_THAT(only_mistake(session_line() + "{\n" + end), ContainsSubstring("/2 the line is not what it must be"));
}

TEST_CASE("lengths, sizes and depths are those that calls keep to") {
  const auto name = [](std::size_t length) { return "\"user_id\":\"" + std::string(length, 'u') + "\""; };
  CHECK(read(session_line(name(255)) + end).mistake_count == 0);
  CHECK_THAT(only_mistake(session_line(name(256)) + end),
             ContainsSubstring("/1/session/user_id must be a string of 1 to 255"));
  CHECK_THAT(only_mistake(session_line(name(0)) + end), ContainsSubstring("/1/session/user_id"));
  CHECK_THAT(only_mistake(session_line() + R"({"type":"participant","participant":{"user_id":"","role":"reader"}})" +
                          "\n" + end),
             ContainsSubstring("/2/participant/user_id"));
  CHECK_THAT(
      only_mistake(session_line() + event_line(hello, "message", "null", "\"" + std::string(256, 'a') + "\"") + end),
      ContainsSubstring("/2/event/author"));
  CHECK_THAT(only_mistake(session_line() + event_line(std::string(65, '[') + std::string(65, ']'), "custom") + end),
             ContainsSubstring("/2/event/data nests deeper"));
  const auto large = read(session_line() + event_line("\"" + std::string(1000, 'x') + "\"", "custom") + end);
  CHECK(large.mistake_count == 1);
  CHECK(large.is_too_large);
  CHECK_THAT(only_mistake(session_line() + event_line(R"({"role":"user"})") + end),
             ContainsSubstring("/2/event/data/content"));
}
