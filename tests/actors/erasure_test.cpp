// Erasing a session: hidden at once, gone for good when answered, nothing written after it.
#include "tests/actors/listening_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// A session with something in every table.
session_key full_session(stepped_service& service) {
  auto request = creation("ticket");
  request.repeat = idempotency{"made", "p"};
  const auto session = ask(service, request).value().key;
  append_numbered(service, session, 0, 4);
  REQUIRE(ask(service, append_of(session, {message("keyed")}, idempotency{"k", "p"})));
  REQUIRE(ask(service, end_of(session, start(service, session).id)));
  set_participant share;
  share.session = session;
  share.user_id = "will";
  share.role = participant_role::writer;
  REQUIRE(ask(service, share));
  return session;
}

bool has_nothing_of(stepped_service& service, const session_key& session) {
  const auto& tables = service.database->tables();
  return !tables.sessions.contains(session.id.bytes) && !tables.logs.contains(session.id.bytes) &&
         !tables.erasures.contains(session.id.bytes) && tables.keys.empty() && tables.external_ids.empty();
}

} // namespace

TEST_CASE("one erasure takes all of a session, and says how much that was") { // nothing lives on in side tables
  stepped_service service(short_idle());
  const auto session = full_session(service);
  SECTION("awake") {}
  SECTION("asleep") {
    passivate(service);
  }
  SECTION("after a crash") {
    crash(service);
  }
  SECTION("in many steps") {
    service.database->tables().erasure_steps = 5;
  }
  const auto gone = ask(service, erase_session{session});
  if (!gone)
    FAIL(gone.failure().message);
  CHECK(gone->sessions == 1);
  CHECK(gone->events == 7);
  CHECK(gone->turns == 1);
  CHECK(gone->participants == 1);
  CHECK(gone->idempotency_keys == 2);
  CHECK(gone->events_kept_for_forks == 0);
  CHECK(has_nothing_of(service, session));
  for (int again = 0; again < 2; ++again) {
    CHECK(refusal(service, get_session{session}) == error_code::not_found);
    CHECK(refusal(service, erase_session{session}) == error_code::not_found);
    CHECK(refusal(service, append_of(session, {message("x")})) == error_code::not_found);
    passivate(service);
  }
  CHECK(has_nothing_of(service, session));
  CHECK(ask(service, creation("ticket"))); // its name is free
}

TEST_CASE("an erased session is hidden at once, and erased behind what was in flight") {
  stepped_service service;
  const auto session = full_session(service);
  service.pool.answers_at_once = false;
  auto written = begin(service, [&] {
    auto request = append_of(session, {message("in flight")});
    request.wanted = durability::durable;
    return request;
  }());
  auto waiting = begin(service, [&] {
    start_turn request;
    request.session = session;
    return request;
  }());
  REQUIRE(*waiting);
  auto queued = begin(service, [&] {
    start_turn request;
    request.session = session;
    return request;
  }());
  auto gone = begin(service, erase_session{session});
  CHECK_FALSE(*gone);
  CHECK(code_of(queued) == error_code::not_found);
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
  CHECK(refusal(service, append_of(session, {message("late")})) == error_code::not_found);
  CHECK(refusal(service, end_of(session, (*waiting)->value().turn.id)) == error_code::not_found);
  CHECK(refusal(service, erase_session{session}) == error_code::not_found); // twice at once
  service.heal();
  REQUIRE(*written);
  CHECK((*written)->has_value());
  REQUIRE(*gone);
  REQUIRE((*gone)->has_value());
  CHECK((*gone)->value().events == 9);
  service.steps.advance(90s, 1s); // past the turn's lease
  CHECK(has_nothing_of(service, session));
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("a turn whose history is being read is refused when its session is erased") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 5);
  service.pool.reads_at_once = false;
  auto waiting = begin(service, [&] {
    start_turn request;
    request.session = session;
    return request;
  }());
  REQUIRE_FALSE(*waiting);
  auto gone = begin(service, erase_session{session});
  CHECK(code_of(waiting) == error_code::not_found);
  service.heal();
  REQUIRE(*gone);
  CHECK((*gone)->has_value());
  CHECK(service.stored(session).empty());
}

TEST_CASE("what came before an erasure while the session woke is done before it, what comes after it is refused") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  passivate(service);
  service.pool.reads_at_once = false;
  auto before = begin(service, append_of(session, {message("1")}));
  auto gone = begin(service, erase_session{session});
  auto after = begin(service, append_of(session, {message("2")}));
  service.heal();
  REQUIRE(*before);
  CHECK((*before)->has_value());
  REQUIRE(*gone);
  CHECK((*gone)->value().events == 2);
  CHECK(code_of(after) == error_code::not_found);
  CHECK(service.stored(session).empty());
}

TEST_CASE("an erasure that the database refuses says so, and can be asked for again") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  SECTION("the write that hides it") {
    service.database->failures_of["begin_erasures"].push_back({db::failure_kind::data, "23514", "refused"});
    service.database->failures_of["begin_erasures"].push_back({db::failure_kind::data, "23514", "refused"});
    auto gone = begin(service, erase_session{session});
    service.steps.advance(2s);
    REQUIRE(*gone);
    CHECK_FALSE((*gone)->has_value());
    CHECK(service.stored(session) == numbers(0, 1));
  }
  SECTION("a step of it") {
    service.database->failures_of["erase_step"].push_back({db::failure_kind::fault, "42501", "refused"});
    auto gone = begin(service, erase_session{session});
    service.steps.advance(1s);
    CHECK(code_of(gone) == error_code::internal);
    CHECK(refusal(service, get_session{session}) == error_code::not_found); // hidden it is
    service.steps.advance(120s, 1s);                                        // and tried again
    CHECK(service.stored(session).empty());
  }
}

TEST_CASE("while the database is away an erasure is answered in time, and goes on when it is back") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  SECTION("before the session is hidden there") {
    service.pool.answers_at_once = false;
  }
  SECTION("before what is left of it is gone") {}
  service.pool.is_away = true;
  auto gone = begin(service, erase_session{session});
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
  service.steps.advance(29s, 250ms);
  CHECK_FALSE(*gone);
  service.steps.advance(3s, 250ms);
  CHECK(code_of(gone) == error_code::deadline_exceeded);
  CHECK(refusal(service, get_session{session})); // as it is not there, or as nobody can look
  service.heal();
  service.steps.advance(70s, 1s);
  CHECK(service.stored(session).empty());
  CHECK(service.database->tables().erasures.empty());
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("an erasure goes on after a crash") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  service.database->failures_of["erase_step"].push_back({db::failure_kind::wait, "57014", "timeout"});
  auto gone = begin(service, erase_session{session});
  CHECK(service.database->tables().erasures.size() == 1);
  crash(service);
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
  service.steps.advance(10s, 250ms);
  CHECK(service.stored(session).empty());
  CHECK(service.database->tables().erasures.empty());
}

TEST_CASE("who asks for an erasure is answered when the session's actor dies under it") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  passivate(service);
  REQUIRE(ask(service, get_session{session}));
  SECTION("while it is being hidden") {
    service.pool.answers_at_once = false;
  }
  SECTION("while what is left goes") {
    service.database->failures_of["erase_step"].push_back({db::failure_kind::wait, "57014", "timeout"});
  }
  auto gone = begin(service, erase_session{session});
  REQUIRE_FALSE(*gone);
  kill_session(service, session);
  CHECK(code_of(gone) == error_code::internal);
  service.heal();
  service.steps.advance(10s, 250ms);
  CHECK(service.stored(session).empty());
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
}

TEST_CASE("a session that never was, or was another tenant's, cannot be erased") {
  stepped_service service;
  const auto session = service.make_session();
  CHECK(refusal(service, erase_session{{session.tenant, session_id::make()}}) == error_code::not_found);
  CHECK(refusal(service, erase_session{{tenant_id::parse("globex").value(), session.id}}) == error_code::not_found);
  CHECK(ask(service, get_session{session}));
}
