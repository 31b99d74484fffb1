// What a turn begins with and is told of the conversation, and requests for one that come again.
#include "tests/actors/turns_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Nothing of the log is in memory and what is read of it waits for answer_read().
void hold_reads(turns& service) {
  service.pool.reads_at_once = false;
}

void answer_reads(turns& service) {
  while (service.pool.answer_read())
    service.steps.run();
}

start_turn repeated(start_turn request, const std::string& key, const std::string& fingerprint = "same") {
  request.repeat = idempotency{key, fingerprint};
  return request;
}

} // namespace

TEST_CASE("what a turn begins with is written inside it, all of it or nothing") {
  turns service;
  auto request = service.wanted({"one", "two"});
  request.trace_id = "trace";
  const auto turn = service.ask(request).value().turn;
  CHECK(turn.trace_id == "trace");
  const auto& log = service.database->log(service.session.id);
  REQUIRE(log.size() == 3);
  for (const auto& entry : log)
    CHECK(uuid_of(entry.rest[of_turn]) == turn.id.bytes);
  CHECK(log[0].rest[trace_id] == "trace");
  REQUIRE(service.ask(service.ending(turn.id)));

  request.events.push_back(message("\xff"));
  CHECK(service.refusal(request) == error_code::invalid_request);
  request.events.assign(limits::events_per_append_max + 1, message("x"));
  CHECK(service.refusal(request) == error_code::invalid_request);
  CHECK(service.everything() == texts{"<running 1>", "one", "two", "<completed 1>"});
}

TEST_CASE("a start that could never be granted is refused before it waits") {
  turns service;
  const auto refuses = [&](auto change) {
    auto request = service.wanted();
    change(request);
    return service.refusal(request) == error_code::invalid_request;
  };
  const auto running = service.start();
  using request = start_turn;
  CHECK(refuses([](request& r) { r.lease = 0s; }));
  CHECK(refuses([](request& r) { r.lease = limits::lease_max + 1s; }));
  CHECK(refuses([](request& r) { r.wait = -1s; }));
  CHECK(refuses([](request& r) { r.wait = limits::turn_wait_max + 1s; }));
  CHECK(refuses([](request& r) { r.token_budget = 0; }));
  CHECK(refuses([](request& r) { r.token_budget = limits::token_budget_max + 1; }));
  CHECK(refuses([](request& r) { r.trace_id = "\xff"; }));
  CHECK(refuses([](request& r) { r.events = {message("\xff")}; }));
  CHECK(service.listed().turns.size() == 1);
  REQUIRE(service.ask(service.ending(running.id)));
}

TEST_CASE("a turn is given what was said before it and what it begins with, in order") {
  for (const bool in_memory : {true, false}) {
    turns service(in_memory ? actors::directory_options{} : without_tails());
    REQUIRE(service.ask(service.saying("a")));
    const auto first = service.start({"b"});
    REQUIRE(service.ask(service.saying("c", first.id)));
    REQUIRE(service.ask(service.ending(first.id)));
    const auto granted = service.ask(service.wanted({"d", "e"})).value();
    CHECK(texts_of(granted.history.messages) == texts{"a", "b", "c", "d", "e"});
    CHECK(granted.history.trimmed == 0);
    CHECK_FALSE(granted.history.has_more);
    for (std::size_t i = 1; i < granted.history.messages.size(); ++i)
      CHECK(granted.history.messages[i - 1].offset < granted.history.messages[i].offset);
    CHECK(granted.history.messages.back().turn == granted.turn.id);
  }
}

TEST_CASE("what is said while a turn's history is read is in it, once and in order") {
  for (const std::size_t said_at : {0u, 1u, 2u}) { // before the first read is answered, between them, ...
    turns service(without_tails());
    REQUIRE(service.ask(service.saying("a")));
    REQUIRE(service.ask(service.saying("b")));
    hold_reads(service);
    auto waiting = service.send(service.wanted({"own"}));
    service.steps.run();
    std::size_t reads = 0;
    for (; service.pool.reads_held() > 0; ++reads) {
      if (reads == said_at)
        CHECK_FALSE(code_of([&] {
          auto said = service.send(service.saying("meanwhile"));
          service.steps.run();
          return said;
        }()));
      REQUIRE(service.pool.answer_read());
      service.steps.run();
    }
    REQUIRE(*waiting);
    auto expected = said_at < reads ? texts{"a", "b", "meanwhile", "own"} : texts{"a", "b", "own"};
    CHECK(texts_of((*waiting)->value().history.messages) == expected);
    CHECK((*waiting)->value().history.trimmed == 0);
    service.pool.reads_at_once = true;
    CHECK(service.said() == expected);
  }
}

TEST_CASE("a turn's token budget holds for all that it is given, with what it begins with") {
  turns service(without_tails());
  const auto say = [&](const std::string& text, message_role role, int tokens) {
    auto request = service.saying(text);
    request.events[0].role = role;
    request.events[0].tokens = tokens;
    REQUIRE(service.ask(request));
  };
  say("rules", message_role::system, 10);
  for (const char* text : {"1", "2", "3", "4"})
    say(text, message_role::user, 10);
  auto request = service.wanted({"own"});
  request.events[0].tokens = 10;
  request.token_budget = 40;
  const auto granted = service.ask(request).value();
  CHECK(texts_of(granted.history.messages) == texts{"rules", "3", "4", "own"});
  CHECK(granted.history.trimmed == 2);
  CHECK(granted.history.has_more);
}

TEST_CASE("without a budget a turn is given the last hundred messages and told how many there are beside them") {
  turns service;
  for (int i = 0; i < 120; ++i)
    service.send(service.saying(std::to_string(i)));
  service.steps.run();
  const auto granted = service.ask(service.wanted({"own"})).value();
  REQUIRE(granted.history.messages.size() == limits::page_default);
  CHECK(granted.history.messages.front().data == "21");
  CHECK(granted.history.messages.back().data == "own");
  CHECK(granted.history.trimmed == 21);
}

TEST_CASE("a call that a turn left open does not block the next one: it is answered in its history") {
  turns service;
  const auto first = service.start();
  auto call = service.saying(R"({"role":"assistant"})", first.id);
  call.events[0].role = message_role::assistant;
  call.events[0].tool_call_ids = {"call-1"};
  REQUIRE(service.ask(call));
  service.steps.advance(61s);
  CHECK(service.stored_status(1) == "lost");
  const auto granted = service.ask(service.wanted({"go on"})).value();
  REQUIRE(granted.history.messages.size() == 3);
  CHECK(granted.history.messages[1].role == message_role::tool);
  CHECK(granted.history.messages[1].tool_call_id == "call-1");
  CHECK(granted.history.messages[2].data == "go on");
  CHECK(granted.history.trimmed == 0);
}

TEST_CASE("a history that cannot be read is no turn but an error, and the next one gets its chance") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  hold_reads(service);
  auto refused = service.send(service.wanted({"never said"}));
  auto next = service.send(service.wanted({"said"}));
  service.steps.run();
  REQUIRE(service.pool.answer_read(0, fault::lost_before));
  service.steps.run();
  CHECK(code_of(refused) == error_code::database_unavailable);
  CHECK_FALSE(*next);
  answer_reads(service);
  REQUIRE(*next);
  CHECK((*next)->value().turn.number == 1);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before", "said"});
}

TEST_CASE("while the database is away turns whose history is in memory go on") {
  turns service;
  REQUIRE(service.ask(service.saying("before")));
  service.pool.is_away = true;
  service.pool.answers_at_once = false;
  const auto granted = service.ask(service.wanted({"now"}));
  REQUIRE(granted);
  CHECK(texts_of(granted.value().history.messages) == texts{"before", "now"});
  CHECK_FALSE(service.refusal(service.ending(granted.value().turn.id)));
  service.heal();
  CHECK(service.stored_status(1) == "completed");
}

TEST_CASE("a start that is repeated while it waits waits once, and both get the same turn") {
  turns service;
  const auto running = service.start();
  const auto request = repeated(service.wanted({"once"}), "key");
  auto first = service.send(request);
  auto again = service.send(request);
  auto other = service.send(repeated(service.wanted(), "key", "another"));
  service.steps.run();
  CHECK(code_of(other) == error_code::idempotency_mismatch);
  CHECK_FALSE(*again);
  REQUIRE(service.ask(service.ending(running.id)));
  REQUIRE(*first);
  REQUIRE(*again);
  CHECK((*first)->value().turn.id == (*again)->value().turn.id);
  const auto late = service.ask(request); // and later: the turn, with a history of then
  REQUIRE(late);
  CHECK(late.value().turn.id == (*first)->value().turn.id);
  CHECK(service.said() == texts{"once"});
}

TEST_CASE("a start that is repeated while its history is read is one turn") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  REQUIRE(service.ask(repeated(service.wanted(), "earlier"))); // its keys are known from now on
  REQUIRE(service.ask(service.ending(service.listed().turns.front().id)));
  hold_reads(service);
  const auto request = repeated(service.wanted({"once"}), "key");
  auto first = service.send(request);
  service.steps.run();
  REQUIRE(service.pool.reads_held() == 1);
  auto again = service.send(request);
  service.steps.run();
  answer_reads(service);
  REQUIRE(*first);
  REQUIRE(*again);
  CHECK((*first)->value().turn.id == (*again)->value().turn.id);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before", "once"});
}

TEST_CASE("a repeat takes the place of a first caller who has gone away") {
  for (const bool while_reading : {false, true}) {
    turns service(without_tails());
    REQUIRE(service.ask(service.saying("before")));
    REQUIRE(service.ask(repeated(service.wanted(), "earlier")));
    const auto running = service.listed().turns.front();
    if (while_reading) {
      REQUIRE(service.ask(service.ending(running.id)));
      hold_reads(service);
    }
    const auto request = repeated(service.wanted({"once"}), "key");
    auto gone = service.new_caller();
    gone.ask(request);
    service.steps.run();
    auto again = service.send(request);
    service.steps.run();
    gone.die();
    service.steps.run();
    if (!while_reading)
      REQUIRE(service.ask(service.ending(running.id)));
    answer_reads(service);
    REQUIRE(*again);
    REQUIRE((*again)->has_value());
    CHECK((*again)->value().turn.number == 2);
  }
}
