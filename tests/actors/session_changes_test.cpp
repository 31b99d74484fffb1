// A session's life: changed, paused, completed, expired by the clock, kept alive by its use.
#include "tests/actors/listening_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

update_session change(const session_key& session, std::optional<session_status> status = std::nullopt) {
  update_session request;
  request.session = session;
  request.status = status;
  return request;
}

start_turn asking(const session_key& session) {
  start_turn request;
  request.session = session;
  return request;
}

session_key lasting(stepped_service& service, std::optional<std::chrono::seconds> time) {
  auto request = creation();
  request.expires_in = time;
  return ask(service, request).value().key;
}

/// The statuses that the log tells, of the session and of turns.
texts told(const stepped_service& service, const session_key& session) {
  texts out;
  for (const auto& entry : service.database->log(session.id))
    if (entry.kind == "status")
      for (const std::string word :
           {"paused", "completed", "active", "expired", "running", "cancelled", "interrupted", "lost"})
        if (entry.data.find("\"" + word + "\"") != std::string::npos)
          out.push_back(word);
  return out;
}

} // namespace

TEST_CASE("what is changed is durable when it is answered, and outlives sleep and crash") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  auto request = change(session);
  request.title = "Title";
  request.metadata = R"({"a":1})";
  service.pool.answers_at_once = false;
  auto answer = begin(service, request);
  CHECK_FALSE(*answer);
  service.heal();
  REQUIRE(*answer);
  auto record = (*answer)->value();
  CHECK(record.version == 2);
  CHECK(record.title == "Title");
  request.title = "";
  request.metadata.reset();
  REQUIRE(ask(service, request));
  SECTION("at once") {}
  SECTION("asleep") {
    passivate(service);
  }
  SECTION("crashed") {
    crash(service);
  }
  record = ask(service, get_session{session}).value();
  CHECK(record.version == 3);
  CHECK_FALSE(record.title);
  CHECK(record.metadata == R"({"a":1})");
  CHECK(record.next_offset == 0); // only a change of status is told in the log
}

TEST_CASE("of two who change one version only the first succeeds") {
  stepped_service service;
  const auto session = service.make_session();
  auto first = change(session), second = change(session);
  first.expected_version = second.expected_version = 1;
  first.title = "first";
  second.title = "second";
  service.pool.answers_at_once = false;
  auto one = begin(service, first), other = begin(service, second);
  CHECK(code_of(other) == error_code::precondition_failed);
  second.expected_version.reset();
  other = begin(service, second); // the last write wins
  service.heal();
  REQUIRE(*one);
  CHECK((*one)->value().version == 2);
  CHECK((*one)->value().title == "first"); // each is told what it has made of the session
  CHECK((*other)->value().version == 3);
  CHECK(ask(service, get_session{session})->title == "second");
}

TEST_CASE("what a session may not become is refused, and changes nothing") {
  stepped_service service;
  const auto session = service.make_session();
  const auto refused = [&](auto set) {
    auto request = change(session);
    set(request);
    return refusal(service, request);
  };
  using request = update_session;
  const auto invalid = std::optional(error_code::invalid_request);
  CHECK(refused([](request& r) { r.status = session_status::expired; }) == invalid);
  CHECK(refused([](request& r) { r.title = std::string(1001, 'x'); }) == invalid);
  CHECK(refused([](request& r) { r.metadata = "[]"; }) == invalid);
  CHECK(refused([](request& r) { r.metadata = R"({"a":1,)"; }) == invalid);
  CHECK(refused([](request& r) { r.expires_in = std::chrono::seconds{0}; }) == invalid);
  CHECK(ask(service, get_session{session})->version == 1);
}

TEST_CASE("a session that is paused or completed is read, not written") {
  for (const auto status : {session_status::paused, session_status::completed}) {
    stepped_service service(short_idle());
    const auto session = service.make_session();
    append_numbered(service, session, 0, 1);
    REQUIRE(ask(service, change(session, status)));
    for (const bool asleep : {false, true}) {
      if (asleep)
        passivate(service);
      CHECK(refusal(service, append_of(session, {message("x")})) == error_code::session_not_active);
      CHECK(refusal(service, asking(session)) == error_code::session_not_active);
      CHECK(ask(service, history_of(session))->messages.size() == 1);
      CHECK(ask(service, get_session{session})->status == status);
    }
    REQUIRE(ask(service, change(session, session_status::active)));
    CHECK(ask(service, append_of(session, {message("x")})));
    CHECK(told(service, session) == texts{std::string(to_string(status)), "active"});
  }
}

TEST_CASE("leaving active cancels the turn that runs and refuses those who wait") {
  stepped_service service;
  const auto session = service.make_session();
  const auto turn = start(service, session);
  auto waiting = begin(service, asking(session));
  CHECK_FALSE(*waiting);
  REQUIRE(ask(service, change(session, session_status::paused)));
  CHECK(code_of(waiting) == error_code::session_not_active);
  CHECK(service.database->turn_status(session.id, 1) == "cancelled");
  CHECK(refusal(service, end_of(session, turn.id)) == error_code::turn_lost);
  CHECK(told(service, session) == texts{"running", "cancelled", "paused"}); // in the order in which it happened
  REQUIRE(ask(service, change(session, session_status::paused)));           // it is so already
  CHECK(told(service, session) == texts{"running", "cancelled", "paused"});
  CHECK(ask(service, get_session{session})->version == 3);
}

TEST_CASE("a turn that is just being handed over does not start in a session that is left") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 5);
  service.pool.reads_at_once = false;
  auto waiting = begin(service, asking(session));
  REQUIRE_FALSE(*waiting);
  REQUIRE(ask(service, change(session, session_status::completed)));
  service.heal();
  CHECK(code_of(waiting) == error_code::session_not_active);
  CHECK(told(service, session) == texts{"completed"});
}

TEST_CASE("a change that is not durable in time says so, and stays") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  auto request = change(session);
  request.title = "late";
  auto answer = begin(service, request);
  service.steps.advance(31s, 250ms);
  CHECK(code_of(answer) == error_code::deadline_exceeded);
  service.heal();
  CHECK(ask(service, get_session{session})->title == "late");
}

TEST_CASE("an expired session refuses everything but its erasure, by the clock") {
  stepped_service service;
  const auto session = lasting(service, 10s);
  append_numbered(service, session, 0, 2);
  service.pool.is_away = true; // so that nobody else can mark it
  service.steps.advance(9900ms, 100ms);
  CHECK(ask(service, get_session{session}));
  service.steps.advance(100ms, 100ms);
  const auto expired = std::optional(error_code::session_expired);
  CHECK(refusal(service, get_session{session}) == expired);
  CHECK(refusal(service, history_of(session)) == expired);
  CHECK(refusal(service, events_of(session)) == expired);
  CHECK(refusal(service, append_of(session, {message("x")})) == expired);
  CHECK(refusal(service, asking(session)) == expired);
  auto revive = change(session, session_status::active);
  revive.expires_in = std::optional<std::chrono::seconds>{};
  CHECK(refusal(service, revive) == expired); // there is no way back
  CHECK(refusal(service, fork_session{session, 0}) == expired);
  service.heal();
  CHECK(refusal(service, get_session{session}) == expired);
  CHECK(ask(service, erase_session{session}));
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
}

TEST_CASE("expiry is told in the log once, in memory or not, and ends what runs") {
  for (const bool asleep : {false, true}) {
    stepped_service service(asleep ? short_idle() : actors::directory_options{});
    const auto session = lasting(service, 20s);
    append_numbered(service, session, 0, 2);
    if (!asleep)
      start(service, session);
    service.steps.advance(40s, 250ms);
    CHECK(told(service, session) == (asleep ? texts{"expired"} : texts{"running", "cancelled", "expired"}));
    CHECK(service.database->tables().sessions.at(session.id.bytes).status == "expired");
    CHECK(refusal(service, get_session{session}) == error_code::session_expired);
    service.steps.advance(20s, 250ms);
    CHECK(told(service, session).back() == "expired");
    CHECK(service.stored(session).size() == (asleep ? 3u : 5u));
  }
}

TEST_CASE("an expiry can be moved while the session lives, and taken away") {
  stepped_service service;
  const auto session = lasting(service, 10s);
  service.steps.advance(5s, 250ms);
  auto request = change(session);
  request.expires_in = std::optional(20s);
  REQUIRE(ask(service, request));
  service.steps.advance(15s, 250ms);
  CHECK(ask(service, get_session{session}));
  request.expires_in = std::optional<std::chrono::seconds>{};
  REQUIRE(ask(service, request));
  service.steps.advance(60s, 1s);
  CHECK_FALSE(ask(service, get_session{session})->expires_at);
}

TEST_CASE("a sliding expiry is pushed away by use, and not written down each time") {
  actors::directory_options options;
  options.sliding_expiry = true;
  options.session_idle_timeout = 30s;
  stepped_service service(options);
  const auto session = lasting(service, 100s), unused = lasting(service, 100s),
             eternal = lasting(service, std::nullopt);
  const auto batches = service.database->batches_committed();
  for (int i = 0; i < 60; ++i) {
    service.steps.advance(4s, 1s);
    REQUIRE(ask(service, history_of(session)));
    REQUIRE(ask(service, get_session{eternal}));
  }
  CHECK(service.database->batches_committed() - batches <= 31 + 3); // a twentieth is 5 s
  CHECK(refusal(service, get_session{unused}) == error_code::session_expired);
  const auto record = ask(service, get_session{session}).value();
  CHECK(record.version == 1); // it is no change that somebody asked for
  service.steps.advance(90s, 1s);
  CHECK(ask(service, get_session{session})); // asleep and woken meanwhile
  service.steps.advance(101s, 1s);
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
}

TEST_CASE("without sliding a use does not extend a life") {
  stepped_service service;
  const auto session = lasting(service, 10s);
  for (int i = 0; i < 9; ++i) {
    service.steps.advance(1s);
    REQUIRE(ask(service, append_of(session, {message("x")})));
  }
  service.steps.advance(1s);
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
}

TEST_CASE("a session that expired long ago is erased") {
  actors::directory_options options;
  options.sweeping.expired_retention = 60s;
  stepped_service service(options);
  const auto session = lasting(service, 10s);
  append_numbered(service, session, 0, 3);
  service.steps.advance(60s, 1s);
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
  service.steps.advance(30s, 1s);
  CHECK(refusal(service, get_session{session}) == error_code::not_found);
  CHECK(service.stored(session).empty());
}
