// Durable events: pages of them, and waiting for the next one.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

read_events waiting_for(const session_key& session, event_offset after, std::chrono::seconds wait = 10s) {
  auto request = events_of(session, after);
  request.wait = wait;
  return request;
}

texts data_of_answer(const pending_answer<event_page>& answer) {
  REQUIRE(*answer);
  if (!**answer)
    FAIL((*answer)->failure().message);
  return data_of((*answer)->value().events);
}

} // namespace

TEST_CASE("only durable events are shown") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    stepped_service service(small_tails(tail));
    const auto session = service.make_session();
    append_numbered(service, session, 0, 5);
    service.pool.answers_at_once = false;
    append_numbered(service, session, 5, 5);
    auto page = ask(service, events_of(session)).value();
    CHECK(data_of(page.events) == numbers(0, 4));
    CHECK(page.read_through == 4);
    page = ask(service, events_of(session, 4)).value();
    CHECK(page.events.empty());
    CHECK(page.read_through == 4);
    service.heal();
    CHECK(data_of(ask(service, events_of(session, 4))->events) == numbers(5, 9));
  }
}

TEST_CASE("events come in pages that leave nothing out and nothing twice") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{6000}, std::size_t{1} << 20}) {
    stepped_service service(small_tails(tail));
    const auto session = service.make_session();
    append_numbered(service, session, 0, 40);
    auto request = events_of(session);
    request.limit = 7;
    texts seen;
    for (int pages = 0; pages < 6; ++pages) {
      const auto page = ask(service, request).value();
      for (const auto& text : data_of(page.events))
        seen.push_back(text);
      request.after = page.read_through;
    }
    CHECK(seen == numbers(0, 39));
    CHECK(request.after == 39);
    request.after = 100; // ahead of the log
    CHECK(ask(service, request)->events.empty());
    CHECK(ask(service, request)->read_through == 100);
  }
}

TEST_CASE("the bounds of a page of events are checked") {
  stepped_service service;
  const auto session = service.make_session();
  auto request = events_of(session);
  for (const std::size_t limit : {std::size_t{0}, limits::page_events_max + 1}) {
    request.limit = limit;
    CHECK(refusal(service, request) == error_code::invalid_request);
  }
  for (const auto wait : {std::chrono::seconds{-1}, limits::events_wait_max + 1s})
    CHECK(refusal(service, waiting_for(session, -1, wait)) == error_code::invalid_request);
}

TEST_CASE("who waits is answered by the next durable event, not by an accepted one") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  CHECK(data_of_answer(begin(service, waiting_for(session, 0))) == texts{"1"}); // there is one already
  auto first = begin(service, waiting_for(session, 1)), second = begin(service, waiting_for(session, 1));
  auto later = begin(service, waiting_for(session, 2));
  service.pool.answers_at_once = false;
  append_numbered(service, session, 2, 1);
  service.steps.advance(1s);
  CHECK_FALSE(*first);
  service.pool.answer_next();
  service.steps.run();
  CHECK(data_of_answer(first) == texts{"2"});
  CHECK(data_of_answer(second) == texts{"2"});
  CHECK((*first)->value().read_through == 2);
  CHECK_FALSE(*later);
}

TEST_CASE("who waits in vain gets an empty page when the wait is over") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  auto answer = begin(service, waiting_for(session, 0, 5s));
  service.steps.advance(4900ms);
  CHECK_FALSE(*answer); // and the session has not gone to sleep over it
  service.steps.advance(400ms);
  CHECK(data_of_answer(answer).empty());
  CHECK((*answer)->value().read_through == 0);
  passivate(service);
  CHECK(service.pool.wakes(session.id) == 0);
  REQUIRE(ask(service, get_session{session}));
  CHECK(service.pool.wakes(session.id) == 1); // now it had
}

TEST_CASE("what is hidden before it was durable does not end a wait") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  const auto turn = start(service, session);
  service.steps.run();
  while (service.pool.answer_next())
    service.steps.run();
  auto inside = append_of(session, {message("hidden")});
  inside.turn = turn.id;
  REQUIRE(ask(service, inside));
  auto answer = begin(service, waiting_for(session, 0));
  start_turn next;
  next.session = session;
  next.policy = turn_policy::rollback;
  begin(service, next);
  service.pool.answer_next(); // the batch with the hidden message
  service.steps.run();
  CHECK_FALSE(*answer);
  while (service.pool.answer_next())
    service.steps.run();
  const auto seen = data_of_answer(answer);
  REQUIRE(seen.size() >= 1);
  CHECK(seen.front().find("rolled_back") != std::string::npos);
  for (const auto& text : seen)
    CHECK(text != "hidden");
}

TEST_CASE("who waits is answered when the session ends, whatever ends it") {
  SECTION("erased") {
    stepped_service service;
    const auto session = service.make_session();
    auto answer = begin(service, waiting_for(session, -1));
    REQUIRE(ask(service, erase_session{session}));
    CHECK(code_of(answer) == error_code::not_found);
  }
  SECTION("expired: by the event that says so") {
    stepped_service service;
    auto request = creation();
    request.expires_in = 3s;
    const auto session = ask(service, request)->key;
    auto answer = begin(service, waiting_for(session, -1, 30s));
    service.steps.advance(12s, 250ms);
    const auto seen = data_of_answer(answer);
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].find("expired") != std::string::npos);
  }
  SECTION("killed") {
    stepped_service service(short_idle());
    const auto session = service.make_session();
    passivate(service);
    auto answer = begin(service, waiting_for(session, -1));
    kill_session(service, session);
    CHECK(code_of(answer) == error_code::internal);
  }
  SECTION("taken over by another process") {
    stepped_service service;
    const auto session = service.make_session();
    auto answer = begin(service, waiting_for(session, -1, 60s));
    service.database->take_over_shards();
    service.steps.advance(5s, 250ms);
    CHECK(code_of(answer) == error_code::not_owner);
  }
}

TEST_CASE("those who wait for one session's events are bounded") {
  stepped_service service;
  const auto session = service.make_session();
  for (std::size_t i = 0; i < limits::durable_waiters_per_session_max; ++i)
    service.steps.ask<event_page>(service.directory, waiting_for(session, -1));
  service.steps.run();
  CHECK(refusal(service, waiting_for(session, -1)) == error_code::overloaded);
  CHECK(ask(service, events_of(session))); // without a wait nobody is held
}

TEST_CASE("events are read on after a crash from where they were read to") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 5);
  const auto through = ask(service, events_of(session))->read_through;
  service.pool.answers_at_once = false;
  append_numbered(service, session, 5, 2); // accepted, seen by nobody, lost with the service
  service.pool.answers_at_once = true;
  crash(service);
  REQUIRE(ask(service, append_of(session, {message("anew")})));
  const auto page = ask(service, events_of(session, through)).value();
  REQUIRE(page.events.size() == 1);
  CHECK(page.events[0].data == "anew");
  CHECK(page.events[0].offset == 5); // the offset that the crash gave back
}

TEST_CASE("who waits for events of a session that expires is told so, however far behind its end they were to begin") {
  stepped_service service;
  auto wanted = creation();
  wanted.expires_in = 5s;
  const auto session = ask(service, wanted).value().key;
  auto request = events_of(session, 100);
  request.wait = 60s;
  const auto waiting = begin(service, request);
  service.steps.advance(20s, 250ms);
  CHECK(code_of(waiting) == error_code::session_expired);
}

TEST_CASE("an append that was not durable in time names the offsets that stay accepted") {
  actors::directory_options options;
  options.request_timeout = 1s;
  stepped_service service(options);
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  service.pool.answers_at_once = false;
  auto request = append_of(session, {message("a"), message("b")});
  request.wanted = durability::durable;
  const auto late = begin(service, request);
  service.steps.advance(2s, 250ms);
  REQUIRE(code_of(late) == error_code::deadline_exceeded);
  const auto& accepted = (*late)->failure().accepted;
  REQUIRE(accepted);
  CHECK(accepted->first_offset == 2);
  CHECK(accepted->count == 2);
}

TEST_CASE("events of some kinds are found wherever they are, in pages of as many as are wanted") {
  const auto in_memory = GENERATE(true, false);
  stepped_service service(in_memory ? actors::directory_options{} : small_tails());
  const auto session = service.make_session();
  texts expected;
  for (int i = 0; i < 3000; ++i) {
    auto input = message(std::to_string(i));
    if (i % 500 == 7) {
      input.kind = event_kind::custom;
      input.role = message_role::none;
      expected.push_back(input.data);
    }
    REQUIRE(ask(service, append_of(session, {input})));
  }
  auto request = events_of(session);
  request.kinds = {event_kind::custom, event_kind::tool};
  request.limit = 4;
  const auto first = ask(service, request).value();
  CHECK(data_of(first.events) == texts(expected.begin(), expected.begin() + 4));
  request.after = first.read_through;
  const auto second = ask(service, request).value();
  CHECK(data_of(second.events) == texts(expected.begin() + 4, expected.end()));
  CHECK(second.read_through == 2999);
  request.after = second.read_through;
  request.wait = 30s;
  const auto waiting = begin(service, request);
  REQUIRE(ask(service, append_of(session, {message("no")})));
  CHECK_FALSE(*waiting);
  auto last = message("yes");
  last.kind = event_kind::tool;
  last.role = message_role::none;
  REQUIRE(ask(service, append_of(session, {last})));
  CHECK(data_of_answer(waiting) == texts{"yes"});
}

TEST_CASE("what was accepted is written although whoever said it is gone before the database has it") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  {
    caf::scoped_actor short_lived{service.steps.system()}; // gone at once: a client that closes its stream
    short_lived->send(service.directory, append_of(session, {message("said")}));
  }
  service.steps.run();
  service.heal();
  CHECK(service.stored(session) == texts{"said"});
}

TEST_CASE("who listens or waits for events holds no connection") {
  stepped_service service;
  const auto leases = service.pool.leases();
  std::vector<pending_answer<event_page>> waiting;
  for (int i = 0; i < 50; ++i) {
    auto request = events_of(service.make_session(), -1);
    request.wait = 60s;
    waiting.push_back(begin(service, request));
    subscribe_events listening;
    listening.session = request.session;
    listening.subscriber = service.steps.system().spawn([]() -> event_subscriber::behavior_type {
      return {[](const events_arrived&) {}, [](const delta_arrived&) {}, [](const subscription_ended&) {}};
    });
    REQUIRE(ask(service, listening));
  }
  service.steps.advance(30s, 1s);
  CHECK(service.pool.leases() == leases); // the writer's
  CHECK(service.pool.held() == 0);
  CHECK(service.pool.reads_held() == 0);
  for (const auto& each : waiting)
    CHECK_FALSE(*each);
}

TEST_CASE("what a turn writes grows with what is said in it, not with what was said before") {
  stepped_service service;
  const auto session = service.make_session();
  const auto rows_of_turn = [&] {
    const auto before = service.database->log(session.id).size();
    const auto turn = start(service, session);
    auto answer = append_of(session, {message("answer", message_role::assistant)});
    answer.turn = turn.id;
    REQUIRE(ask(service, answer));
    REQUIRE(ask(service, end_of(session, turn.id)));
    return service.database->log(session.id).size() - before;
  };
  for (int i = 0; i < 200; ++i)
    REQUIRE(rows_of_turn() == 3); // its start, the answer, its end
}
