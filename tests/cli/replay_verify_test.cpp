#include "cli/replay_verify.hpp"

#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::cli;
using colloquy::test::ContainsSubstring;

namespace {

conversation sample() {
  std::string line = R"({"conversation_id":"c","messages":[)";
  for (int i = 0; i < 20; ++i)
    line += std::string(i ? "," : "") + R"({"role":")" + (i % 2 ? "assistant" : "user") + R"(","content":"text )" +
            std::to_string(i) + "\"}";
  auto parsed = parse_conversation(line + "]}");
  REQUIRE(parsed.has_value());
  return *std::move(parsed);
}

/// As the log of it would be: a status event around each turn.
std::vector<event> log_of(const conversation& from) {
  std::vector<event> log;
  const auto add = [&](event_input input) {
    event next;
    static_cast<event_input&>(next) = std::move(input);
    next.offset = static_cast<event_offset>(log.size());
    log.push_back(std::move(next));
  };
  event_input status;
  status.kind = event_kind::status;
  for (const auto& step : from.steps) {
    if (step.kind == step_kind::start_turn)
      add(status);
    for (std::size_t i = 0; i < step.count; ++i)
      add(from.messages[step.first + i]);
    if (step.kind == step_kind::end_turn)
      add(status);
  }
  return log;
}

void renumber(std::vector<event>& log) {
  for (std::size_t i = 0; i < log.size(); ++i)
    log[i].offset = static_cast<event_offset>(i);
}

comparison compare(const conversation& expected, const std::vector<event>& log, std::int64_t turns = 10) {
  log_comparison comparing(expected);
  for (const auto& each : log)
    comparing.take(each);
  return comparing.finish(turns);
}

/// Of the messages of this log, the place of the nth.
std::size_t message_at(const std::vector<event>& log, std::size_t nth) {
  for (std::size_t i = 0; i < log.size(); ++i)
    if (log[i].kind == event_kind::message && nth-- == 0)
      return i;
  FAIL("no such message");
  return 0;
}

} // namespace

TEST_CASE("a log that is its conversation is verified whole") {
  const auto expected = sample();
  const auto log = log_of(expected);
  auto found = compare(expected, log);
  CHECK(found.verified == 20);
  CHECK(found.mismatched == 0);
  CHECK(found.events == 40);
  CHECK(found.complaints.empty());
}

TEST_CASE("a changed byte is found, and only that message") {
  const auto expected = sample();
  for (std::size_t nth : {0u, 7u, 19u}) {
    auto log = log_of(expected);
    log[message_at(log, nth)].data.back() = ' ';
    auto found = compare(expected, log);
    CHECK(found.verified == 19);
    CHECK(found.mismatched == 1);
    CHECK_THAT(found.complaints.at(0),
               ContainsSubstring("message " + std::to_string(nth + 1)) && ContainsSubstring("differs from byte"));
  }
}

TEST_CASE("content that JSON calls equal is not the same bytes") {
  const auto expected = sample();
  auto log = log_of(expected);
  log[message_at(log, 3)].data += " ";
  CHECK(compare(expected, log).mismatched == 1);
}

TEST_CASE("a changed role is found") {
  const auto expected = sample();
  auto log = log_of(expected);
  log[message_at(log, 4)].role = message_role::system;
  auto found = compare(expected, log);
  CHECK(found.mismatched == 1);
  CHECK_THAT(found.complaints.at(0), ContainsSubstring("role is 'system', not 'user'"));
}

TEST_CASE("a missing message is found, and the others still count") {
  const auto expected = sample();
  for (std::size_t nth : {0u, 9u, 19u}) {
    auto log = log_of(expected);
    log.erase(log.begin() + static_cast<std::ptrdiff_t>(message_at(log, nth)));
    renumber(log);
    auto found = compare(expected, log);
    CHECK(found.verified == 19);
    CHECK(found.mismatched == 1);
    CHECK_THAT(found.complaints.at(0), ContainsSubstring("message " + std::to_string(nth + 1) + " is missing"));
  }
}

TEST_CASE("a message too many is found, and the others still count") {
  const auto expected = sample();
  for (std::size_t nth : {0u, 9u, 19u}) {
    auto log = log_of(expected);
    const auto place = static_cast<std::ptrdiff_t>(message_at(log, nth) + (nth == 19 ? 1 : 0));
    event extra;
    extra.role = message_role::user;
    extra.data = R"({"role":"user","content":"who put this here?"})";
    log.insert(log.begin() + place, extra);
    renumber(log);
    auto found = compare(expected, log);
    CHECK(found.verified == 20);
    CHECK(found.mismatched == 1);
    CHECK_THAT(found.complaints.at(0), ContainsSubstring("too many"));
  }
}

TEST_CASE("a repeated message is found") {
  const auto expected = sample();
  auto log = log_of(expected);
  const auto place = message_at(log, 5);
  log.insert(log.begin() + static_cast<std::ptrdiff_t>(place), event(log[place]));
  renumber(log);
  auto found = compare(expected, log);
  CHECK(found.verified == 20);
  CHECK(found.mismatched == 1);
}

TEST_CASE("two messages that changed places are found") {
  const auto expected = sample();
  auto log = log_of(expected);
  std::swap(log[message_at(log, 6)], log[message_at(log, 7)]);
  renumber(log);
  auto found = compare(expected, log);
  CHECK(found.mismatched >= 1);
  CHECK(found.verified >= 18);
  CHECK(found.verified < 20);
}

TEST_CASE("a gap in the offsets is found, and a repeat of one") {
  const auto expected = sample();
  auto log = log_of(expected);
  for (std::size_t i = 10; i < log.size(); ++i)
    ++log[i].offset;
  auto found = compare(expected, log);
  CHECK(found.verified == 20);
  CHECK(found.mismatched == 1);
  CHECK_THAT(found.complaints.at(0), ContainsSubstring("offset 11 is where 10 belongs"));
  for (std::size_t i = 10; i < log.size(); ++i)
    log[i].offset -= 2;
  CHECK(compare(expected, log).mismatched == 1);
}

TEST_CASE("a log that does not begin at 0 has a gap") {
  const auto expected = sample();
  auto log = log_of(expected);
  for (auto& each : log)
    ++each.offset;
  CHECK(compare(expected, log).mismatched == 1);
}

TEST_CASE("a wrong count of turns is found") {
  const auto expected = sample();
  auto found = compare(expected, log_of(expected), 9);
  CHECK(found.verified == 20);
  CHECK(found.mismatched == 1);
  CHECK_THAT(found.complaints.at(0), ContainsSubstring("9 turns, not 10"));
}

TEST_CASE("an empty log and a foreign one are counted, and told in a few sentences") {
  const auto expected = sample();
  auto empty = compare(expected, {});
  CHECK(empty.verified == 0);
  CHECK(empty.mismatched == 20);
  CHECK(empty.complaints.size() == 3);
  auto log = log_of(expected);
  for (auto& each : log)
    each.data = "{}";
  auto foreign = compare(expected, log);
  CHECK(foreign.verified == 0);
  CHECK(foreign.mismatched == 20);
  CHECK(foreign.complaints.size() == 3);
}
