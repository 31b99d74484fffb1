// What a session refuses and with which code, how turns run, and what becomes of a creation.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

namespace {

create_session creation(std::optional<std::string> external_id = std::nullopt) {
  create_session request;
  request.tenant = tenant_id::parse("acme").value();
  request.user_id = "ada";
  request.external_id = std::move(external_id);
  return request;
}

template <class Value, class Request>
result<Value> ask(stepped_service& service, Request request) {
  auto answer = service.steps.ask<Value>(service.directory, std::move(request));
  service.steps.run();
  if (!*answer)
    return error{error_code::deadline_exceeded, "no answer yet"};
  return **answer;
}

template <class Value, class Request>
std::optional<error_code> refusal(stepped_service& service, Request request) {
  auto answer = ask<Value>(service, std::move(request));
  return answer ? std::nullopt : std::optional(answer.failure().code);
}

event_input message(std::string data) {
  event_input input;
  input.role = message_role::user;
  input.data = std::move(data);
  return input;
}

append_events append_of(const session_key& session, event_input input) {
  append_events request;
  request.session = session;
  request.events = {std::move(input)};
  return request;
}

turn_record start(stepped_service& service, const session_key& session) {
  start_turn request;
  request.session = session;
  return ask<granted_turn>(service, request).value().turn;
}

end_turn end_of(const session_key& session, turn_id turn, std::optional<token_usage> usage = std::nullopt) {
  end_turn request;
  request.session = session;
  request.turn = turn;
  request.usage = usage;
  return request;
}

} // namespace

TEST_CASE("a session that the database would refuse is not accepted, and holds up nobody") {
  stepped_service service;
  const auto other = service.make_session();
  const auto code_of = [&](auto change) {
    auto request = creation();
    change(request);
    return refusal<session_record>(service, request);
  };
  using request = create_session;
  const auto invalid = std::optional(error_code::invalid_request);
  CHECK(code_of([](request& r) { r.tenant = {}; }) == invalid);
  CHECK(code_of([](request& r) { r.user_id = ""; }) == invalid);
  CHECK(code_of([](request& r) { r.user_id = std::string(256, 'x'); }) == invalid);
  CHECK(code_of([](request& r) { r.user_id = "\xff"; }) == invalid);
  CHECK(code_of([](request& r) { r.agent_id = ""; }) == invalid);
  CHECK(code_of([](request& r) { r.external_id = std::string("a\0b", 3); }) == invalid);
  CHECK(code_of([](request& r) { r.title = std::string(1001, 'x'); }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = "[]"; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = ""; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = R"({"a":"\u0000"})"; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = R"({"a":[1e-20000]})"; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = R"({"a":1e401})"; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = R"({"a":-0.)" + std::string(20'000, '0') + "1}"; }) == invalid);
  CHECK(code_of([](request& r) { r.expires_in = 0s; }) == invalid);
  CHECK(code_of([](request& r) { r.expires_in = std::chrono::years{11}; }) == invalid);
  CHECK(code_of([](request& r) { r.metadata = R"({"a":")" + std::string(65'536, 'x') + R"("})"; }) ==
        error_code::payload_too_large);

  CHECK_FALSE(code_of([](request& r) { r.user_id = std::string(254, 'x') + "é"; }));
  CHECK_FALSE(code_of([](request& r) { r.metadata = R"({"\"1e999":"1e999","b":[-1.5e+300,0,1E-300]})"; }));
  CHECK_FALSE(code_of([](request& r) { r.expires_in = std::nullopt; }));
  auto done = service.append(other, {"x"}, durability::durable);
  service.steps.run();
  REQUIRE(*done);
  CHECK((*done)->has_value());
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("an append that cannot be stored is refused whole") {
  actors::directory_options options;
  options.session_undurable_bytes_max = std::size_t{8} << 20;
  stepped_service service(options);
  const auto session = service.make_session();
  const auto code_of = [&](event_input input) { return refusal<appended>(service, append_of(session, input)); };
  const auto invalid = std::optional(error_code::invalid_request);
  CHECK(code_of(message(std::string("a\0b", 3))) == invalid);
  CHECK(code_of(message("\xed\xa0\x80")) == invalid);
  CHECK(code_of(message(std::string(limits::event_bytes_max + 1, 'x'))) == error_code::payload_too_large);
  auto input = message("x");
  input.tokens = -1;
  CHECK(code_of(input) == invalid);
  input = message("x");
  input.tool_call_ids = {"fine", "\xff"};
  CHECK(code_of(input) == invalid);
  input = message("x");
  input.role = message_role::none;
  CHECK(code_of(input) == invalid);
  input.role = message_role::user;
  input.kind = event_kind::custom;
  CHECK(code_of(input) == invalid);

  append_events many;
  many.session = session;
  CHECK(refusal<appended>(service, many) == invalid);
  many.events.assign(limits::events_per_append_max + 1, message("x"));
  CHECK(refusal<appended>(service, many) == invalid);
  many.events.assign(3, message(std::string(limits::event_bytes_max, 'x')));
  CHECK(refusal<appended>(service, many) == error_code::payload_too_large);
  CHECK(service.stored(session).empty());
  auto first = ask<appended>(service, append_of(session, message("x")));
  REQUIRE(first);
  CHECK(first->first_offset == 0);
}

TEST_CASE("one turn runs at a time, and only its owner ends it") {
  stepped_service service;
  const auto session = service.make_session();
  const auto turn = start(service, session);
  CHECK(turn.number == 1);
  start_turn again;
  again.session = session;
  again.wait = 0s;
  CHECK(refusal<granted_turn>(service, again) == error_code::turn_in_progress);
  CHECK(refusal<turn_record>(service, end_of(session, turn_id::make())) == error_code::turn_lost);
  auto wrong = end_of(session, turn.id);
  wrong.outcome = turn_status::lost;
  CHECK(refusal<turn_record>(service, wrong) == error_code::invalid_request);
  for (const std::int64_t tokens : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()})
    CHECK(refusal<turn_record>(service, end_of(session, turn.id, token_usage{tokens, 1})) ==
          error_code::invalid_request);

  REQUIRE(ask<turn_record>(service, end_of(session, turn.id, token_usage{30, 12})));
  CHECK(ask<turn_record>(service, end_of(session, turn.id))); // asked again: the same answer
  auto other = end_of(session, turn.id);
  other.outcome = turn_status::cancelled;
  CHECK(refusal<turn_record>(service, other) == error_code::turn_lost);
  auto late = append_of(session, message("late"));
  late.turn = turn.id;
  CHECK(refusal<appended>(service, late) == error_code::turn_lost);

  const auto second = start(service, session);
  CHECK(second.number == 2);
  auto cancelled = end_of(session, second.id, token_usage{5, 5});
  cancelled.outcome = turn_status::cancelled;
  REQUIRE(ask<turn_record>(service, cancelled));
  const auto record = ask<session_record>(service, get_session{session}).value();
  CHECK(record.turn_count == 1); // a cancelled turn is not counted
  CHECK(record.total_tokens == 42);
  CHECK(service.database->turn_count(session.id) == 1);
  CHECK(service.database->total_tokens(session.id) == 42);
  CHECK(service.database->turn_status(session.id, 2) == "cancelled");
}

TEST_CASE("a session expires when its time has come") {
  stepped_service service;
  auto request = creation();
  request.expires_in = 10s;
  const auto session = ask<session_record>(service, request).value().key;
  CHECK(ask<appended>(service, append_of(session, message("x"))));
  service.steps.advance(9s);
  CHECK(ask<appended>(service, append_of(session, message("y"))));
  service.steps.advance(1s);
  CHECK(refusal<appended>(service, append_of(session, message("z"))) == error_code::session_expired);
  start_turn turn;
  turn.session = session;
  CHECK(refusal<granted_turn>(service, turn) == error_code::session_expired);
  CHECK(service.stored(session) == texts{"x", "y"});
}

TEST_CASE("a turn that ran when its session died goes on, ends once, and the next is numbered on") {
  actors::directory_options options;
  options.session_idle_timeout = 1s;
  stepped_service service(options);
  const auto session = service.make_session();
  service.steps.advance(3s);
  const auto turn = start(service, session);
  REQUIRE(service.pool.woken(session.id));
  caf::anon_send_exit(service.pool.woken(session.id), caf::exit_reason::kill);
  service.steps.run();
  REQUIRE(ask<turn_record>(service, end_of(session, turn.id)));
  REQUIRE(ask<turn_record>(service, end_of(session, turn.id)));
  CHECK(service.database->turn_status(session.id, 1) == "completed");
  service.steps.advance(3s);
  CHECK(start(service, session).number == 2);
  CHECK(service.stored(session).size() == 3); // running, completed, running
  CHECK(service.database->turn_count(session.id) == 1);
}

TEST_CASE("an external id is one session's, whatever becomes of the answer") {
  stepped_service service;
  REQUIRE(ask<session_record>(service, creation("ticket")));
  CHECK(refusal<session_record>(service, creation("ticket")) == error_code::conflict);

  for (const std::string name : {"ticket", "new"}) {
    service.pool.answers_at_once = false;
    auto answer = service.steps.ask<session_record>(service.directory, creation(name));
    service.steps.run();
    REQUIRE(service.pool.answer_next(fault::lost_after)); // committed, and nobody was told with what result
    service.heal();
    REQUIRE(*answer);
    if (name == "new")
      CHECK((*answer)->has_value());
    else
      CHECK((*answer)->failure().code == error_code::conflict);
  }
}

TEST_CASE("a creation is sent again after a writer's death, and made once") {
  for (const auto how : {fault::none, fault::lost_before, fault::lost_after}) {
    stepped_service service;
    service.pool.answers_at_once = false;
    auto answer = service.steps.ask<session_record>(service.directory, creation("ticket"));
    service.steps.run();
    if (how != fault::none)
      service.pool.answer_next(how); // the answer reaches nobody
    service.kill_writer();
    service.heal();
    REQUIRE(*answer);
    REQUIRE((*answer)->has_value());
    CHECK(refusal<session_record>(service, creation("ticket")) == error_code::conflict);
    auto written = ask<appended>(service, append_of((*answer)->value().key, message("x")));
    REQUIRE(written);
    CHECK(written->first_offset == 0);
  }
}

TEST_CASE("a creation that nobody waits for any more leaves memory, made or not") {
  for (const bool is_taken : {false, true}) {
    actors::directory_options options;
    options.session_idle_timeout = 1s;
    options.sessions_resident_max = 1;
    stepped_service service(options);
    REQUIRE(ask<session_record>(service, creation("ticket")));
    service.steps.advance(3s);
    service.pool.answers_at_once = false;
    auto overdue = service.steps.ask<session_record>(service.directory, creation(is_taken ? "ticket" : "other"));
    service.steps.advance(32s, 250ms);
    REQUIRE(*overdue);
    CHECK((*overdue)->failure().code == error_code::deadline_exceeded);
    service.heal();
    service.steps.advance(3s);
    CHECK(ask<session_record>(service, creation("next")));
    CHECK(service.budget->used_bytes() == 0);
  }
}

TEST_CASE("creations are bounded by the budget too") {
  actors::directory_options options;
  options.budget = std::make_shared<byte_budget>(10'000);
  stepped_service service(options);
  service.pool.answers_at_once = false;
  auto large = creation();
  large.metadata = R"({"a":")" + std::string(6'000, 'x') + R"("})";
  auto first = service.steps.ask<session_record>(service.directory, large);
  CHECK(refusal<session_record>(service, large) == error_code::overloaded);
  service.heal();
  REQUIRE(*first);
  CHECK((*first)->has_value());
  CHECK(service.budget->used_bytes() == 0);
  CHECK(ask<session_record>(service, large));
}
