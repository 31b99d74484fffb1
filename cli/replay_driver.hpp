// The replay driver: appends conversations to sessions of their own, many at a time.
//
// Accepts
//   begin_replay  -> append_outcome_ptr  once; then it ends. Always answered: when all is done and flushed, when
//   stopped,
//                                      or when nothing has moved for no_progress_max.
//   stop_replay    begins nothing more, waits for what is under way, flushes, answers; bounded by shutdown_timeout.
// and retry_slot, retry_flush, watch_replay from itself.
// Asks the transcript actor for one conversation at a time, and the directory for everything else, each request with
//   a timeout. Before a send it reserves the bytes; if there are none left, or the answer is overloaded or
//   database_unavailable, the same request is sent again after the time told.
// Ordering: the requests of one conversation one after the other; conversations in any order.
// A request whose outcome is unknown is not repeated, since it might be written twice: the conversation is given up
//   and named.
// State it owns: the conversations in flight, their number and bytes bounded, and the ids of the sessions made.
// Death: with whoever it is linked to. If the directory is gone, its requests fail, and with them the conversations.
#pragma once

#include "cli/replay_plan.hpp"
#include "cli/transcript_actor.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <vector>

namespace colloquy::cli {

struct begin_replay {};
struct retry_slot {
  std::size_t slot = 0;
};
struct retry_flush {};
struct watch_replay {};

} // namespace colloquy::cli

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::begin_replay)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::retry_slot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::retry_flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::watch_replay)

namespace colloquy::cli {

using replay_driver_actor =
    caf::typed_actor<caf::replies_to<begin_replay>::with<append_outcome_ptr>, caf::reacts_to<stop_replay>>;
using replay_driver_internal =
    replay_driver_actor::extend<caf::reacts_to<retry_slot>, caf::reacts_to<retry_flush>, caf::reacts_to<watch_replay>>;

class replay_driver : public replay_driver_internal::base {
public:
  replay_driver(caf::actor_config& config, directory_actor directory, std::shared_ptr<byte_budget> budget,
                transcript_actor transcripts, replay_plan plan);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;

  /// A conversation in flight.
  struct running {
    std::shared_ptr<const conversation> text; ///< null: the slot is free
    std::size_t session_index = 0;
    std::size_t copy = 0;
    session_key session;
    bool made = false;
    turn_id turn;
    std::size_t step = 0; ///< the next to be sent
  };

  // What comes next
  void fill();
  void read_next();
  void take(const transcript_reader::item& item);
  void begin();
  void advance(std::size_t slot);
  void end_conversation(std::size_t slot);

  // Requests
  void make_session(std::size_t slot);
  void send_step(std::size_t slot);
  std::shared_ptr<const byte_reservation> reserve(std::size_t slot, const std::vector<event_input>& events);
  template <class Answer, class Request, class Accept>
  void ask(std::size_t slot, Request request, Accept accept);
  void accept_step(std::size_t slot);
  void retry_or_fail(std::size_t slot, const error& why);
  void retry_later(std::size_t slot, const error& why);
  void fail_conversation(std::size_t slot, const std::string& why);

  // The end
  void stop();
  void finish_if_done();
  void send_flush();
  void on_flushed(const result<flushed>& answer);
  void watch();
  void answer();

  directory_actor directory_;
  std::shared_ptr<byte_budget> budget_;
  transcript_actor transcripts_;
  const replay_plan plan_;
  std::shared_ptr<append_outcome> outcome_ = std::make_shared<append_outcome>();
  caf::typed_response_promise<append_outcome_ptr> answer_;
  std::vector<running> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t running_ = 0;
  std::size_t running_bytes_ = 0;
  std::shared_ptr<const conversation> current_; ///< whose copies are begun next
  std::size_t copies_begun_ = 0;
  bool reading_ = false;
  bool all_read_ = false;
  bool stopping_ = false;
  bool flushing_ = false;
  bool answered_ = false;
  time_point stop_deadline_ = time_point::max();
  time_point last_progress_;
  std::optional<time_point> first_append_;
  std::optional<error> last_retried_;
};

} // namespace colloquy::cli
