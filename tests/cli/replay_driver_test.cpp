#include "tests/cli/fake_directory.hpp"

#include <algorithm>
#include <set>

using namespace colloquy;
using namespace colloquy::cli;
using namespace colloquy::cli::test;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

/// How many sessions were at work at once, between the first and the last write of each.
std::size_t most_at_once(const std::vector<session_id>& asked) {
  std::map<session_id, std::pair<std::size_t, std::size_t>> spans;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    spans.try_emplace(asked[i], i, i);
    spans[asked[i]].second = i;
  }
  std::size_t most = 0;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto covers = [&](const auto& each) { return each.second.first <= i && i <= each.second.second; };
    most = std::max(most, static_cast<std::size_t>(std::count_if(spans.begin(), spans.end(), covers)));
  }
  return most;
}

std::vector<std::string> many_lines(int count) {
  std::vector<std::string> lines;
  lines.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    lines.push_back(line_of("c" + std::to_string(i), "suatauua"));
  return lines;
}

} // namespace

TEST_CASE("a replay writes each exchange as a turn, in order, and flushes") {
  replay_fixture replay;
  replay.write_lines({line_of("one", "suatau"), line_of("two", "s"), R"({"conversation_id":"none","messages":[]})"});
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 3);
  CHECK(outcome.messages == 7);
  CHECK(outcome.turns == 2);
  CHECK(outcome.failed + outcome.bad_lines == 0);
  CHECK(outcome.durable);
  CHECK_FALSE(outcome.interrupted);
  CHECK(replay.store->flushes == 1);
  REQUIRE(outcome.sessions.size() == 3);
  const auto& log = replay.store->sessions.at(outcome.sessions[0]).log;
  std::string kinds; // of each event, and whether a turn wrote it
  for (const auto& each : log)
    kinds += std::string(1, each.kind == event_kind::status ? '!' : to_string(each.role)[0]) +
             (each.turn.is_nil() ? "" : "'");
  CHECK(kinds == "s!'u'a't'a'!'!'u'!'");
  CHECK(replay.store->sessions.at(outcome.sessions[0]).record.metadata == R"({"conversation_id":"one","copy":1})");
  CHECK(replay.store->sessions.at(outcome.sessions[0]).record.user_id == "replay");
  CHECK(replay.store->sessions.at(outcome.sessions[2]).log.empty());
}

TEST_CASE("each copy is a session of its own") {
  replay_fixture replay;
  replay.plan.copies = 5;
  replay.write_lines(many_lines(4));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 20);
  CHECK(outcome.messages == 160);
  CHECK(std::set<session_id>(outcome.sessions.begin(), outcome.sessions.end()).size() == 20);
  for (std::size_t copy = 0; copy < 5; ++copy)
    CHECK(replay.store->sessions.at(outcome.sessions[5 + copy]).record.metadata ==
          R"({"conversation_id":"c1","copy":)" + std::to_string(copy + 1) + "}");
  CHECK(replay.check(outcome).verified == 160);
}

TEST_CASE("no more conversations are in flight than asked for") {
  for (std::size_t concurrency : {1u, 3u}) {
    replay_fixture replay;
    replay.plan.concurrency = concurrency;
    replay.write_lines(many_lines(12));
    CHECK(replay.append().conversations == 12);
    CHECK(most_at_once(replay.store->asked) <= concurrency);
  }
}

TEST_CASE("what is refused for now is sent again, once and in order") {
  replay_fixture replay;
  replay.store->refuse = [](std::size_t number) -> std::optional<error> {
    if (number % 3 == 0)
      return error{error_code::overloaded, "full", 1ms};
    if (number % 7 == 0)
      return error{error_code::database_unavailable, "away", 1ms};
    return std::nullopt;
  };
  replay.write_lines(many_lines(20));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 20);
  CHECK(outcome.durable);
  const auto checked = replay.check(outcome);
  CHECK(checked.verified == 160);
  CHECK(checked.mismatched == 0);
}

TEST_CASE("a budget that is used up is waited for") {
  replay_fixture replay;
  replay.budget = std::make_shared<byte_budget>(4000); // three requests, two of which are held
  replay.write_lines(many_lines(10));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 10);
  CHECK(replay.check(outcome).verified == 80);
  CHECK(replay.budget->used_bytes() == 0);
}

TEST_CASE("a message that no budget could hold is named and given up") {
  replay_fixture replay;
  replay.budget = std::make_shared<byte_budget>(4000);
  replay.write_lines(
      {R"({"conversation_id":"big","messages":[{"role":"user","content":")" + std::string(5000, 'x') + "\"}]}",
       line_of("small", "ua")});
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 1);
  CHECK(outcome.failed == 1);
  CHECK_THAT(replay.complaints(), ContainsSubstring("line 1") && ContainsSubstring("undurable_bytes_max"));
}

TEST_CASE("a request that is refused for good fails its conversation only") {
  replay_fixture replay;
  replay.plan.concurrency = 1;
  replay.store->refuse = [](std::size_t number) -> std::optional<error> {
    return number == 6 ? std::optional(error{error_code::turn_lost, "the turn is lost"}) : std::nullopt;
  };
  replay.write_lines(many_lines(3));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 2);
  CHECK(outcome.failed == 1);
  CHECK(outcome.sessions[0].is_nil());
  CHECK_THAT(replay.complaints(), ContainsSubstring("line 1: not replayed to its end: the turn is lost"));
  CHECK(replay.check(outcome).verified == 16);
}

TEST_CASE("a request whose outcome is unknown is not sent again") {
  replay_fixture replay;
  replay.plan.request_timeout = 100ms;
  replay.plan.concurrency = 1;
  replay.store->swallow = [](std::size_t number) { return number == 3; };
  replay.write_lines(many_lines(2));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 1);
  CHECK(outcome.failed == 1);
  CHECK_THAT(replay.complaints(), ContainsSubstring("not answered in time"));
}

TEST_CASE("with nothing moving it gives up and says so") {
  replay_fixture replay;
  replay.plan.no_progress_max = 300ms;
  replay.store->refuse = [](std::size_t) { return error{error_code::database_unavailable, "it is away", 5ms}; };
  replay.write_lines(many_lines(3));
  const auto outcome = replay.append();
  CHECK(outcome.conversations == 0);
  CHECK_FALSE(outcome.durable);
  REQUIRE(outcome.given_up.has_value());
  CHECK_THAT(outcome.given_up->message, ContainsSubstring("300 ms") && ContainsSubstring("it is away"));
}

TEST_CASE("a directory that is gone ends the replay") {
  replay_fixture replay;
  replay.plan.no_progress_max = 300ms;
  replay.write_lines(many_lines(3));
  auto dead = replay.system.spawn<fake_directory>(replay.store);
  replay.self->send_exit(dead, caf::exit_reason::kill);
  replay.self->wait_for(dead);
  auto driver = replay.system.spawn<replay_driver>(dead, replay.budget, replay.transcripts(), replay.plan);
  replay.self->send(driver, begin_replay{});
  const auto outcome = replay.wait<append_outcome_ptr>();
  CHECK(outcome->failed == 3);
  CHECK_FALSE(outcome->durable);
}

TEST_CASE("a flush that fails is tried again") {
  replay_fixture replay;
  replay.store->refuse_flush = [](std::size_t number) -> std::optional<error> {
    return number < 3 ? std::optional(error{error_code::database_unavailable, "away", 1ms}) : std::nullopt;
  };
  replay.write_lines(many_lines(2));
  const auto outcome = replay.append();
  CHECK(outcome.durable);
  CHECK(replay.store->flushes == 3);
}

TEST_CASE("a flush that never succeeds leaves nothing durable") {
  replay_fixture replay;
  replay.plan.no_progress_max = 300ms;
  replay.store->refuse_flush = [](std::size_t) { return error{error_code::deadline_exceeded, "too slow", 5ms}; };
  replay.write_lines(many_lines(2));
  const auto outcome = replay.append();
  CHECK_FALSE(outcome.durable);
  CHECK(outcome.conversations == 2);
  REQUIRE(outcome.given_up.has_value());
  CHECK_THAT(outcome.given_up->message, ContainsSubstring("too slow"));
}

TEST_CASE("told to stop it begins nothing more and flushes what was accepted") {
  replay_fixture replay;
  replay.plan.concurrency = 2;
  replay.write_lines(many_lines(50));
  replay.directory = replay.system.spawn<fake_directory>(replay.store);
  auto driver = replay.system.spawn<replay_driver>(replay.directory, replay.budget, replay.transcripts(), replay.plan);
  replay.store->notice = [&](std::size_t number) {
    if (number == 40)
      caf::anon_send(driver, stop_replay{});
  };
  replay.self->send(driver, begin_replay{});
  const auto outcome = replay.wait<append_outcome_ptr>();
  CHECK(outcome->interrupted);
  CHECK(outcome->durable);
  CHECK(outcome->conversations < 50);
  CHECK(replay.store->flushes == 1);
  std::size_t messages = 0;
  for (const auto& [id, session] : replay.store->sessions)
    for (const auto& each : session.log)
      messages += each.kind == event_kind::message ? 1 : 0;
  CHECK(outcome->messages == messages);
}

TEST_CASE("told to stop it does not wait longer than allowed") {
  replay_fixture replay;
  replay.plan.shutdown_timeout = 200ms;
  replay.store->swallow = [](std::size_t number) { return number >= 2; };
  replay.write_lines(many_lines(1));
  replay.directory = replay.system.spawn<fake_directory>(replay.store);
  auto driver = replay.system.spawn<replay_driver>(replay.directory, replay.budget, replay.transcripts(), replay.plan);
  replay.store->notice = [&](std::size_t number) {
    if (number == 2)
      caf::anon_send(driver, stop_replay{});
  };
  replay.self->send(driver, begin_replay{});
  const auto outcome = replay.wait<append_outcome_ptr>();
  CHECK(outcome->interrupted);
  CHECK_FALSE(outcome->durable);
}

TEST_CASE("bad lines are skipped, counted, and the first ones named") {
  replay_fixture replay;
  std::vector<std::string> lines(30, "{");
  lines.insert(lines.begin() + 10, line_of("good", "ua"));
  replay.write_lines(lines);
  const auto outcome = replay.append();
  CHECK(outcome.bad_lines == 30);
  CHECK(outcome.conversations == 1);
  const auto complaints = replay.complaints();
  CHECK(std::count(complaints.begin(), complaints.end(), '\n') == 20);
  CHECK_THAT(complaints, ContainsSubstring("a.jsonl line 1: skipped: not valid JSON"));
  CHECK(replay.plan.progress->complaints_left_out() == 10);
}
