// A service on stepped time and on the model of the database, its sessions beside their references, and all that can
// befall them. What is answered goes into the reference at the moment when it is.
#pragma once

#include "tests/actors/model/reference.hpp"
#include "tests/support/stepped_service.hpp"

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::model {

/// Somebody who listens to a session, over as many subscriptions as that takes.
struct listener {
  std::size_t session = 0;
  reading got{};
  bool is_on = false;
  bool is_slow = false; ///< does not say what it has taken
  bool is_over = false; ///< the session is gone
  subscription_id id = 0;
  caf::actor self{};
};

/// A write and its session.
struct write_place {
  std::size_t session = 0;
  std::size_t write = 0;
};

class world {
public:
  world();

  template <class Request, class Take>
  void ask(std::string what, Request request, Take take) {
    const auto number = ++last_asked_;
    unanswered_.emplace(number, std::move(what));
    using reply = typename Request::reply;
    service.steps.system().spawn([this, number, take = std::move(take), request = std::move(request),
                                  to = service.directory](caf::event_based_actor* self) mutable {
      self->request(to, std::chrono::seconds{3600}, std::move(request))
          .then([this, number, take](result<reply>& value) mutable { answered(number, [&] { take(value); }); },
                [this, number, take, self](const caf::error& failed) mutable {
                  result<reply> none{error{error_code::internal, "caf: " + self->system().render(failed)}};
                  answered(number, [&] { take(none); });
                });
    });
  }
  /// The same for what is written as a whole: the reference learns whether it was. `place` tells the offset that an
  /// answer names; `then` sees it after that.
  template <class Request, class Place, class Then>
  void ask_write(std::string what, Request request, write_place at, Place place, Then then) {
    sessions[at.session].ask(at.write);
    ask(std::move(what), std::move(request), [this, at, place, then](const auto& answer) {
      note_answer(at, answer ? nullptr : &answer.failure(), answer ? place(*answer) : std::nullopt);
      then(answer);
    });
  }

  asked_write& write(write_place at) { return sessions[at.session].write(at.write); }
  /// What was asked and has no answer yet.
  const std::map<std::uint64_t, std::string>& unanswered() const { return unanswered_; }
  std::size_t asked() const { return static_cast<std::size_t>(last_asked_); }
  /// The error may be one of what was asked of that session.
  void check_error(std::size_t session, const error& why) const;
  /// Throws what an answer has shown not to hold.
  void look() const;
  void note(const std::function<void()>& check);

  std::size_t add_session(session_key key, lines shared);
  /// As the database has it now; without what a fork shares.
  lines own_log(const reference_session& of) const;
  lines whole_log(const reference_session& of) const;
  stored_row row_of(const reference_session& of) const;
  bool has_row(const reference_session& of) const;
  timestamp now() const { return service.database->now(); }
  /// From now on nothing is looked at any more: what follows is the end of the service.
  void close();

  void kill_session(std::size_t index);
  void kill_writer();
  void subscribe(std::size_t index);
  void unsubscribe(std::size_t index);
  void take_up(std::size_t index); ///< says what it has taken

  std::deque<reference_session> sessions;
  std::deque<listener> listeners;
  std::set<turn_id> hidden; ///< of sessions that were looked at

private:
  static actors::directory_options options();
  void answered(std::uint64_t number, const std::function<void()>& take);
  void note_answer(write_place at, const error* problem, std::optional<event_offset> place);
  void hear(std::size_t index, event_offset after, const events_arrived& news);
  void hear_end(std::size_t index, const subscription_ended& told);

  std::map<std::uint64_t, std::string> unanswered_;
  std::uint64_t last_asked_ = 0;
  std::optional<std::string> problem_;
  bool is_closed_ = false;

public:
  test::stepped_service service; // ends first
};

} // namespace colloquy::model
