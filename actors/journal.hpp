// The journal: has on local disk what sessions have accepted and PostgreSQL has not got yet, so that it survives the
// death of the process.
//
// Accepts
//   journal_write    (no reply) answered to the listener by journaled, or by journal_refused if it cannot be written
//                    now; then it is kept in mind and written as soon as it can be, and journaled comes after all.
//   journal_durable  (no reply) the records are removed with the next commit, or removal_delay later.
//   journal_process  (no reply) noted with every record from now on, and in the file.
//   get_journal_users -> journal_users  the processes that were noted so.
//   journal_erase -> journal_erased when nothing of the session is left in any file. Errors: those of the file; then it
//                    is tried again until it is done, whether anybody waits or not.
//   read_journal  -> journal_page   what the last process left; a record that cannot be decoded goes to the quarantine.
//   journal_forget -> journal_forgotten, quarantine -> quarantined   for those records; on disk when answered.
//   get_journal_status -> journal_status
//   flush_journal -> journal_flushed  when all that came before is on disk or refused.
// Ordering: a session's writes are on disk in the order in which they came, without a gap: while an earlier one is
//   refused, none that is later is acknowledged. `journaled` comes once a session and commit, its numbers rising.
// Grouping: it is event-based and has a thread of its own (detached), where the disk may block it. The first write of a
//   group sends journal_commit to the back of the own mailbox; when that is its turn, everything that came while the
//   last commit was under way has been taken, and goes to disk together, up to group_records_max and group_bytes_max.
//   No timer, so a lone write does not wait for others. A loop that receives and blocks would do the same, but could
//   not answer requests by promises, nor run on stepped time.
// Bounds: bytes_max of what is on disk and about to be. A write past it is refused, and written when others have become
//   durable. Those that are refused are not copied: what is kept in mind is what the session keeps anyway.
// A failing disk: all that wait are refused, and for retry_delay nobody else is tried. Then again, the oldest first.
// State it owns: the file; per session what of it is where.
// Death: told to end, it takes what is in its mailbox, commits it, closes the file, and answers who waits. Killed, it
//   loses what it has not acknowledged.
#pragma once

#include "actors/journal_interface.hpp"
#include "db/journal_file.hpp"

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

/// To itself: write what there is.
struct journal_commit {};
/// To itself: something is due that no write has brought about.
struct journal_tick {};
/// To itself, behind what is in the mailbox: end.
struct journal_end {
  caf::error why;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_commit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_end)

namespace colloquy::actors {

struct journal_options {
  db::journal_origin origin{}; ///< until journal_process says another
  std::size_t bytes_max = std::size_t{256} << 20;
  std::size_t group_records_max = 4096;
  std::size_t group_bytes_max = std::size_t{4} << 20;
  std::chrono::milliseconds retry_delay{1000};
  std::chrono::milliseconds removal_delay{1000};
  wall_clock now = system_time;
};

using journal_internal =
    journal_actor::extend<caf::reacts_to<journal_commit>, caf::reacts_to<journal_tick>, caf::reacts_to<journal_end>>;

class journal : public journal_internal::base {
public:
  journal(caf::actor_config& config, db::journal_file file, journal_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;

  struct stored { // on disk
    std::uint64_t number = 0;
    db::journal_place place;
  };
  struct refused { // in mind, to be written as soon as that is possible
    db::session_write_ptr write;
    caf::actor_addr listener;
  };
  struct session_state { // of the session actor that wrote last
    caf::actor_id actor = 0;
    std::uint64_t durable_through = 0;
    std::size_t pending = 0; // of its writes in the group
    std::deque<stored> on_disk;
    std::deque<refused> waiting;
    bool is_queued = false; // in waiting_sessions_

    bool is_empty() const { return pending == 0 && on_disk.empty() && waiting.empty() && !is_queued; }
  };
  struct pending_write { // of the group
    db::session_write_ptr write;
    caf::actor_addr listener;
  };
  struct erasure {
    session_key session;
    promise_of<journal_erase> answer;
    bool is_answered = false; // with an error; it is tried again all the same
  };

  void take(const journal_write& request);
  void take(const journal_durable& news);
  promise_of<journal_erase> take(const journal_erase& request);
  result<journal_page> take(const read_journal& request);
  result<journal_forgotten> take(const journal_forget& request);
  result<quarantined> take(const quarantine& request);
  result<journal_status> status() const;

  session_state& state_of(const journal_write& request);
  void forget_if_empty(const session_key& session);
  void queue(session_state& state, const session_key& session);
  void add_to_group(session_state& state, db::session_write_ptr write, caf::actor_addr listener);
  bool has_room_for(const db::session_write& write) const;
  bool is_group_full() const;
  bool is_barred() const;
  void commit_soon();
  void commit();
  void write_group(bool is_first_try);
  void drop_from_group(const std::function<bool(const pending_write&)>& which);
  void on_group_written(const std::vector<db::journal_place>& places);
  void on_group_failed(const error& why, bool is_first_try);
  void write_waiting();
  void add_waiting_to_group(const session_key& session);
  void remove_in_portions();
  void carry_out_erasures();
  void on_tick();
  void schedule_tick(std::chrono::milliseconds after);
  result<journal_record> decode(db::journal_row row) const;
  void on_disk_failed(const error& why);
  void on_disk_well();
  void note_failure(const error& why);
  void tell(const caf::actor_addr& listener, session_call news);
  std::vector<db::journal_place> those_left(const std::vector<db::journal_place>& places) const;

  std::optional<db::journal_file> file_; // until the end
  const journal_options options_;
  db::journal_origin origin_;
  std::unordered_map<session_key, session_state> sessions_;
  std::vector<pending_write> group_;
  std::vector<db::journal_entry> entries_; // of the group
  std::size_t group_bytes_ = 0;
  std::vector<db::journal_place> removals_;
  std::deque<session_key> waiting_sessions_; // some have nothing any more that waits
  std::size_t waiting_ = 0;                  // writes
  std::vector<erasure> erasures_;
  time_point erase_at_{}; // not before
  bool commit_is_due_ = false;
  std::optional<time_point> tick_at_;
  std::optional<error> failing_; // as of the last try
  time_point retry_at_{};
  std::string last_error_;
  std::optional<timestamp> last_error_at_;
};

/// Of its events, if it has any.
std::optional<event_offset> first_offset(const db::session_write& write);

/// On a thread of its own. The file is the journal's from now on.
journal_actor spawn_journal(caf::actor_system& system, db::journal_file file, journal_options options);

} // namespace colloquy::actors
