#include "messages/content.hpp"

#include "tests/messages/history_log.hpp"
#include "tests/support/catch.hpp"

#include <limits>

using namespace colloquy;
using namespace colloquy::test;
using strings = std::vector<std::string>;

namespace {

history_limits budget(std::int64_t tokens) {
  return {.token_budget = tokens};
}
history_limits last(std::int64_t messages) {
  return {.messages_max = messages};
}

} // namespace

TEST_CASE("the newest messages that fit are given, oldest first") {
  log_of_messages log;
  for (int i = 0; i < 10; ++i)
    log.user();
  auto [chosen, read] = read_back(log.events, budget(35));
  CHECK(shown(chosen) == strings{"7", "8", "9"});
  CHECK(chosen.kept == 3);
  CHECK(chosen.made_up == 0);
  CHECK(chosen.tokens == 30);
  CHECK(read == 4);
  CHECK(shown(log.events, budget(30)) == strings{"7", "8", "9"});
  CHECK(shown(log.events, budget(29)) == strings{"8", "9"});
  CHECK(read_back(log.events, budget(1'000'000)).chosen.kept == 10);
  CHECK(shown({}, budget(10)).empty());
}

TEST_CASE("a message that is too long ends the history, also for shorter ones before it") {
  log_of_messages log;
  log.user(1);
  log.user(50);
  log.user(1);
  CHECK(shown(log.events, budget(40)) == strings{"2"});
}

TEST_CASE("a leading system message is always there and counts first") {
  log_of_messages log;
  log.add(message_role::system);
  for (int i = 0; i < 5; ++i)
    log.user();
  CHECK(shown(log.events, budget(30)) == strings{"0", "4", "5"});
  CHECK(read_back(log.events, budget(30)).read == 3);
  auto [chosen, read] = read_back(log.events, budget(1));
  CHECK(shown(chosen) == strings{"0", "5"});
  CHECK(chosen.kept == 2);
  CHECK(chosen.tokens == 20);
  CHECK(read == 1);
  CHECK(shown(log.events, last(3)) == strings{"0", "4", "5"});
  CHECK(read_back(log.events, budget(60)).chosen.kept == 6);

  log_of_messages alone;
  alone.add(message_role::system);
  CHECK(shown(alone.events, budget(1)) == strings{"0"});
}

TEST_CASE("a system message that is not the first is as any other") {
  log_of_messages log;
  log.user();
  log.add(message_role::system);
  log.user();
  log.user();
  CHECK(shown(log.events, budget(20)) == strings{"2", "3"});
  CHECK(shown(log.events, budget(30)) == strings{"1", "2", "3"});
}

TEST_CASE("no message is always there if none is named first") {
  log_of_messages log;
  log.add(message_role::system);
  log.user();
  history_window window(last(1), running_turn);
  window.add(log.events[1]);
  CHECK_FALSE(window.wants_more());
  CHECK(shown(std::move(window).finish()) == strings{"1"});
}

TEST_CASE("a call and its results are in together or out together") {
  log_of_messages log;
  log.user();
  log.call({"a", "b"});
  log.result("a");
  log.result("b");
  log.user();
  CHECK(shown(log.events, budget(40)) == strings{"1", "2", "3", "4"});
  for (int tokens : {10, 20, 30, 39})
    CHECK(shown(log.events, budget(tokens)) == strings{"4"});
  CHECK(shown(log.events, last(4)) == strings{"1", "2", "3", "4"});
  CHECK(shown(log.events, last(3)) == strings{"4"});
}

TEST_CASE("a late result brings its call with it, and what lies between makes room") {
  log_of_messages log;
  log.call({"a"});
  for (int i = 1; i <= 5; ++i)
    log.user();
  log.result("a");
  log.user();
  CHECK(shown(log.events, budget(50)) == strings{"0", "4", "5", "6", "7"});
  CHECK(shown(log.events, budget(30)) == strings{"0", "6", "7"});
  // The call's message does not fit any more, so its result is out, and what is older than that too.
  CHECK(shown(log.events, budget(20)) == strings{"7"});
}

TEST_CASE("the newest unit is given whole even if it does not fit") {
  log_of_messages log;
  log.user();
  log.call({"a", "b"}, 500);
  log.result("a", 500);
  log.user();
  log.result("b", 500);
  auto [chosen, read] = read_back(log.events, budget(1));
  CHECK(shown(chosen) == strings{"1", "2", "4"});
  CHECK(chosen.tokens == 1500);
  CHECK(read == 4);
  CHECK(shown(log.events, last(1)) == strings{"1", "2", "4"});
}

TEST_CASE("thousands of results before their call are one unit") {
  log_of_messages log;
  std::vector<std::string> ids;
  for (int i = 0; i < 5000; ++i)
    ids.push_back("call" + std::to_string(i));
  log.user();
  log.call(ids);
  for (const auto& id : ids)
    log.result(id);
  CHECK(read_back(log.events, budget(1)).chosen.kept == 5001);
  CHECK(read_back(log.events, budget(60'000)).chosen.kept == 5002);
  log.user();
  CHECK(shown(log.events, budget(50'019)) == strings{"5002"});
  CHECK(read_back(log.events, budget(50'020)).chosen.kept == 5002);
}

TEST_CASE("an id that is used again belongs to the nearest call before the result") {
  log_of_messages log;
  log.call({"a"});
  log.result("a");
  log.call({"a"}).turn = ended_turn;
  log.call({"a", "a"});
  log.result("a");
  log.result("a");
  CHECK(shown(log.events, budget(30)) == strings{"3", "4", "5"});
  CHECK(shown(log.events, budget(1000)) == strings{"0", "1", "2", "made up for a", "3", "4", "5"});
}

TEST_CASE("results without a call are never given, but count") {
  log_of_messages log;
  log.user();
  log.user();
  log.result("nobody asked");
  log.user();
  CHECK(shown(log.events, budget(1000)) == strings{"0", "1", "3"});
  CHECK(shown(log.events, budget(30)) == strings{"1", "3"});
  log.call({"late"});
  log.events.back().turn = running_turn;
  CHECK(shown(log.events, budget(10)) == strings{"4"});

  log_of_messages flood;
  flood.user();
  for (int i = 0; i < 20'000; ++i)
    flood.result("r" + std::to_string(i));
  auto [chosen, read] = read_back(flood.events, budget(100));
  CHECK(chosen.messages.empty());
  CHECK(read == history_window::results_waiting_max + 1);
}

TEST_CASE("results whose calls have come wait no more, however many they are") {
  log_of_messages log;
  for (int i = 0; i < 6000; ++i) {
    log.call({"a"});
    log.result("a");
    log.result("a");
  }
  CHECK(read_back(log.events, budget(1'000'000)).chosen.kept == 18'000);
}

TEST_CASE("a tool message without an id stands alone") {
  log_of_messages log;
  log.call({""});
  log.result("");
  CHECK(shown(log.events, budget(10)) == strings{"1"});
}

TEST_CASE("the search for a call that may fit is bounded") {
  log_of_messages log;
  log.call({"far"});
  for (int i = 0; i < 3000; ++i)
    log.user();
  log.result("far");
  log.user();
  auto [chosen, read] = read_back(log.events, budget(100));
  CHECK(chosen.kept == 9);
  CHECK(read <= 11 + history_window::lookback_max);
  // Within the budget a call is found however far.
  CHECK(read_back(log.events, budget(40'000)).chosen.kept == 3003);
}

TEST_CASE("the window ends at its bound of bytes") {
  log_of_messages log;
  for (int i = 0; i < 10; ++i)
    log.user().data.assign(1000, ' ');
  auto limits = budget(1'000'000);
  limits.bytes_max = 4 * log.events.front().cost_bytes();
  history_window window(limits, running_turn);
  std::size_t read = 0;
  for (auto at = log.events.rbegin(); window.wants_more(); ++at, ++read)
    window.add(*at);
  CHECK(read == 5);
  CHECK(shown(std::move(window).finish()) == strings{"6", "7", "8", "9"});

  // A message may make more calls than could be closed.
  log_of_messages calls;
  calls.call(std::vector<std::string>(1)).turn = ended_turn;
  for (int i = 0; i < 100'000; ++i)
    calls.events.front().tool_call_ids.push_back(std::to_string(i));
  limits.bytes_max = 2'000'000;
  CHECK(shown(calls.events, limits).empty());
}

TEST_CASE("a call that a lost turn left open is closed by a made-up result") {
  log_of_messages log;
  log.call({"a", "q\"\\\n", "c", "a"}).turn = ended_turn;
  log.result("c");
  log.user();
  auto chosen = read_back(log.events, budget(1000)).chosen;
  CHECK(shown(chosen) == strings{"0", "1", "made up for a", "made up for q\"\\\n", "2"});
  CHECK(chosen.kept == 3);
  CHECK(chosen.made_up == 2);
  std::int64_t sum = 30;
  for (std::size_t i : {2u, 3u}) {
    const auto& result = chosen.messages[i];
    auto parsed = parse_message(result.data);
    REQUIRE(parsed.has_value());
    CHECK(parsed->role == message_role::tool);
    CHECK(parsed->tool_call_id == result.tool_call_id);
    CHECK(result.role == message_role::tool);
    CHECK(result.turn == ended_turn);
    CHECK(result.offset == 0);
    sum += estimate_tokens(result);
  }
  CHECK(chosen.tokens == sum);
  CHECK(read_back(log.events, budget(sum)).chosen.made_up == 2);
  CHECK(shown(log.events, budget(sum - 1)) == strings{"2"});
  CHECK(shown(log.events, last(3)).size() == 5);
}

TEST_CASE("a made-up result stands before what parts its call from a real one") {
  log_of_messages log;
  log.call({"a", "b"}).turn = ended_turn;
  log.user();
  log.result("b");
  CHECK(shown(log.events, budget(1000)) == strings{"0", "made up for a", "1", "2"});
}

TEST_CASE("calls of the running turn and of none stay open") {
  log_of_messages log;
  log.call({"a"});
  log.call({"b"}).turn = running_turn;
  CHECK(shown(log.events, budget(1000)) == strings{"0", "1"});
  log.events[1].turn = ended_turn;
  CHECK(shown(log.events, budget(1000)) == strings{"0", "1", "made up for b"});
}

TEST_CASE("tokens are those said, else counted by bytes or by a counter") {
  log_of_messages log;
  log.user().tokens.reset();
  log.events.back().data.assign(41, ' ');
  CHECK(estimate_tokens(log.events.back()) == 15);
  CHECK(read_back(log.events, budget(1000)).chosen.tokens == 15);
  auto counter = [](const event& message) { return message.data.size() > 50 ? -5 : 7; };
  CHECK(read_back(log.events, budget(1000), counter).chosen.tokens == 7);
  log.events.back().data.assign(51, ' ');
  CHECK(read_back(log.events, budget(1000), counter).chosen.tokens == 0);
  auto huge = [](const event&) { return std::numeric_limits<std::int64_t>::max(); };
  log.user().tokens.reset();
  CHECK(read_back(log.events, budget(1000), huge).chosen.kept >= 1);
  log.events.back().tokens = 3;
  CHECK(read_back(log.events, budget(3), huge).chosen.tokens == 3);
}

TEST_CASE("pages may overlap, and events of other kinds may be among the messages") {
  log_of_messages log;
  for (int i = 0; i < 4; ++i)
    log.user();
  log.events[2].kind = event_kind::status;
  history_window window(budget(25), running_turn);
  for (std::size_t i : {3u, 2u, 3u, 2u, 1u, 0u})
    window.add(log.events[i]);
  CHECK(shown(std::move(window).finish()) == strings{"1", "3"});
}
