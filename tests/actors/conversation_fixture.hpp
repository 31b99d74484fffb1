// What the tests of sessions have in common: asking on stepped time, and short ways to say what is asked.
#pragma once

#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

using texts = std::vector<std::string>;

template <class Request>
pending_answer<typename Request::reply> begin(stepped_service& service, Request request) {
  auto answer = service.steps.ask<typename Request::reply>(service.directory, std::move(request));
  service.steps.run();
  return answer;
}

template <class Request>
result<typename Request::reply> ask(stepped_service& service, Request request) {
  auto answer = begin(service, std::move(request));
  if (!*answer)
    return error{error_code::deadline_exceeded, "no answer yet"};
  return **answer;
}

/// Nothing if it succeeded, or if there is no answer yet.
template <class Value>
std::optional<error_code> code_of(const pending_answer<Value>& answer) {
  return *answer && !**answer ? std::optional((*answer)->failure().code) : std::nullopt;
}

template <class Request>
std::optional<error_code> refusal(stepped_service& service, Request request) {
  auto answer = ask(service, std::move(request));
  return answer ? std::nullopt : std::optional(answer.failure().code);
}

inline create_session creation(std::optional<std::string> external_id = std::nullopt) {
  create_session request;
  request.tenant = tenant_id::parse("acme").value();
  request.user_id = "ada";
  request.external_id = std::move(external_id);
  return request;
}

inline event_input message(std::string data, message_role role = message_role::user) {
  event_input input;
  input.role = role;
  input.data = std::move(data);
  return input;
}

inline append_events append_of(const session_key& session, std::vector<event_input> inputs,
                               std::optional<idempotency> repeat = std::nullopt) {
  append_events request;
  request.session = session;
  request.events = std::move(inputs);
  request.repeat = std::move(repeat);
  return request;
}

/// Messages named by their offset, each in an append of its own.
inline void append_numbered(stepped_service& service, const session_key& session, int from, int count) {
  for (int i = from; i < from + count; ++i)
    REQUIRE(ask(service, append_of(session, {message(std::to_string(i))})));
}

inline turn_record start(stepped_service& service, const session_key& session, turn_policy policy = {}) {
  start_turn request;
  request.session = session;
  request.policy = policy;
  return ask(service, request).value().turn;
}

inline end_turn end_of(const session_key& session, turn_id turn, turn_status outcome = turn_status::completed) {
  end_turn request;
  request.session = session;
  request.turn = turn;
  request.outcome = outcome;
  return request;
}

inline read_history history_of(const session_key& session) {
  read_history request;
  request.session = session;
  return request;
}

inline read_events events_of(const session_key& session, event_offset after = -1) {
  read_events request;
  request.session = session;
  request.after = after;
  return request;
}

inline texts data_of(const std::vector<event>& events) {
  texts out;
  for (const auto& entry : events)
    out.push_back(entry.data);
  return out;
}

/// The numbers from..through as texts, or back from the larger one.
inline texts numbers(int from, int through) {
  texts out;
  for (int i = from; from <= through ? i <= through : i >= through; from <= through ? ++i : --i)
    out.push_back(std::to_string(i));
  return out;
}

/// Of sessions that keep almost nothing in memory, so that reads cross the seam to the database.
inline actors::directory_options small_tails(std::size_t bytes = 3000) {
  actors::directory_options options;
  options.tail_bytes_max = bytes;
  return options;
}

/// Of sessions that are gone from memory soon.
inline actors::directory_options short_idle() {
  actors::directory_options options;
  options.session_idle_timeout = std::chrono::seconds{1};
  return options;
}

/// It leaves memory, and its cache with it.
inline void passivate(stepped_service& service) {
  service.steps.advance(std::chrono::seconds{4}, std::chrono::milliseconds{250});
}

inline void kill_session(stepped_service& service, const session_key& session) {
  REQUIRE(service.pool.woken(session.id)); // one that was made, not woken, is not known to the test
  caf::anon_send_exit(service.pool.woken(session.id), caf::exit_reason::kill);
  service.steps.run();
}

/// The service dies with all that it holds; another one begins on the same database, and may know that it is dead.
inline void crash(stepped_service& service, actors::directory_options options = {}, bool is_known_dead = true) {
  caf::anon_send_exit(service.directory, caf::exit_reason::kill);
  service.steps.run();
  options.now = service.steps.clock();
  options.budget = service.budget;
  options.writing.batch_timeout = options.writing.barrier_timeout = std::chrono::seconds{30};
  options.owning.has_ended = [is_known_dead](const db::process_place&) { return is_known_dead; };
  service.directory = caf::actor_cast<directory_actor>(
      service.steps.system().spawn<actors::directory>(service.pool.spawn(service.steps.system()), std::move(options)));
  service.steps.run();
}

/// The seed of a random test: printed, and given back by COLLOQUY_TEST_SEED.
struct random_runs {
  explicit random_runs(unsigned usual) {
    const char* given = std::getenv("COLLOQUY_TEST_SEED");
    first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    const char* wanted = std::getenv("COLLOQUY_TEST_HISTORIES");
    count = wanted ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : given ? 1 : usual;
  }
  unsigned first = 0;
  unsigned count = 0;
};

} // namespace colloquy::test
