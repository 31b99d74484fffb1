// Who lives in memory: one actor for a session, whatever is lost and comes back around it.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

TEST_CASE(
    "a session that died before its shards were lost has one actor, also when it is woken before the writer is back") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  append_numbered(service, session, 1, 1);
  service.pool.answers_at_once = false;
  REQUIRE(ask(service, append_of(session, {message("in flight")})));
  kill_session(service, session); // it drains behind a barrier
  service.database->take_over_shards();
  for (auto& owner : service.database->tables().shards)
    owner = {};
  bool is_awake = false;
  for (int i = 0; i < 400 && !is_awake; ++i) {
    service.steps.advance(50ms);
    is_awake = ask(service, get_session{session, {}}).has_value();
  }
  REQUIRE(is_awake);
  const auto wakes = service.pool.wakes(session.id);
  service.heal();
  REQUIRE(ask(service, append_of(session, {message("after")})));
  service.steps.advance(10s);
  CHECK(service.pool.wakes(session.id) == wakes);
  CHECK(ask(service, append_of(session, {message("and after")})));
}
