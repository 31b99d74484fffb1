// Whatever waits in memory counts against a bound: of its session, of its tenant, of all.
#include "tests/actors/conversation_fixture.hpp"

#include <limits>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

template <class Value>
std::size_t unanswered(const std::vector<pending_answer<Value>>& all) {
  std::size_t count = 0;
  for (const auto& each : all)
    count += !each->has_value();
  return count;
}

} // namespace

TEST_CASE("a tenant whose writes fill its part of the budget keeps no other tenant from writing") {
  actors::directory_options options;
  options.tenant_undurable_bytes_max = 100'000;
  stepped_service service(options);
  const auto greedy = service.make_session("greedy"), greedy_too = service.make_session("greedy"),
             other = service.make_session("other");
  service.pool.answers_at_once = false;
  const std::string large(40'000, 'x');
  REQUIRE(ask(service, append_of(greedy, {message(large)})));
  REQUIRE(ask(service, append_of(greedy, {message(large)})));
  const auto refused = ask(service, append_of(greedy, {message(large)}));
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::overloaded);
  CHECK(refused.failure().retry_after);
  CHECK(refusal(service, append_of(greedy_too, {message(large)})) == error_code::overloaded);
  CHECK_FALSE(refusal(service, append_of(other, {message(large)})));
  service.heal();
  CHECK_FALSE(refusal(service, append_of(greedy, {message(large)})));
}

TEST_CASE("bytes that a caller has reserved of all count for its tenant too") {
  actors::directory_options options;
  options.tenant_undurable_bytes_max = 100'000;
  stepped_service service(options);
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  const auto append = [&] {
    auto request = append_of(session, {message(std::string(60'000, 'x'))});
    request.reservation = byte_reservation::take(service.budget, 80'000);
    return refusal(service, request);
  };
  CHECK_FALSE(append());
  CHECK(append() == error_code::overloaded);
  CHECK(service.budget->used_bytes() < 100'000); // what was reserved for the refused one is given back
}

TEST_CASE("what waits for a turn is reserved while it waits") {
  stepped_service service;
  const auto session = service.make_session();
  start(service, session);
  service.steps.advance(1s);
  CHECK(service.budget->used_bytes() == 0);
  std::vector<pending_answer<granted_turn>> waiting;
  for (int i = 0; i < 64; ++i) {
    start_turn request;
    request.session = session;
    request.events = {message(std::string(2'000'000, 'x'))};
    waiting.push_back(begin(service, request));
  }
  const auto fit = service.budget->bytes_max() / 2'000'000;
  CHECK(unanswered(waiting) == fit);
  CHECK(service.budget->used_bytes() >= fit * 2'000'000);
  CHECK(code_of(waiting.back()) == error_code::overloaded);
  service.steps.advance(31s, 1s); // nobody waits any more
  CHECK(unanswered(waiting) == 0);
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("changes of a session count against what of it may be undurable, as its events do") {
  actors::directory_options options;
  options.session_undurable_bytes_max = 1'000'000;
  stepped_service service(options);
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  std::vector<pending_answer<session_record>> changes;
  for (int i = 0; i < 100; ++i) {
    update_session request;
    request.session = session;
    request.metadata = "{\"a\":\"" + std::string(60'000, 'x') + "\"}";
    changes.push_back(begin(service, request));
  }
  CHECK(service.budget->used_bytes() <= 1'000'000);
  CHECK(unanswered(changes) >= 10);
  CHECK(code_of(changes.back()) == error_code::overloaded);
}

TEST_CASE("an append that could never fit is too large, not overloaded") {
  actors::directory_options options;
  options.session_undurable_bytes_max = 10'000;
  stepped_service service(options);
  const auto session = service.make_session();
  CHECK(refusal(service, append_of(session, {message(std::string(20'000, 'x'))})) == error_code::payload_too_large);
}

TEST_CASE("repeats that wait to be durable are bounded") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  std::vector<pending_answer<appended>> waiting;
  auto request = append_of(session, {message("a")}, idempotency{"k", "p"});
  request.wanted = durability::durable;
  for (std::size_t i = 0; i < limits::durable_waiters_per_session_max + 5; ++i)
    waiting.push_back(begin(service, request));
  CHECK(unanswered(waiting) == limits::durable_waiters_per_session_max);
  CHECK(code_of(waiting.back()) == error_code::overloaded);
}

TEST_CASE("an event's short texts are bounded, so that an index can hold them") {
  stepped_service service;
  const auto session = service.make_session();
  const auto refused = [&](auto set) {
    auto input = message("x", message_role::assistant);
    set(input);
    return refusal(service, append_of(session, {input}));
  };
  const std::string long_text(2000, 'x');
  CHECK(refused([&](event_input& input) { input.author = long_text; }) == error_code::payload_too_large);
  CHECK(refused([&](event_input& input) { input.source = long_text; }) == error_code::payload_too_large);
  CHECK(refused([&](event_input& input) { input.trace_id = long_text; }) == error_code::payload_too_large);
  CHECK(refused([&](event_input& input) { input.tool_call_id = long_text; }) == error_code::payload_too_large);
  CHECK(refused([&](event_input& input) { input.tool_call_ids = {"a", long_text}; }) == error_code::payload_too_large);
  CHECK(refused([&](event_input& input) { input.tool_call_ids.assign(1001, "a"); }) == error_code::payload_too_large);
  CHECK_FALSE(refused([&](event_input& input) { input.tool_call_ids.assign(1000, "a"); }));
}

TEST_CASE("an offset behind the end of every log finds nothing, however large it is") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  const auto last = std::numeric_limits<event_offset>::max();
  for (const auto order : {history_order::ascending, history_order::descending}) {
    auto request = history_of(session);
    request.after = last;
    request.order = order;
    CHECK(ask(service, request).value().messages.empty());
  }
  CHECK(ask(service, events_of(session, last)).value().events.empty());
}
