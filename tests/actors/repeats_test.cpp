// Requests that come again under their key: answered as the first one was, once done, whatever happened between.
#include "tests/actors/conversation_fixture.hpp"

#include <functional>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

append_events keyed(const session_key& session, std::string data, std::string key = "k", std::string print = "p") {
  return append_of(session, {message(std::move(data))}, idempotency{std::move(key), std::move(print)});
}

start_turn keyed_turn(const session_key& session, std::string key = "k", std::string print = "p") {
  start_turn request;
  request.session = session;
  request.repeat = idempotency{std::move(key), std::move(print)};
  request.events = {message("question")};
  return request;
}

create_session keyed_creation(std::string key = "k", std::string print = "p") {
  auto request = creation();
  request.repeat = idempotency{std::move(key), std::move(print)};
  return request;
}

event_offset offset_of(const result<appended>& answer) {
  if (!answer)
    FAIL(answer.failure().message);
  return answer->first_offset;
}

} // namespace

TEST_CASE("a retry does not duplicate a message, whatever happened since the first try") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  std::function<void()> meanwhile = [] {};
  const char* what = "nothing";
  SECTION("nothing happened") {}
  SECTION("not durable yet") {
    service.pool.answers_at_once = false;
    what = "undurable";
  }
  SECTION("the session slept") {
    meanwhile = [&] { passivate(service); };
  }
  SECTION("the session died") {
    passivate(service);
    meanwhile = [&] { kill_session(service, session); };
  }
  SECTION("the service crashed") {
    meanwhile = [&] { crash(service); };
  }
  SECTION("the service crashed and the session slept") {
    meanwhile = [&] {
      crash(service, short_idle());
      passivate(service);
    };
  }
  INFO(what);
  const auto first = ask(service, keyed(session, "pay"));
  CHECK(offset_of(first) == 3);
  meanwhile();
  for (int i = 0; i < 3; ++i) {
    const auto again = ask(service, keyed(session, "pay"));
    CHECK(offset_of(again) == 3);
    CHECK(again->count == 1);
    CHECK(again->reached == durability::accepted);
  }
  CHECK(refusal(service, keyed(session, "pay more", "k", "another")) == error_code::idempotency_mismatch);
  CHECK(offset_of(ask(service, keyed(session, "pay", "k2"))) == 4);
  service.heal();
  CHECK(service.stored(session) == texts{"0", "1", "2", "pay", "pay"});
}

TEST_CASE("a repeat that asks for durability waits for that of the first") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  REQUIRE(ask(service, keyed(session, "a")));
  auto request = keyed(session, "a");
  request.wanted = durability::durable;
  auto again = begin(service, request);
  CHECK_FALSE(*again);
  service.pool.answer_next();
  service.steps.run();
  REQUIRE(*again);
  CHECK(offset_of(**again) == 0);
  CHECK((*again)->value().reached == durability::durable);
}

TEST_CASE("a refused request is not remembered") {
  stepped_service service;
  const auto session = service.make_session();
  CHECK(refusal(service, keyed(session, "\xff")) == error_code::invalid_request);
  auto lost = keyed(session, "a");
  lost.turn = turn_id::make();
  CHECK(refusal(service, lost) == error_code::turn_lost);
  CHECK(offset_of(ask(service, keyed(session, "b", "k", "another"))) == 0);

  start(service, session);
  auto turn = keyed_turn(session, "t");
  turn.policy = turn_policy::reject;
  CHECK(refusal(service, turn) == error_code::turn_in_progress);
  turn.policy = turn_policy::interrupt;
  turn.repeat->fingerprint = "another";
  CHECK(ask(service, turn));
}

TEST_CASE("keys are checked before anything is done") {
  stepped_service service;
  const auto session = service.make_session();
  for (const auto& key : {std::string(), std::string("\xff"), std::string("a\0b", 3), std::string(256, 'k')}) {
    CHECK(refusal(service, keyed(session, "a", key)) == error_code::invalid_request);
    CHECK(refusal(service, keyed_creation(key)) == error_code::invalid_request);
  }
  for (const auto& print : {std::string("\xff"), std::string("a\0b", 3), std::string(65, 'p')}) {
    CHECK(refusal(service, keyed(session, "a", "k", print)) == error_code::invalid_request);
    CHECK(refusal(service, keyed_creation("k", print)) == error_code::invalid_request);
  }
  CHECK(service.stored(session).empty());
}

TEST_CASE("keys of different kinds of requests and of different sessions are different keys") {
  stepped_service service;
  const auto session = service.make_session(), other = service.make_session();
  CHECK(offset_of(ask(service, keyed(session, "a"))) == 0);
  CHECK(offset_of(ask(service, keyed(other, "b", "k", "another"))) == 0);
  const auto granted = ask(service, keyed_turn(session, "k", "a turn"));
  REQUIRE(granted);
  CHECK(granted->turn.number == 1);
  fork_session fork{session, 0};
  fork.repeat = idempotency{"k", "a fork"};
  CHECK(ask(service, fork));
  CHECK(ask(service, keyed_creation("k", "a creation")));
}

TEST_CASE("two twins at once are one request") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  passivate(service);
  SECTION("while the session wakes and reads its keys") {
    service.pool.reads_at_once = false;
    auto first = begin(service, keyed(session, "a")), second = begin(service, keyed(session, "a"));
    auto other = begin(service, keyed(session, "b", "k", "another"));
    service.heal();
    REQUIRE(*first);
    REQUIRE(*second);
    CHECK(offset_of(**first) == 0);
    CHECK(offset_of(**second) == 0);
    CHECK(code_of(other) == error_code::idempotency_mismatch);
  }
  SECTION("while the first one's write is on its way") {
    service.pool.answers_at_once = false;
    auto first = begin(service, keyed(session, "a")), second = begin(service, keyed(session, "a"));
    REQUIRE(*second);
    CHECK(offset_of(**second) == 0);
    service.heal();
  }
  CHECK(service.stored(session) == texts{"a"});
}

TEST_CASE("a request with a key keeps its place while the keys are read") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  passivate(service);
  REQUIRE(ask(service, get_session{session})); // awake, and knows no keys
  service.pool.reads_at_once = false;
  begin(service, keyed(session, "0", "a"));
  begin(service, append_of(session, {message("1")}));
  begin(service, keyed(session, "2", "b"));
  begin(service, append_of(session, {message("3")}));
  CHECK(service.pool.reads_held() == 1);
  service.pool.reads_at_once = true;
  service.pool.answer_read();
  service.steps.run();
  CHECK(service.stored(session) == numbers(0, 3));
  CHECK(service.database->count_of("read_keys") == 1); // once, whatever comes after
  begin(service, keyed(session, "4", "c"));
  CHECK(service.database->count_of("read_keys") == 1);
  CHECK(service.database->count_of("find_key") == 0);
}

TEST_CASE("keys that cannot be read refuse the request and hold up nobody") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  passivate(service);
  REQUIRE(ask(service, get_session{session}));
  service.pool.is_away = true;
  CHECK(refusal(service, keyed(session, "a")) == error_code::database_unavailable);
  CHECK(ask(service, append_of(session, {message("b")})));
  service.heal();
  CHECK(offset_of(ask(service, keyed(session, "a"))) == 1);
}

TEST_CASE("more keys than are kept in memory are still all recognized") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  auto& keys = service.database->tables().keys; // as many requests of an earlier day would leave
  for (int i = 0; i < 20'010; ++i)
    keys[{"acme", session.id.bytes, "append", "old" + std::to_string(i)}] = {
        "p",          db::encode_int8(0), db::encode_int8(1),
        std::nullopt, std::nullopt,       db::encode_timestamp(service.steps.clock()())};
  passivate(service);
  CHECK(offset_of(ask(service, keyed(session, "x", "old1"))) == 0);
  CHECK(offset_of(ask(service, keyed(session, "x", "old20009"))) == 0);
  CHECK(offset_of(ask(service, keyed(session, "1", "new"))) == 1);
  CHECK(offset_of(ask(service, keyed(session, "1", "new"))) == 1);

  // Twins of which the database knows nothing when either asks.
  service.pool.reads_at_once = false;
  auto first = begin(service, keyed(session, "2", "twin")), second = begin(service, keyed(session, "2", "twin"));
  while (service.pool.answer_read(service.pool.reads_held() - 1))
    service.steps.run();
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK(offset_of(**first) == 2);
  CHECK(offset_of(**second) == 2);
  CHECK(service.stored(session) == numbers(0, 2));
}

TEST_CASE("the creation of a session is repeated without making another") {
  stepped_service service(short_idle());
  const auto first = ask(service, keyed_creation());
  REQUIRE(first);
  SECTION("at once") {}
  SECTION("after it slept") {
    passivate(service);
  }
  SECTION("after a crash") {
    crash(service);
  }
  const auto again = ask(service, keyed_creation());
  REQUIRE(again);
  CHECK(again->key == first->key);
  CHECK(refusal(service, keyed_creation("k", "another")) == error_code::idempotency_mismatch);
  CHECK(ask(service, keyed_creation("k2"))->key.id != first->key.id);
  auto elsewhere = keyed_creation();
  elsewhere.tenant = tenant_id::parse("globex").value();
  CHECK(ask(service, elsewhere)->key.id != first->key.id); // keys are a tenant's own
}

TEST_CASE("a creation asked for twice at once makes one session") {
  for (const bool reads_first : {true, false}) {
    stepped_service service;
    service.pool.reads_at_once = !reads_first;
    service.pool.answers_at_once = reads_first;
    auto first = begin(service, keyed_creation()), second = begin(service, keyed_creation());
    auto other = begin(service, keyed_creation("k", "another"));
    service.heal();
    REQUIRE(*first);
    REQUIRE(*second);
    REQUIRE((*first)->has_value());
    REQUIRE((*second)->has_value());
    CHECK((*first)->value().key == (*second)->value().key);
    CHECK(code_of(other) == error_code::idempotency_mismatch);
    CHECK(service.database->tables().sessions.size() == 1);
  }
}

TEST_CASE("a creation whose answer was lost is found by its key") {
  stepped_service service;
  service.pool.answers_at_once = false;
  auto first = begin(service, keyed_creation());
  service.pool.answer_next(fault::lost_after);
  service.heal();
  REQUIRE(*first);
  REQUIRE((*first)->has_value());
  CHECK(ask(service, keyed_creation())->key == (*first)->value().key);
}

TEST_CASE("a turn asked for again is the same turn, with the history as it is now") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  const auto first = ask(service, keyed_turn(session));
  REQUIRE(first);
  CHECK(data_of(first->history.messages) == texts{"0", "1", "question"});
  auto inside = append_of(session, {message("answer", message_role::assistant)});
  inside.turn = first->turn.id;
  REQUIRE(ask(service, inside));
  SECTION("while it runs") {
    const auto again = ask(service, keyed_turn(session));
    REQUIRE(again);
    CHECK(again->turn.status == turn_status::running);
  }
  SECTION("when it has ended, and others since, and after sleep") {
    REQUIRE(ask(service, end_of(session, first->turn.id)));
    REQUIRE(ask(service, end_of(session, start(service, session).id)));
    passivate(service);
    CHECK(ask(service, keyed_turn(session))->turn.status == turn_status::completed);
  }
  SECTION("when it was rolled back") {
    REQUIRE(ask(service, end_of(session, start(service, session, turn_policy::rollback).id)));
    const auto again = ask(service, keyed_turn(session));
    REQUIRE(again);
    CHECK(again->turn.id == first->turn.id);
    CHECK(again->turn.status == turn_status::rolled_back);
    CHECK(data_of(again->history.messages) == texts{"0", "1"});
    return;
  }
  const auto again = ask(service, keyed_turn(session));
  REQUIRE(again);
  CHECK(again->turn.id == first->turn.id);
  CHECK(data_of(again->history.messages) == texts{"0", "1", "question", "answer"});
  CHECK(refusal(service, keyed_turn(session, "k", "another")) == error_code::idempotency_mismatch);
}

TEST_CASE("nothing is written under a key once its session has come to an end") {
  stepped_service service;
  const auto session = service.make_session();
  REQUIRE(ask(service, keyed(session, "a")));
  service.database->tables().keys.clear(); // forgotten, its time being over; the session still knows of it
  service.pool.reads_at_once = false;
  auto waiting = begin(service, keyed(session, "again"));
  REQUIRE_FALSE(*waiting);
  SECTION("erased") {
    auto gone = begin(service, erase_session{session});
    REQUIRE(*gone);
    CHECK((*gone)->has_value());
    service.pool.answer_read();
    service.steps.run();
    CHECK(code_of(waiting) == error_code::not_found);
    CHECK(service.stored(session).empty());
  }
  SECTION("taken over by another process") {
    service.database->take_over_shards();
    service.steps.advance(5s, 250ms);
    service.pool.answer_read();
    service.steps.run();
    CHECK(code_of(waiting) == error_code::not_owner);
    CHECK(service.stored(session) == texts{"a"});
  }
  SECTION("not at all: then it is new") {
    service.pool.answer_read();
    service.steps.run();
    REQUIRE(*waiting);
    CHECK(offset_of(**waiting) == 1);
  }
}

TEST_CASE("an erasure comes behind a request that came first and reads its keys") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  REQUIRE(ask(service, keyed(session, "a")));
  passivate(service);
  REQUIRE(ask(service, get_session{session}));
  service.pool.reads_at_once = false;
  auto waiting = begin(service, keyed(session, "b", "k2"));
  auto gone = begin(service, erase_session{session});
  service.heal();
  REQUIRE(*gone);
  REQUIRE((*gone)->has_value());
  CHECK((*gone)->value().events == 2);
  REQUIRE(*waiting);
  CHECK((*waiting)->has_value());
  CHECK(service.stored(session).empty());
}
