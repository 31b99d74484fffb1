// A log that was elsewhere, written into a session with its own times, authors and turns.
#include "tests/actors/replay_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr timestamp then = std::chrono::sys_days{std::chrono::year{2020} / 5 / 17};

event_input status_event(std::string data) {
  event_input input;
  input.kind = event_kind::status;
  input.data = std::move(data);
  return input;
}

turn_record ended_turn(turn_status how, std::optional<token_usage> usage = {}) {
  turn_record turn;
  turn.id = turn_id::make();
  turn.number = 77; // of no meaning here
  turn.status = how;
  turn.trace_id = "trace";
  turn.started_at = then;
  turn.ended_at = then + 5s;
  turn.usage = usage;
  return turn;
}

struct import {
  append_events request;
  imported_log log;

  explicit import(const session_key& session) { request.session = session; }
  void add(event_input input, turn_id turn = {}, std::string author = {}) {
    log.created_at.push_back(then + std::chrono::seconds{request.events.size()});
    log.turns.push_back(turn);
    log.authors.push_back(std::move(author));
    request.events.push_back(std::move(input));
  }
  append_events whole() const {
    auto out = request;
    out.imported = std::make_shared<const imported_log>(log);
    return out;
  }
};

/// Two turns: one completed, one cancelled; and something outside of them.
import conversation(const session_key& session){import made(session);
made.log.ended_turns = {ended_turn(turn_status::completed, token_usage{10, 5}), ended_turn(turn_status::cancelled)};
const auto first = made.log.ended_turns[0].id, second = made.log.ended_turns[1].id;
made.add(message("hello"), {}, "bob");
made.add(status_event(R"({"turn":1})"), first);
made.add(message("question"), first, "ada");
made.add(message("answer", message_role::assistant), first);
made.add(message("more"), second);
return made;
} // namespace

turn_page turns_of(stepped_service& service, const session_key& session) {
  list_turns request;
  request.session = session;
  return ask(service, request).value();
}

void check_conversation(stepped_service& service, const session_key& session, const import& of) {
  const auto page = ask(service, events_of(session)).value();
  REQUIRE(page.events.size() == of.request.events.size());
  for (std::size_t i = 0; i < page.events.size(); ++i) {
    CHECK(page.events[i].data == of.request.events[i].data);
    CHECK(page.events[i].kind == of.request.events[i].kind);
    CHECK(page.events[i].created_at == of.log.created_at[i]);
    CHECK(page.events[i].turn == of.log.turns[i]);
    CHECK(page.events[i].author == of.log.authors[i]);
  }
  const auto turns = turns_of(service, session).turns;
  REQUIRE(turns.size() == 2);
  CHECK(turns[1].number == 1);
  CHECK(turns[1].id == of.log.ended_turns[0].id);
  CHECK(turns[1].status == turn_status::completed);
  CHECK(turns[1].trace_id == "trace");
  CHECK(turns[1].started_at == then);
  CHECK(turns[1].ended_at == then + 5s);
  REQUIRE(turns[1].usage);
  CHECK(turns[1].usage->input_tokens == 10);
  CHECK(turns[0].number == 2);
  CHECK(turns[0].status == turn_status::cancelled);
  const auto record = ask(service, get_session{session}).value();
  CHECK(record.turn_count == 1);
  CHECK(record.total_tokens == 15);
}

} // namespace

TEST_CASE("an import has its own times, authors and turns, and the session goes on behind it") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  const auto whole = conversation(session);
  const auto done = ask(service, whole.whole());
  REQUIRE(done);
  CHECK(done->first_offset == 0);
  CHECK(done->count == 5);
  check_conversation(service, session, whole);
  passivate(service);
  check_conversation(service, session, whole);
  CHECK(data_of(ask(service, history_of(session)).value().messages) == texts{"hello", "question", "answer", "more"});

import later(session);
  later.add(message("and then"), whole.log.ended_turns[1].id); // of an earlier import
  later.log.ended_turns = {ended_turn(turn_status::failed, token_usage{1, 1})};
  later.add(message("failed"), later.log.ended_turns[0].id);
  REQUIRE(ask(service, later.whole()));
  CHECK(turns_of(service, session).turns[0].number == 3);
  const auto turn = start(service, session);
  CHECK(turn.number == 4);
  REQUIRE(ask(service, end_of(session, turn.id)));
  CHECK(ask(service, get_session{session}).value().turn_count == 3);
  CHECK(ask(service, get_session{session}).value().total_tokens == 17);
}

TEST_CASE("an import that cannot be is refused, and nothing of it is written") {
  stepped_service service;
  const auto session = service.make_session();
  auto bad = conversation(session);
  const auto now = service.steps.clock()();
  SECTION("too few times") {
    bad.log.created_at.pop_back();
  }
  SECTION("too many turns") {
    bad.log.turns.emplace_back();
  }
  SECTION("too few authors") {
    bad.log.authors.pop_back();
  }
  SECTION("an event of long ago") {
    bad.log.created_at[1] = timestamp{std::chrono::sys_days{std::chrono::year{1999} / 12 / 31}};
  }
  SECTION("an event of the future") {
    bad.log.created_at[1] = now + 61s;
  }
  SECTION("a turn of the future") {
    bad.log.ended_turns[1].ended_at = now + 61s;
  }
  SECTION("a turn that runs") {
    bad.log.ended_turns[1].status = turn_status::running;
  }
  SECTION("a turn that has not ended") {
    bad.log.ended_turns[0].ended_at.reset();
  }
  SECTION("a turn without an id") {
    bad.log.ended_turns[0].id = {};
  }
  SECTION("a turn twice") {
    bad.log.ended_turns[1].id = bad.log.ended_turns[0].id;
  }
  SECTION("usage below zero") {
    bad.log.ended_turns[0].usage->output_tokens = -1;
  }
  SECTION("an author that is no text") {
    bad.log.authors[0] = "\xff";
  }
  SECTION("a turn of its own") {
    bad.request.turn = bad.log.ended_turns[0].id;
  }
  CHECK(refusal(service, bad.whole()) != std::nullopt);
  CHECK(service.stored(session).empty());
  auto latest = conversation(session);
  latest.log.created_at[4] = now + 59s;
  CHECK(ask(service, latest.whole()));
}

TEST_CASE("nothing is imported while a turn runs, and status events are a session's own") {
  stepped_service service;
  const auto session = service.make_session();
  CHECK(refusal(service, append_of(session, {status_event("{}")})) == error_code::invalid_request);
  start_turn with_status;
  with_status.session = session;
  with_status.events = {status_event("{}")};
  CHECK(refusal(service, with_status) == error_code::invalid_request);
  const auto turn = start(service, session);
  CHECK(refusal(service, conversation(session).whole()) == error_code::invalid_request);
  REQUIRE(ask(service, end_of(session, turn.id)));
  CHECK(ask(service, conversation(session).whole()));
  auto again = conversation(session);
  again.log.ended_turns[0].id = turns_of(service, session).turns.front().id;
  CHECK(refusal(service, again.whole()) == error_code::invalid_request);
}

TEST_CASE("an import under a key is written once") {
  stepped_service service;
  const auto session = service.make_session();
  auto whole = conversation(session).whole();
  whole.repeat = idempotency{"k", "p", "import"};
  CHECK(ask(service, whole).value().first_offset == 0);
  CHECK(ask(service, whole).value().first_offset == 0);
  CHECK(service.stored(session).size() == 5);
}

TEST_CASE("an import that only the journal has is replayed as it was", "[journal][replay]") {
  journaled_service on;
  on.start();
  REQUIRE(on.replay());
  const auto session = ask(on.service, creation()).value().key;
  on.service.pool.answers_at_once = false;
  const auto whole = conversation(session);
  REQUIRE(ask(on.service, whole.whole()));
  on.die();
  REQUIRE(on.service.stored(session).empty());
  on.start();
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->written_again == 1);
  CHECK(outcome->quarantined == 0);
  check_conversation(on.service, session, whole);
  CHECK(start(on.service, session).number == 3);
}
