// Turns on the stepped service: callers that live and die, what a log shows, and services that end and come back.
#pragma once

#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

using texts = std::vector<std::string>;
using grant_answer = pending_answer<granted_turn>;

/// Test to caller: do this, as yourself.
struct caller_job {
  std::function<void(caf::event_based_actor*)> what;
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::caller_job)

namespace colloquy::test {

/// Asks, and lives on after the answer until it dies.
class caller {
public:
  caller(caf::actor_system& system, directory_actor directory)
    : directory_(std::move(directory))
    , self_(system.spawn([](caf::event_based_actor* self) -> caf::behavior {
      return {[self](caller_job& job) { job.what(self); }};
    })) {}

  template <class Request>
  pending_answer<typename Request::reply> ask(Request request) {
    using reply = typename Request::reply;
    auto answer = std::make_shared<std::optional<result<reply>>>();
    caf::anon_send(self_, caller_job{[answer, request, to = directory_](caf::event_based_actor* self) {
                     self->request(to, std::chrono::seconds{3600}, request)
                         .then([answer](result<reply>& value) { answer->emplace(std::move(value)); },
                               [answer](const caf::error&) {
                                 answer->emplace(error{error_code::internal, "no answer"});
                               });
                   }});
    return answer;
  }
  void die() { caf::anon_send_exit(self_, caf::exit_reason::kill); }

private:
  directory_actor directory_;
  caf::actor self_;
};

template <class Value>
std::optional<error_code> code_of(const pending_answer<Value>& answer) {
  REQUIRE(*answer);
  return (*answer)->has_value() ? std::nullopt : std::optional((*answer)->failure().code);
}

inline event_input message(std::string data, message_role role = message_role::user) {
  event_input input;
  input.role = role;
  input.data = std::move(data);
  return input;
}

/// A status event as "<running 1>" or "<paused>", another by its data.
inline std::string shown(const std::string& kind, const std::string& data) {
  if (kind != "status")
    return data;
  const auto value = [&](const std::string& name) {
    const auto at = data.find('"' + name + "\":");
    if (at == std::string::npos)
      return std::string();
    const auto from = data.find_first_not_of('"', at + name.size() + 3);
    return data.substr(from, data.find_first_of("\",}", from) - from);
  };
  const auto number = value("number");
  return '<' + value("status") + (number.empty() ? "" : ' ' + number) + '>';
}

/// Turns follow each other by number and never overlap, and what is written in one lies within it. The number of the
/// one that runs at the end; 0: none.
inline std::int64_t running_at_end_of(const std::vector<stored_event>& log) {
  std::int64_t started = 0;
  uuid_bytes running{};
  for (const auto& entry : log) {
    const auto turn = uuid_of(entry.rest[of_turn]);
    const auto status = entry.kind == "status" ? shown(entry.kind, entry.data) : "";
    if (status.starts_with("<running ")) {
      REQUIRE(running == uuid_bytes{});
      REQUIRE(status == "<running " + std::to_string(++started) + '>');
      REQUIRE(turn != uuid_bytes{});
      running = turn;
    } else if (status.find(' ') != std::string::npos) { // the end of a turn
      REQUIRE(running != uuid_bytes{});
      REQUIRE(status.ends_with(' ' + std::to_string(started) + '>'));
      running = {};
    } else {
      REQUIRE((turn == uuid_bytes{} || turn == running));
    }
  }
  return running == uuid_bytes{} ? 0 : started;
}

inline texts texts_of(const std::vector<event>& events) {
  texts out;
  for (const auto& entry : events)
    out.push_back(shown(std::string(to_string(entry.kind)), entry.data));
  return out;
}

/// Reads of the log go to the database once what they ask for is durable.
inline actors::directory_options without_tails() {
  actors::directory_options options;
  options.tail_bytes_max = 1;
  return options;
}

struct turns : stepped_service {
  explicit turns(actors::directory_options given = {})
    : stepped_service(given)
    , options(std::move(given))
    , session(make_session()) {}

  template <class Request>
  pending_answer<typename Request::reply> send(Request request) {
    return steps.ask<typename Request::reply>(directory, std::move(request));
  }
  template <class Request>
  result<typename Request::reply> ask(Request request) {
    auto answer = send(std::move(request));
    steps.run();
    if (!*answer)
      return error{error_code::deadline_exceeded, "no answer yet"};
    return **answer;
  }
  template <class Request>
  std::optional<error_code> refusal(Request request) {
    auto answer = ask(std::move(request));
    return answer ? std::nullopt : std::optional(answer.failure().code);
  }

  start_turn wanted(texts begins_with = {}, turn_policy policy = turn_policy::enqueue) const {
    start_turn request;
    request.session = session;
    request.policy = policy;
    for (auto& text : begins_with)
      request.events.push_back(message(std::move(text)));
    return request;
  }
  turn_record start(texts begins_with = {}) { return ask(wanted(std::move(begins_with))).value().turn; }

  end_turn ending(turn_id turn, turn_status outcome = turn_status::completed,
                  std::optional<token_usage> usage = {}) const {
    end_turn request;
    request.session = session;
    request.turn = turn;
    request.outcome = outcome;
    request.usage = usage;
    return request;
  }
  append_events saying(const std::string& text, std::optional<turn_id> turn = {}) const {
    append_events request;
    request.session = session;
    request.turn = turn;
    request.events = {message(text)};
    return request;
  }
  renew_turn renewing(turn_id turn, std::chrono::seconds lease = limits::lease_default) const {
    return {session, turn, lease, {}};
  }
  post_delta part(turn_id turn, std::string text) const {
    post_delta request;
    request.session = session;
    request.turn = turn;
    request.text = std::move(text);
    return request;
  }
  update_session status(session_status wanted_status) const {
    update_session request;
    request.session = session;
    request.status = wanted_status;
    return request;
  }

  /// Messages, as a history has them.
  texts said() {
    read_history request;
    request.session = session;
    return texts_of(ask(request).value().messages);
  }
  /// Durable events, as those who read them see them.
  texts events() {
    read_events request;
    request.session = session;
    request.limit = limits::page_events_max;
    return texts_of(ask(request).value().events);
  }
  /// Every event that the database has, hidden or not.
  texts everything() const {
    texts out;
    for (const auto& entry : database->log(session.id))
      out.push_back(shown(entry.kind, entry.data));
    return out;
  }
  session_record record() { return ask(get_session{session, {}}).value(); }
  turn_page listed() {
    list_turns request;
    request.session = session;
    return ask(request).value();
  }
  std::string stored_status(std::int64_t number) const { return database->turn_status(session.id, number); }

  /// So that its actor is known and nothing of its log is in memory.
  void sleep_and_wake() {
    steps.advance(std::chrono::seconds{1} + 2 * options.session_idle_timeout);
    record();
  }
  void kill_session() {
    const auto actor = pool.woken(session.id);
    REQUIRE(actor);
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    steps.run();
  }

  /// The service ends as it should, and another one begins.
  void restart() {
    REQUIRE(ask(flush{}));
    auto done = steps.ask<actors::given_up>(caf::actor_cast<caf::actor>(directory), actors::give_up{});
    steps.run();
    REQUIRE(*done);
    REQUIRE((*done)->has_value());
    begin_again();
  }
  /// It dies, and another one begins once the shards are free.
  void crash() { begin_again(); }

  caller new_caller() { return {steps.system(), directory}; }

  actors::directory_options options;
  session_key session;

private:
  void begin_again() {
    caf::anon_send_exit(directory, caf::exit_reason::kill);
    steps.run();
    auto next = options;
    next.now = steps.clock();
    next.budget = budget;
    next.writing.batch_timeout = next.writing.barrier_timeout = std::chrono::seconds{30};
    directory = caf::actor_cast<directory_actor>(
        steps.system().spawn<actors::directory>(pool.spawn(steps.system()), std::move(next)));
    steps.advance(std::chrono::seconds{15});
  }
};

inline actors::directory_options soon_asleep() {
  actors::directory_options options;
  options.session_idle_timeout = std::chrono::seconds{1};
  return options;
}

} // namespace colloquy::test
