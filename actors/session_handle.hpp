// A session and a turn as values, for those who ask for much of one: the key, and the way to it through the directory.
// They own nothing and may be copied, kept and sent; the session's actor may come and go meanwhile.
//
// From an actor each call is a request, to be awaited as CAF's are:
//     session.append(self, {message}).then([](result<appended>& done) { ... }, [](caf::error& gone) { ... });
// and from a thread outside of actors, where blocking is allowed, `self` is a caf::scoped_actor, and `receive` does
// what `then` does here; or ask(system, ...) below gives the answer itself.
#pragma once

#include "messages/directory_interface.hpp"
#include "messages/error.hpp"

#include <caf/actor_system.hpp>
#include <caf/error.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/sec.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace colloquy {

/// Longer than the service itself takes to answer anything that does not wait for others.
inline constexpr std::chrono::seconds ask_limit{60};

/// Asks any of the service's actors and blocks until the answer, `limit` at most: not from within an actor. Errors: the
/// answer's; deadline_exceeded (what was asked may still be done), internal (nobody is there any more).
template <class Actor, class Request>
result<typename Request::reply> ask(caf::actor_system& system, const Actor& whom, Request request,
                                    std::chrono::milliseconds limit = ask_limit) {
  using outcome = result<typename Request::reply>;
  outcome answer{error{error_code::internal, "nobody answers"}};
  caf::scoped_actor self{system};
  self->request(whom, limit, std::move(request))
      .receive([&](outcome& given) { answer = std::move(given); },
               [&](const caf::error& failed) {
                 answer = failed == caf::sec::request_timeout
                              ? error{error_code::deadline_exceeded, "no answer within the time given"}
                              : error{error_code::internal, "who was asked has ended"};
               });
  return answer;
}

/// A turn of a session.
class turn_handle {
public:
  turn_handle(directory_actor directory, session_key session, turn_id id)
    : directory_(std::move(directory))
    , session_(std::move(session))
    , id_(id) {}

  const session_key& session() const noexcept { return session_; }
  turn_id id() const noexcept { return id_; }

  /// Any request about a turn: the session and the turn are filled in.
  template <class Self, class Request>
  auto ask(const Self& self, Request request, std::chrono::milliseconds limit = ask_limit) const {
    request.session = session_;
    request.turn = id_;
    return self->request(directory_, limit, std::move(request));
  }
  template <class Self>
  auto append(const Self& self, std::vector<event_input> events) const {
    append_events wanted;
    wanted.events = std::move(events);
    return ask(self, std::move(wanted));
  }
  template <class Self>
  auto write_delta(const Self& self, std::string text) const {
    post_delta wanted;
    wanted.text = std::move(text);
    return ask(self, std::move(wanted));
  }
  template <class Self>
  auto renew(const Self& self, std::chrono::seconds lease = limits::lease_default) const {
    renew_turn wanted;
    wanted.lease = lease;
    return ask(self, std::move(wanted));
  }
  template <class Self>
  auto complete(const Self& self, std::vector<event_input> messages, token_usage usage = {}) const {
    end_turn wanted;
    wanted.events = std::move(messages);
    wanted.usage = usage;
    return ask(self, std::move(wanted));
  }
  template <class Self>
  auto fail(const Self& self, std::string reason) const {
    end_turn wanted;
    wanted.outcome = turn_status::failed;
    wanted.reason = std::move(reason);
    return ask(self, std::move(wanted));
  }
  template <class Self>
  auto cancel(const Self& self) const {
    end_turn wanted;
    wanted.outcome = turn_status::cancelled;
    return ask(self, std::move(wanted));
  }

private:
  directory_actor directory_;
  session_key session_;
  turn_id id_;
};

/// A session.
class session_handle {
public:
  session_handle(directory_actor directory, session_key key)
    : directory_(std::move(directory))
    , key_(std::move(key)) {}

  const session_key& key() const noexcept { return key_; }
  turn_handle turn(turn_id id) const { return {directory_, key_, id}; }

  /// Any request about a session (messages/requests.hpp): the session is filled in.
  template <class Self, class Request>
  auto ask(const Self& self, Request request, std::chrono::milliseconds limit = ask_limit) const {
    request.session = key_;
    return self->request(directory_, limit, std::move(request));
  }
  template <class Self>
  auto get(const Self& self) const {
    return ask(self, get_session{});
  }
  template <class Self>
  auto append(const Self& self, std::vector<event_input> events, durability wanted = durability::accepted) const {
    append_events request;
    request.events = std::move(events);
    request.wanted = wanted;
    return ask(self, std::move(request));
  }
  /// The newest messages that fit.
  template <class Self>
  auto history(const Self& self, std::int64_t token_budget) const {
    read_history request;
    request.token_budget = token_budget;
    return ask(self, std::move(request));
  }
  /// Durable events after an offset.
  template <class Self>
  auto read(const Self& self, event_offset after = -1, std::size_t limit = limits::page_default) const {
    read_events request;
    request.after = after;
    request.limit = limit;
    return ask(self, std::move(request));
  }
  /// A turn that is the asker's; its time to wait is added to that of the answer.
  template <class Self>
  auto start_turn(const Self& self, colloquy::start_turn request) const {
    const auto limit = request.wait + ask_limit;
    return ask(self, std::move(request), limit);
  }

private:
  directory_actor directory_;
  session_key key_;
};

} // namespace colloquy
