// The replay checker: reads every session back and compares it with the files, which it reads again.
//
// Accepts
//   begin_check -> check_outcome  once; then it ends. Always answered, as by the driver.
//   stop_replay                    answers with what is known.
// and retry_check, watch_check from itself.
// Asks the transcript actor for one conversation at a time, and the directory for sessions and pages of events, each
//   request with a timeout; what is refused as overloaded or database_unavailable is asked again.
// Ordering: the pages of one session one after the other; sessions in any order.
// State it owns: the sessions being read, a bounded number with one page each.
// Death: with whoever it is linked to.
#pragma once

#include "cli/replay_plan.hpp"
#include "cli/replay_verify.hpp"
#include "cli/transcript_actor.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <vector>

namespace colloquy::cli {

struct begin_check {};
struct retry_check {
  std::size_t slot = 0;
};
struct watch_check {};

} // namespace colloquy::cli

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::begin_check)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::retry_check)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::watch_check)

namespace colloquy::cli {

using replay_checker_actor =
    caf::typed_actor<caf::replies_to<begin_check>::with<check_outcome>, caf::reacts_to<stop_replay>>;
using replay_checker_internal = replay_checker_actor::extend<caf::reacts_to<retry_check>, caf::reacts_to<watch_check>>;

class replay_checker : public replay_checker_internal::base {
public:
  replay_checker(caf::actor_config& config, directory_actor directory, transcript_actor transcripts, replay_plan plan,
                 append_outcome_ptr appended);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;

  /// A session that is being read.
  struct reading {
    std::shared_ptr<const conversation> text; ///< null: the slot is free
    std::size_t copy = 0;
    session_key session;
    std::optional<session_record> record;
    std::optional<log_comparison> comparing;
    event_offset last_offset = -1;
    std::size_t page_events = 0;
  };

  void fill();
  void read_next();
  void take(const transcript_reader::item& item);
  void expect(const line_place& place);
  void begin();
  void advance(std::size_t slot);
  void take_page(std::size_t slot, const event_page& page);
  void end_session(std::size_t slot);
  void give_up_session(std::size_t slot, const std::string& why);
  void free(std::size_t slot);
  void stop();
  void watch();
  void answer();

  template <class Answer, class Request, class Accept>
  void ask(std::size_t slot, Request request, Accept accept);

  directory_actor directory_;
  transcript_actor transcripts_;
  const replay_plan plan_;
  const append_outcome_ptr appended_;
  check_outcome outcome_;
  caf::typed_response_promise<check_outcome> answer_;
  std::vector<reading> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t reading_sessions_ = 0;
  std::size_t next_line_ = 0;                   ///< of those appended
  std::shared_ptr<const conversation> current_; ///< whose copies are read next
  std::size_t copies_begun_ = 0;
  bool reading_files_ = false;
  bool all_read_ = false;
  bool answered_ = false;
  time_point last_progress_;
};

} // namespace colloquy::cli
