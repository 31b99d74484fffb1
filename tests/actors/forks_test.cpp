// Forks: another session that shares the log up to an offset, and goes its own way from there.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

session_record fork_at(stepped_service& service, const session_key& session, event_offset at) {
  auto made = ask(service, fork_session{session, at});
  if (!made)
    FAIL(made.failure().message);
  return std::move(made).value();
}

texts messages_of(stepped_service& service, const session_key& session) {
  auto page = ask(service, history_of(session));
  if (!page)
    FAIL(page.failure().message);
  return data_of(page->messages);
}

fork_session keyed_fork(const session_key& session, event_offset at, std::string print = "p") {
  fork_session request{session, at};
  request.repeat = idempotency{"k", std::move(print)};
  return request;
}

} // namespace

TEST_CASE("a fork shares the log up to its offset and goes its own way") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    auto options = short_idle();
    options.tail_bytes_max = tail;
    stepped_service service(options);
    auto request = creation("ticket");
    request.title = "Question";
    request.agent_id = "helper";
    request.metadata = R"({"a":1})";
    const auto parent = ask(service, request)->key;
    append_numbered(service, parent, 0, 10);
    const auto fork = fork_at(service, parent, 5);
    CHECK(fork.key.id != parent.id);
    CHECK(fork.parent == parent.id);
    CHECK(fork.fork_offset == 5);
    CHECK(fork.next_offset == 6);
    CHECK(fork.durable_offset == 5);
    CHECK(fork.user_id == "ada");
    CHECK(fork.agent_id == "helper");
    CHECK(fork.title == "Question");
    CHECK(fork.metadata == R"({"a":1})");
    CHECK_FALSE(fork.external_id);
    CHECK(fork.version == 1);
    CHECK(messages_of(service, fork.key) == numbers(0, 5));

    REQUIRE(ask(service, append_of(fork.key, {message("own")})));
    append_numbered(service, parent, 10, 2);
    for (int again = 0; again < 2; ++again) {
      CHECK(messages_of(service, parent) == numbers(0, 11));
      CHECK(messages_of(service, fork.key) == texts{"0", "1", "2", "3", "4", "5", "own"});
      CHECK(data_of(ask(service, events_of(fork.key, 4))->events) == texts{"5", "own"});
      auto fitting = history_of(fork.key);
      fitting.token_budget = 12;
      CHECK(data_of(ask(service, fitting)->messages) == texts{"5", "own"});
      CHECK(ask(service, fitting)->trimmed == 5);
      passivate(service);
    }
  }
}

TEST_CASE("a fork can be made at every offset, and of forks") {
  stepped_service service(short_idle());
  const auto parent = service.make_session();
  append_numbered(service, parent, 0, 6);
  const auto first = fork_at(service, parent, 0);
  CHECK(messages_of(service, first.key) == texts{"0"});
  const auto child = fork_at(service, parent, 3);
  append_numbered(service, child.key, 4, 4);
  for (const bool asleep : {false, true}) {
    if (asleep)
      passivate(service);
    for (int at = 0; at < 8; ++at) { // also in what the child itself only shares
      const auto grandchild = fork_at(service, child.key, at);
      CHECK(grandchild.parent == child.key.id);
      CHECK(messages_of(service, grandchild.key) == numbers(0, at));
      REQUIRE(ask(service, append_of(grandchild.key, {message("own")})));
      CHECK(ask(service, get_session{grandchild.key})->next_offset == at + 2);
    }
  }
  CHECK(messages_of(service, child.key) == numbers(0, 7));
  for (const event_offset at : {-1, 6, 100})
    CHECK(refusal(service, fork_session{parent, at}) == error_code::invalid_request);
  const auto empty = service.make_session();
  CHECK(refusal(service, fork_session{empty, 0}) == error_code::invalid_request);
}

TEST_CASE("a fork ends before a turn that runs") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  const auto turn = start(service, session); // its first event is at 3
  auto inside = append_of(session, {message("inside")});
  inside.turn = turn.id;
  REQUIRE(ask(service, inside));
  REQUIRE(ask(service, append_of(session, {message("another's")})));
  CHECK(messages_of(service, fork_at(service, session, 2).key) == numbers(0, 2));
  for (const event_offset at : {3, 4, 5})
    CHECK(refusal(service, fork_session{session, at}) == error_code::turn_in_progress);
  REQUIRE(ask(service, end_of(session, turn.id)));
  const auto fork = fork_at(service, session, 5);
  CHECK(messages_of(service, fork.key) == texts{"0", "1", "2", "inside", "another's"});
  CHECK(fork.turn_count == 0);
  CHECK(start(service, fork.key).number == 1); // turns are not shared
}

TEST_CASE("what a rolled-back turn wrote stays hidden in a fork, also when its session is erased") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  const auto turn = start(service, session);
  auto inside = append_of(session, {message("hidden")});
  inside.turn = turn.id;
  REQUIRE(ask(service, inside));
  REQUIRE(ask(service, end_of(session, start(service, session, turn_policy::rollback).id)));
  const auto at = ask(service, get_session{session})->durable_offset;
  const auto fork = fork_at(service, session, at);
  CHECK(messages_of(service, fork.key) == numbers(0, 1));
  REQUIRE(ask(service, erase_session{session}));
  passivate(service);
  CHECK(messages_of(service, fork.key) == numbers(0, 1));
  auto fitting = history_of(fork.key);
  fitting.token_budget = 5;
  CHECK(ask(service, fitting)->trimmed == 1);
}

TEST_CASE("a fork of what is not durable waits for it") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  service.pool.answers_at_once = false;
  append_numbered(service, session, 2, 2);
  auto fork = begin(service, fork_session{session, 3});
  CHECK_FALSE(*fork);
  SECTION("and is made behind it") {
    service.heal();
    REQUIRE(*fork);
    REQUIRE((*fork)->has_value());
    CHECK(messages_of(service, (*fork)->value().key) == numbers(0, 3));
  }
  SECTION("but not for ever") {
    service.steps.advance(31s, 250ms);
    CHECK(code_of(fork) == error_code::deadline_exceeded);
  }
  SECTION("and sees a turn that has begun since") {
    start_turn turn;
    turn.session = session;
    REQUIRE(ask(service, turn));
    service.heal();
    REQUIRE(*fork); // its offset is before that turn
    CHECK((*fork)->has_value());
  }
  SECTION("and not at all of a session that is erased meanwhile") {
    auto gone = begin(service, erase_session{session});
    service.heal();
    CHECK(code_of(fork) == error_code::not_found);
    REQUIRE(*gone);
    CHECK((*gone)->has_value());
    CHECK(service.database->tables().sessions.empty());
    CHECK(service.stored(session).empty());
  }
}

TEST_CASE("a fork asked for again is the same fork") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 5);
  const auto first = ask(service, keyed_fork(session, 3));
  REQUIRE(first);
  SECTION("at once") {}
  SECTION("after sleep") {
    passivate(service);
  }
  SECTION("after a crash") {
    crash(service);
  }
  const auto again = ask(service, keyed_fork(session, 3));
  REQUIRE(again);
  CHECK(again->key == first->key);
  CHECK(refusal(service, keyed_fork(session, 3, "another")) == error_code::idempotency_mismatch);
}

TEST_CASE("a fork asked for twice at once is made once") {
  for (const bool reads_first : {true, false}) {
    stepped_service service;
    const auto session = service.make_session();
    append_numbered(service, session, 0, 5);
    service.pool.reads_at_once = !reads_first;
    service.pool.answers_at_once = reads_first;
    auto first = begin(service, keyed_fork(session, 3)), second = begin(service, keyed_fork(session, 3));
    auto other = begin(service, keyed_fork(session, 4, "another"));
    service.heal();
    REQUIRE(*first);
    REQUIRE(*second);
    if (!**second)
      FAIL((*second)->failure().message);
    REQUIRE((*first)->has_value());
    CHECK((*first)->value().key == (*second)->value().key);
    CHECK(code_of(other) == error_code::idempotency_mismatch);
    CHECK(service.database->tables().sessions.size() == 2);
  }
}

TEST_CASE("a fork outlives its parent, and takes the shared part with it when it goes") { // erased for good
  stepped_service service(short_idle());
  const auto parent = service.make_session();
  append_numbered(service, parent, 0, 10);
  const auto fork = fork_at(service, parent, 3);
  REQUIRE(ask(service, append_of(fork.key, {message("own")})));
  auto gone = ask(service, erase_session{parent});
  REQUIRE(gone);
  CHECK(gone->events == 6);
  CHECK(gone->events_kept_for_forks == 4);
  CHECK(refusal(service, get_session{parent}) == error_code::not_found);
  for (int again = 0; again < 2; ++again) {
    CHECK(messages_of(service, fork.key) == texts{"0", "1", "2", "3", "own"});
    passivate(service);
  }
  gone = ask(service, erase_session{fork.key});
  REQUIRE(gone);
  CHECK(gone->events == 5);
  CHECK(service.database->tables().logs.empty());
}

TEST_CASE("a session that is being forked is not erased under it") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  service.pool.answers_at_once = false;
  auto fork = begin(service, fork_session{session, 1});
  CHECK(refusal(service, erase_session{session}) == error_code::overloaded);
  service.heal();
  REQUIRE(*fork);
  REQUIRE((*fork)->has_value());
  CHECK(ask(service, erase_session{session}));
  CHECK(messages_of(service, (*fork)->value().key) == numbers(0, 1));
}

TEST_CASE("a fork of an expired session is refused, one of a completed session is active") {
  stepped_service service;
  auto request = creation();
  request.expires_in = 100s;
  const auto session = ask(service, request)->key;
  append_numbered(service, session, 0, 2);
  update_session done;
  done.session = session;
  done.status = session_status::completed;
  REQUIRE(ask(service, done));
  service.steps.advance(60s, 1s);
  const auto fork = fork_at(service, session, 1);
  CHECK(fork.status == session_status::active);
  CHECK(ask(service, append_of(fork.key, {message("on")})));
  service.steps.advance(60s, 1s);
  CHECK(refusal(service, fork_session{session, 1}) == error_code::session_expired);
  CHECK(ask(service, get_session{fork.key})); // it lives as long as it was given, from its own beginning
}
