// Who asks again for a session to be made is answered as the first time, whatever became of the session since.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

create_session keyed_creation(std::string scope = {}) {
  auto request = creation("chat 7");
  request.title = "First";
  request.metadata = R"({"a":1})";
  request.repeat = idempotency{"k", "p", std::move(scope)};
  return request;
}

void check_same(const session_record& again, const session_record& first) {
  CHECK(again.key == first.key);
  CHECK(again.title == first.title);
  CHECK(again.metadata == first.metadata);
  CHECK(again.status == first.status);
  CHECK(again.version == first.version);
  CHECK(again.created_at == first.created_at);
  CHECK(again.updated_at == first.updated_at);
  CHECK(again.expires_at == first.expires_at);
  CHECK(again.turn_count == first.turn_count);
  CHECK(again.next_offset == first.next_offset);
  CHECK(again.durable_offset == first.durable_offset);
  CHECK(again.parent == first.parent);
  CHECK(again.fork_offset == first.fork_offset);
}

update_session changing(const session_key& session) {
  update_session request;
  request.session = session;
  request.title = "Second";
  request.metadata = "{}";
  request.status = session_status::paused;
  request.expires_in = 90s;
  return request;
}

} // namespace

TEST_CASE("a creation's repeat is answered as the creation was, whatever became of the session") {
  stepped_service service(short_idle());
  const auto first = ask(service, keyed_creation());
  REQUIRE(first);
  append_numbered(service, first->key, 0, 2);
  REQUIRE(ask(service, end_of(first->key, start(service, first->key).id)));
  REQUIRE(ask(service, changing(first->key)));
  SECTION("it has changed") {}
  SECTION("it has expired") {
    service.steps.advance(200s, 1s);
    REQUIRE(refusal(service, get_session{first->key}) == error_code::session_expired);
  }
  SECTION("the process crashed") {
    crash(service);
  }
  const auto again = ask(service, keyed_creation());
  REQUIRE(again);
  check_same(*again, *first);
  auto another = keyed_creation();
  another.repeat->fingerprint = "another";
  CHECK(refusal(service, another) == error_code::idempotency_mismatch);
}

TEST_CASE("a fork's repeat is answered as the fork was") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  fork_session request{session, 1};
  request.repeat = idempotency{"k", "p"};
  const auto first = ask(service, request);
  REQUIRE(first);
  CHECK(first->next_offset == 2);
  append_numbered(service, first->key, 2, 1);
  REQUIRE(ask(service, changing(first->key)));
  SECTION("at once") {}
  SECTION("after a crash") {
    crash(service);
  }
  const auto again = ask(service, request);
  REQUIRE(again);
  check_same(*again, *first);
}

TEST_CASE("the creation of a session that is erased since is a new one") {
  stepped_service service;
  const auto first = ask(service, keyed_creation());
  REQUIRE(first);
  REQUIRE(ask(service, erase_session{first->key}));
  service.steps.advance(5s);
  const auto again = ask(service, keyed_creation());
  REQUIRE(again);
  CHECK(again->key.id != first->key.id);
}

TEST_CASE("a session that is being erased is not shown by its key") {
  stepped_service service(short_idle());
  const auto first = ask(service, keyed_creation());
  REQUIRE(first);
  passivate(service);
  service.database->tables().sessions.erase(first->key.id.bytes); // hidden; the key goes in a later step
  const auto again = ask(service, keyed_creation());
  REQUIRE_FALSE(again);
  INFO(again.failure().message);
  CHECK(again.failure().code == error_code::not_found);
}

TEST_CASE("keys of one kind of request in different scopes are different keys") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  const auto keyed = [&](std::string scope, std::string data) {
    return append_of(session, {message(std::move(data))}, idempotency{"k", "p", std::move(scope)});
  };
  const auto plain = creation();
  for (int i = 0; i < 3; ++i) {
    if (i == 1)
      passivate(service);
    if (i == 2)
      crash(service);
    CHECK(ask(service, keyed("", "0")).value().first_offset == 0);
    CHECK(ask(service, keyed("messages", "1")).value().first_offset == 1);
    CHECK(ask(service, keyed("events", "2")).value().first_offset == 2);
  }
  CHECK(service.stored(session) == numbers(0, 2));
  auto one = plain, other = plain;
  one.repeat = idempotency{"k", "p", "a"};
  other.repeat = idempotency{"k", "p", "b"};
  const auto made = ask(service, one).value().key, another = ask(service, other).value().key;
  CHECK(made.id != another.id);
  CHECK(ask(service, one).value().key == made);
  CHECK(ask(service, other).value().key == another);

  const auto running = start(service, session);
  start_turn turn;
  turn.session = session;
  turn.repeat = idempotency{"k", "p", "a"};
  const auto first = begin(service, turn);
  turn.repeat->scope = "b";
  const auto second = begin(service, turn);
  turn.repeat->scope = "a";
  const auto twin = begin(service, turn);
  REQUIRE(ask(service, end_of(session, running.id)));
  REQUIRE(*first);
  REQUIRE(*twin);
  CHECK((*first)->value().turn.id == (*twin)->value().turn.id);
  CHECK_FALSE(*second);

  for (const auto& bad : {std::string("\xff"), std::string("a\0b", 3), std::string(129, 's')}) {
    CHECK(refusal(service, keyed(bad, "x")) == error_code::invalid_request);
    one.repeat->scope = bad;
    CHECK(refusal(service, one) == error_code::invalid_request);
  }
  CHECK(ask(service, keyed(std::string(128, 's'), "x")));
}
