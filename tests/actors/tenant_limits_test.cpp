// What one tenant may have in memory and running at once, and that others do not notice.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

void limit(stepped_service& service, std::optional<std::int64_t> resident, std::optional<std::int64_t> running,
           const std::string& tenant = "acme") {
  caf::anon_send(service.directory, limit_sessions{tenant_id::parse(tenant).value(), resident, running});
  service.steps.run();
}

start_turn turn_in(const session_key& session, turn_policy policy = turn_policy::enqueue) {
  start_turn request;
  request.session = session;
  request.policy = policy;
  return request;
}

/// The error of a request that is refused.
template <class Request>
error refused(stepped_service& service, Request request) {
  auto answer = ask(service, std::move(request));
  REQUIRE_FALSE(answer);
  return answer.failure();
}

} // namespace

TEST_CASE("a tenant with as many sessions in memory as it may have is refused, and finds room when it tries again") {
  stepped_service service;
  limit(service, 3, {});
  std::vector<session_key> sessions;
  for (int i = 0; i < 3; ++i)
    sessions.push_back(service.make_session());
  const auto full = refused(service, creation());
  CHECK(full.code == error_code::quota_exceeded);
  CHECK(full.retry_after == 1000ms);
  CHECK(full.message == "the tenant has 3 sessions in memory; its quota is 3");
  CHECK(service.make_session("globex").id != session_id{}); // others have their own
  for (int i = 0; i < 5; ++i) {
    const auto made = ask(service, creation());
    if (made)
      sessions.push_back(made->key);
    service.steps.advance(1s);
  }
  CHECK(sessions.size() > 4);
  // Whoever is asleep wakes by the same rule, and all of them are there.
  for (const auto& session : sessions) {
    std::optional<error_code> why = error_code::internal;
    for (int tries = 0; tries < 5 && why; ++tries) {
      why = refusal(service, get_session{session});
      if (why) {
        CHECK(why == error_code::quota_exceeded);
        service.steps.advance(1s);
      }
    }
    CHECK_FALSE(why);
  }
  // The bound goes again.
  limit(service, {}, {});
  for (const auto& session : sessions)
    CHECK(ask(service, get_session{session}));
}

TEST_CASE("sessions that are busy stay in memory at their tenant's bound, and are erased all the same") {
  stepped_service service(short_idle());
  const auto asleep = service.make_session();
  passivate(service);
  limit(service, 2, {});
  const auto a = service.make_session(), b = service.make_session();
  const auto turn_a = start(service, a), turn_b = start(service, b);
  for (int i = 0; i < 5; ++i) {
    CHECK(refused(service, get_session{asleep}).code == error_code::quota_exceeded);
    service.steps.advance(1s);
  }
  CHECK(ask(service, end_of(a, turn_a.id)));
  CHECK(ask(service, end_of(b, turn_b.id)));
  CHECK(ask(service, erase_session{asleep}));
}

TEST_CASE("no turn begins beyond those that a tenant may have running, and each end makes room for one") {
  stepped_service service;
  limit(service, {}, 2);
  std::vector<session_key> sessions;
  for (int i = 0; i < 4; ++i)
    sessions.push_back(service.make_session());
  auto first = start(service, sessions[0]);
  const auto second = start(service, sessions[1]);
  const auto full = refused(service, turn_in(sessions[2]));
  CHECK(full.code == error_code::quota_exceeded);
  CHECK(full.retry_after == 1000ms);
  CHECK(service.database->log(sessions[2].id).empty());
  CHECK(start(service, service.make_session("globex")).number == 1);
  SECTION("it is ended") {
    REQUIRE(ask(service, end_of(sessions[0], first.id)));
  }
  SECTION("another one of the session takes its place, and ends") {
    first = ask(service, turn_in(sessions[0], turn_policy::interrupt)).value().turn;
    CHECK(refused(service, turn_in(sessions[2])).code == error_code::quota_exceeded);
    REQUIRE(ask(service, end_of(sessions[0], first.id, turn_status::cancelled)));
  }
  SECTION("its session is paused") {
    update_session pause;
    pause.session = sessions[0];
    pause.status = session_status::paused;
    REQUIRE(ask(service, pause));
  }
  SECTION("its session is erased") {
    REQUIRE(ask(service, erase_session{sessions[0]}));
  }
  SECTION("its lease runs out") {
    REQUIRE(ask(service, renew_turn{sessions[1], second.id, std::chrono::seconds{3000}}));
    service.steps.advance(limits::lease_default + 2s, 1s);
  }
  SECTION("its session wakes after a crash and closes it") {
    crash(service);
    limit(service, {}, 1);
    REQUIRE(ask(service, get_session{sessions[0]}));
    CHECK(start(service, sessions[2]).number == 1);
    return;
  }
  CHECK(start(service, sessions[2]).number == 1);
  CHECK(refused(service, turn_in(sessions[3])).code == error_code::quota_exceeded);
}

TEST_CASE("a session that dies gives its turn back to its tenant, and takes it again when it wakes") {
  stepped_service service(short_idle());
  const auto session = service.make_session(), other = service.make_session();
  passivate(service);
  REQUIRE(ask(service, get_session{session}));
  REQUIRE(ask(service, get_session{other}));
  limit(service, {}, 1);
  start(service, session);
  CHECK(refused(service, turn_in(other)).code == error_code::quota_exceeded);
  kill_session(service, session);
  service.steps.advance(1s);
  REQUIRE(ask(service, get_session{session})); // its lease goes on
  CHECK(refused(service, turn_in(other)).code == error_code::quota_exceeded);
  list_turns turns;
  turns.session = session;
  REQUIRE(ask(service, end_of(session, ask(service, turns).value().turns.front().id)));
  CHECK(start(service, other).number == 1);
}

TEST_CASE("who waits in a session's queue is refused when its time comes and its tenant has too many running") {
  stepped_service service;
  limit(service, {}, 1);
  const auto session = service.make_session(), other = service.make_session();
  const auto running = start(service, session);
  const auto waiting = begin(service, turn_in(session));
  CHECK_FALSE(*waiting);
  SECTION("there is room") {
    REQUIRE(ask(service, end_of(session, running.id)));
    REQUIRE(*waiting);
    CHECK((*waiting)->value().turn.number == 2);
  }
  SECTION("its tenant's bound is lower by now") {
    limit(service, {}, 3);
    start(service, other);
    limit(service, {}, 1);
    REQUIRE(ask(service, end_of(session, running.id)));
    CHECK(code_of(waiting) == error_code::quota_exceeded);
    CHECK(refused(service, turn_in(session)).code == error_code::quota_exceeded);
  }
}

TEST_CASE("a turn that nobody waits for any more while its history is read is none of its tenant's") {
  stepped_service service(small_tails(1));
  limit(service, {}, 1);
  const auto session = service.make_session(), other = service.make_session();
  append_numbered(service, session, 0, 3);
  service.pool.reads_at_once = false;
  auto wanted = turn_in(session);
  wanted.id = turn_id::make();
  const auto waiting = begin(service, wanted);
  REQUIRE_FALSE(*waiting);
  CHECK(refused(service, turn_in(other)).code == error_code::quota_exceeded);
  REQUIRE(ask(service, end_of(session, *wanted.id, turn_status::cancelled)));
  CHECK(code_of(waiting) == error_code::turn_lost);
  const auto next = begin(service, turn_in(other));
  service.heal();
  REQUIRE(*next);
  CHECK((*next)->has_value());
}
