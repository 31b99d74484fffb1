// Between a thread of coroutines and the actors: what is asked leaves as a CAF request, the answer resumes who asked,
// in the thread that runs the io_context. No thread waits, and no lock is held while anything is done.
//
// The requests carry no timeout of CAF's own, whose clock would keep each for as long as it might have lasted, long
// after its answer (docs/decisions/0010). The deadline is kept here instead: at it the asker is told, and an answer
// that still comes is dropped.
#pragma once

#include "gateway/loop.hpp"
#include "messages/error.hpp"
#include "messages/subscription_interface.hpp"

#include <boost/asio/io_context.hpp>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_companion.hpp>
#include <caf/actor_system.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::gateway {

using ask_number = std::uint64_t; ///< 0: none

/// Of one thread: everything but what is said otherwise is called in the thread that runs the io_context.
class asker {
public:
  using clock = std::chrono::steady_clock;

  /// `on_note` hears what actors send without being asked: events of subscriptions.
  asker(caf::actor_system& system, boost::asio::io_context& context, std::function<void(caf::message)> on_note);
  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;
  /// The io_context does not run any more.
  ~asker();

  /// The answer, or why there is none: deadline_exceeded at the deadline, internal if the actor is gone, overloaded if
  /// it was cancelled. `number`, if given, is set before anything is waited for: for cancel().
  template <class Reply, class Handle, class Request>
  task<result<Reply>> ask(const Handle& whom, Request request, clock::duration limit, ask_number* number = nullptr) {
    auto answer = co_await ask_message(caf::actor_cast<caf::strong_actor_ptr>(whom),
                                       caf::make_message(std::move(request)), limit, number);
    if (answer.template match_elements<result<Reply>>())
      co_return std::move(answer.template get_mutable_as<result<Reply>>(0));
    co_return why_not(answer);
  }

  /// Not answered.
  template <class Handle, class Note>
  void tell(const Handle& whom, Note note) {
    tell_message(caf::actor_cast<caf::strong_actor_ptr>(whom), caf::make_message(std::move(note)));
  }

  /// Who waits for it is told at once that it is over; nothing if nobody waits any more.
  void cancel(ask_number number);
  void cancel_all();

  /// As whom this thread subscribes.
  event_subscriber subscriber() const { return caf::actor_cast<event_subscriber>(companion_); }

  std::size_t under_way() const noexcept { return pending_.size(); }

private:
  struct waiting {
    std::function<void(caf::message)> resume;
    clock::time_point deadline;
  };

  task<caf::message> ask_message(caf::strong_actor_ptr whom, caf::message request, clock::duration limit,
                                 ask_number* number);
  void tell_message(const caf::strong_actor_ptr& whom, caf::message note);
  static error why_not(const caf::message& answer);
  void take(caf::mailbox_element_ptr arrived); // any thread
  void drain();
  void resume(ask_number number, caf::message answer);
  void watch_deadlines();

  boost::asio::io_context& context_;
  std::function<void(caf::message)> on_note_;
  caf::actor companion_;
  caf::actor_companion* self_ = nullptr; // companion_'s
  std::unordered_map<ask_number, waiting> pending_;
  loop_timer deadlines_;
  bool watches_deadlines_ = false;
  std::vector<caf::mailbox_element_ptr> taken_; // what drain() works on

  std::mutex mutex_; // of arrived_ alone
  std::vector<caf::mailbox_element_ptr> arrived_;
};

} // namespace colloquy::gateway
