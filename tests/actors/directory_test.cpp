// Sessions leave memory, die and come back without their callers noticing.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

namespace {

actors::directory_options soon_asleep(std::size_t resident_max = 1000) {
  actors::directory_options options;
  options.session_idle_timeout = 1s;
  options.sessions_resident_max = resident_max;
  return options;
}

pending_answer<session_record> get(stepped_service& service, const session_key& session) {
  return service.steps.ask<session_record>(service.directory, get_session{session});
}

/// So that the pool knows its actor.
void sleep_and_wake(stepped_service& service, const session_key& session) {
  service.steps.advance(3s);
  auto record = get(service, session);
  service.steps.run();
  REQUIRE((*record)->has_value());
}

void kill_session(stepped_service& service, const session_key& session) {
  REQUIRE(service.pool.woken(session.id));
  caf::anon_send_exit(service.pool.woken(session.id), caf::exit_reason::kill);
  service.steps.run();
}

} // namespace

TEST_CASE("a session that has left memory is woken once for many callers, who are served in order") {
  stepped_service service(soon_asleep());
  const auto session = service.make_session();
  service.append(session, {"0"});
  service.steps.advance(3s);
  CHECK(service.pool.wakes(session.id) == 0);
  std::vector<pending_answer<appended>> answers;
  for (int i = 1; i <= 20; ++i)
    answers.push_back(service.append(session, {std::to_string(i)}));
  service.steps.run();
  CHECK(service.pool.wakes(session.id) == 1);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    REQUIRE(*answers[i]);
    REQUIRE((*answers[i])->has_value());
    CHECK((*answers[i])->value().first_offset == static_cast<event_offset>(i + 1));
  }
}

TEST_CASE("requests that come while a session falls asleep reach its next incarnation in order") {
  stepped_service service(soon_asleep(1));
  const auto session = service.make_session();
  create_session another;
  another.tenant = session.tenant;
  another.user_id = "eve";
  auto refused = service.steps.ask<session_record>(service.directory, another); // asks the session to make room
  std::vector<pending_answer<appended>> answers;
  for (int i = 0; i < 10; ++i)
    answers.push_back(service.append(session, {std::to_string(i)}));
  service.steps.run();
  REQUIRE((*refused)->failure().code == error_code::overloaded);
  CHECK((*refused)->failure().retry_after);
  CHECK(service.pool.wakes(session.id) == 1);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    REQUIRE(*answers[i]);
    CHECK((*answers[i])->value().first_offset == static_cast<event_offset>(i));
  }
  CHECK(service.stored(session).size() == 10);
}

TEST_CASE("a session with something undurable stays in memory, and the next one must wait") {
  stepped_service service(soon_asleep(1));
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  service.append(session, {"a"});
  service.steps.advance(5s);
  create_session another;
  another.tenant = session.tenant;
  another.user_id = "eve";
  auto refused = service.steps.ask<session_record>(service.directory, another);
  service.steps.run();
  CHECK((*refused)->failure().code == error_code::overloaded);
  service.heal();
  auto made = service.steps.ask<session_record>(service.directory, another);
  service.steps.run();
  CHECK((*made)->has_value());
  CHECK(service.stored(session) == texts{"a"});
}

TEST_CASE("another tenant's session is not found, in memory or not") {
  stepped_service service(soon_asleep());
  const auto session = service.make_session("acme");
  auto stolen = session;
  stolen.tenant = tenant_id::parse("rival").value();
  for (int round = 0; round < 2; ++round) {
    auto record = get(service, stolen);
    auto written = service.append(stolen, {"x"});
    service.steps.run();
    CHECK((*record)->failure().code == error_code::not_found);
    CHECK((*written)->failure().code == error_code::not_found);
    service.steps.advance(3s);
  }
  CHECK(service.stored(session).empty());
}

TEST_CASE("a killed session wakes again with its log intact and goes on at the right offset") {
  stepped_service service(soon_asleep());
  const auto session = service.make_session();
  service.append(session, {"a"});
  sleep_and_wake(service, session);
  service.pool.answers_at_once = false;
  service.append(session, {"b"});
  auto waiting = service.append(session, {"c"}, durability::durable);
  service.steps.run();
  kill_session(service, session);
  REQUIRE(*waiting); // its own death included
  CHECK((*waiting)->failure().code == error_code::internal);
  auto next = service.append(session, {"d"}); // held until the writer has settled what the dead one sent
  service.steps.run();
  CHECK_FALSE(*next);
  service.heal();
  REQUIRE(*next);
  CHECK((*next)->value().first_offset == 3);
  CHECK(service.stored(session) == texts{"a", "b", "c", "d"});
  service.steps.advance(3s);
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("a session that died while the database is away for long gives out no offset twice, and callers are told") {
  stepped_service service(soon_asleep());
  const auto session = service.make_session();
  sleep_and_wake(service, session);
  service.pool.answers_at_once = false;
  service.append(session, {"a"});
  service.steps.run();
  kill_session(service, session);
  auto held = service.append(session, {"b"});
  service.steps.advance(70s, 250ms);
  REQUIRE(*held);
  REQUIRE_FALSE((*held)->has_value());
  CHECK((*held)->failure().code == error_code::database_unavailable);
  service.heal();
  auto next = service.append(session, {"c"}, durability::durable);
  service.steps.advance(2s);
  REQUIRE(*next);
  REQUIRE((*next)->has_value());
  CHECK((*next)->value().first_offset == 1);
  CHECK(service.stored(session) == texts{"a", "c"});
}

TEST_CASE("a session that died after it was refused writes again in its next incarnation") {
  stepped_service service(soon_asleep());
  service.database->poison = "poison";
  const auto session = service.make_session();
  sleep_and_wake(service, session);
  service.pool.answers_at_once = false;
  service.append(session, {"poison"});
  service.steps.run();
  kill_session(service, session); // before it could hear of the refusal
  service.heal();
  auto next = service.append(session, {"fine"}, durability::durable);
  service.steps.advance(2s);
  REQUIRE(*next);
  REQUIRE((*next)->has_value());
  CHECK(service.stored(session) == texts{"fine"});
}
