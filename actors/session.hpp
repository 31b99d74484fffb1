// The session actor: one conversation. It alone gives out the offsets of its log and orders its turns.
//
// Accepts (from the directory, on behalf of callers; see messages/requests.hpp for fields and errors)
//   create_session -> result<session_record>  first message of a session that is being made; answered when durable
//   get_session    -> result<session_record>
//   append_events  -> result<appended>        accepted at once, or when durable
//   start_turn     -> result<granted_turn>    accepted
//   end_turn       -> result<turn_record>     accepted; counters change in the same transaction
//   go_to_sleep    -> sleep_answer            asleep only if nothing is undurable, running or waited for
//   resend_undurable -> resent                after a writer's death
// and written, creation_outcome, write_refused from the writer.
// Waking: unless it is being made it reads its row and the end of its log first; requests that come meanwhile wait, in
//   a bounded queue. A turn that was running when the last service crashed is closed as lost.
// Ordering: requests are handled one at a time in order of arrival; a write reaches the writer before its answer
// leaves. Durability: every write is kept until `written`; a durable offset covers all below it. End: a session that
// does not exist or could not be made answers what it has, says session_finished to the directory
//   and ends when that says go_to_sleep, so that no request is in its mailbox then.
// Failure: after write_refused it answers everything with internal and keeps what was not written, which it does not
//   send again.
// State it owns: the record, the running turn, undurable writes, callers who wait for durability.
// Death: everything waiting is answered internal. What the writer has, it still writes; the directory lets the next
//   incarnation wake only behind that.
#pragma once

#include "actors/session_interface.hpp"
#include "messages/byte_budget.hpp"
#include "messages/clock.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace colloquy::actors {

/// What all sessions of a service share.
struct session_environment {
  wall_clock now = system_time;
  std::shared_ptr<byte_budget> budget;
  std::size_t session_undurable_bytes_max = std::size_t{32} << 20;
  std::size_t waiting_requests_max = 1000; ///< while a session wakes
  std::chrono::milliseconds request_timeout{30'000};
  supervisor_actor supervisor;
  session_owner owner; ///< is told when a session has come to its end
};

struct session_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_tick)

namespace colloquy::actors {

using session_internal = session_actor::extend<caf::reacts_to<session_tick>>;

class session : public session_internal::base {
public:
  enum class origin { to_be_made, stored };

  session(caf::actor_config& config, session_key key, origin from, writer_actor writer,
          std::shared_ptr<const session_environment> environment);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using record_promise = caf::typed_response_promise<result<session_record>>;
  using append_promise = caf::typed_response_promise<result<appended>>;
  using turn_promise = caf::typed_response_promise<result<turn_record>>;
  using grant_promise = caf::typed_response_promise<result<granted_turn>>;

  enum class phase { waking, making, awake, failed };

  struct durable_waiter {
    std::uint64_t number; ///< of the write
    append_promise answer;
    appended reached;
    time_point deadline;
  };

  struct creation {
    record_promise answer;
    time_point deadline;
  };

  // Lifecycle (session.cpp)
  record_promise make(create_session& request);
  void wake();
  void on_stored(const db::unit_outcome& outcome);
  void on_creation(const creation_outcome& outcome);
  void on_refused(const write_refused& refusal);
  error name_is_taken() const;
  void fail(error why);
  void finish(error why);
  void do_get(record_promise& answer, get_session& request);
  void run_waiting();
  void schedule_tick();
  void on_tick();
  sleep_answer sleep();

  template <class Value>
  static void reply(caf::typed_response_promise<result<Value>>& answer, std::type_identity_t<result<Value>> value) {
    answer.deliver(std::move(value));
  }

  /// Answers a request now, or once the session is awake.
  template <class Value, class Request>
  caf::typed_response_promise<result<Value>>
  handle(Request& request, void (session::*work)(caf::typed_response_promise<result<Value>>&, Request&)) {
    auto answer = make_response_promise<result<Value>>();
    if (phase_ == phase::awake) {
      (this->*work)(answer, request);
    } else if (phase_ == phase::failed) {
      answer.deliver(result<Value>(*failure_));
    } else if (waiting_.size() >= environment_->waiting_requests_max) {
      answer.deliver(result<Value>(error{error_code::overloaded, "too many requests wait for this session to wake",
                                         std::chrono::milliseconds{100}}));
    } else {
      waiting_.push_back([this, answer, work, held = std::move(request)]() mutable {
        if (failure_)
          answer.deliver(result<Value>(*failure_));
        else
          (this->*work)(answer, held);
      });
    }
    return answer;
  }

  // Writing (session_writes.cpp)
  void do_append(append_promise& answer, append_events& request);
  void do_begin_turn(grant_promise& answer, start_turn& request);
  void do_finish_turn(turn_promise& answer, end_turn& request);
  void close_lost_turn();
  std::optional<error> why_not_writable() const;
  bool is_running(turn_id turn) const;
  /// The reservation under which the events may be taken: the one given if it is large enough, else one of its own.
  result<std::shared_ptr<const byte_reservation>> admit(const std::vector<event_input>& events,
                                                        const std::shared_ptr<const byte_reservation>& given,
                                                        std::size_t own_bytes) const;
  std::shared_ptr<db::session_write> new_write(std::shared_ptr<const byte_reservation> reservation);
  void add_event(db::session_write& write, event_input&& input, turn_id turn);
  void add_events(db::session_write& write, std::vector<event_input>& events, turn_id turn);
  void add_turn(db::session_write& write, const turn_record& turn);
  void send_write(std::shared_ptr<db::session_write> write);
  void on_written(const written& news);
  resent resend(const resend_undurable& request);

  const session_key key_;
  writer_actor writer_;
  std::shared_ptr<const session_environment> environment_;
  phase phase_;
  session_record record_;
  std::optional<turn_record> last_turn_;
  std::uint64_t last_number_ = 0;
  std::size_t undurable_bytes_ = 0;
  std::deque<db::session_write_ptr> undurable_;
  std::vector<durable_waiter> durable_waiters_; // by number, rising
  std::deque<std::function<void()>> waiting_;   // requests, while it wakes
  std::optional<creation> making_;
  std::optional<error> failure_;
  bool tick_scheduled_ = false;
};

} // namespace colloquy::actors
