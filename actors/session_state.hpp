// What a session actor holds: what it knows while it is awake, and what is under way. The second is there only while
// something is.
#pragma once

#include "actors/session_environment.hpp"
#include "actors/session_status.hpp"
#include "actors/tenant_account.hpp"
#include "db/session_queries.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_response_promise.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace colloquy::actors {

/// While something is under way a session looks at itself this often at least, and once more when nothing is, to forget
/// it; earlier where a deadline is nearer.
inline constexpr std::chrono::milliseconds tick_max{1000};

/// What is known of a session that is awake, however idle.
struct session_knowledge {
  session_record record;
  std::int64_t messages = 0; ///< in the log
  std::optional<db::turn_row> last_turn{};
  std::vector<participant> participants{};
  std::unordered_set<std::int64_t> key_hashes{}; ///< of requests that may be repeated
  bool knows_all_keys = false;                   ///< of the time that they are kept
  bool has_deleted = false;                      ///< events, from its view; which ones the database knows
};

/// Somebody who waits until a write is durable (or journaled), or refused, or until its time is up.
struct write_waiter {
  std::uint64_t number = 0;
  std::function<void(const error* problem)> done;
  caf::actor_clock::time_point deadline;
  std::variant<error, appended> when_late; // of an append its text is made when it is needed, which is hardly ever

  error late_error() const {
    const auto* reached = std::get_if<appended>(&when_late);
    return reached ? late_append(*reached) : std::get<error>(when_late);
  }
};

/// The same request again, while the first one waits.
struct repeated_turn {
  promise_of<start_turn> answer;
  caf::actor_addr asker{};
  std::optional<std::string> as_user{};
};

struct waiting_turn {
  promise_of<start_turn> answer;
  start_turn request; ///< its id is set
  caf::actor_addr asker{};
  caf::actor_clock::time_point deadline;
  std::vector<repeated_turn> repeats{};
};

/// A turn that is promised to somebody whose history is still being read. No other turn starts meanwhile.
struct granting_turn {
  waiting_turn whose;
  std::vector<db::event_block> since{}; ///< what was written since its history was begun
  bool is_let_go = false;               ///< nobody waits for it any more; whoever did is answered
  std::unique_ptr<counted_turn> counted{};
};

struct waiting_reader {
  promise_of<read_events> answer;
  read_events request;
  caf::actor_clock::time_point deadline;
};

struct subscription {
  subscription_id id = 0;
  event_subscriber subscriber;
  std::optional<std::string> as_user{};
  event_offset sent = -1;                                       ///< through here
  event_offset taken = -1;                                      ///< through here
  std::deque<std::pair<event_offset, std::size_t>> under_way{}; ///< what was sent: through where, how many bytes
  std::size_t bytes_under_way = 0;
  bool is_reading = false;                    ///< what is stored
  turn_id delta_turn{};                       ///< whose text so far it has got
  std::deque<std::size_t> deltas_under_way{}; ///< their bytes
  std::size_t delta_bytes_under_way = 0;
  std::uint64_t deltas_taken = 0;
  bool misses_deltas = false; ///< some were left out since it took all that it got
};

/// Who asked for the session that is being made.
struct making_session {
  promise_of<create_session> answer;
  caf::actor_clock::time_point deadline;
};

/// A journal's records, while the session wakes.
struct replaying_session {
  caf::typed_response_promise<result<replayed>> answer;
  replay_writes records;
  bool lease_goes_on = false;               ///< of the turn that is stored as running
  std::size_t looked_up = 0;                ///< of the records
  std::unordered_set<std::size_t> stored{}; ///< those whose events are in the database
};

/// What is under way in a session.
struct session_activity {
  std::optional<replaying_session> replaying;
  std::optional<making_session> making;
  std::deque<db::session_write_ptr> undurable;
  std::size_t undurable_bytes = 0;
  std::deque<write_waiter> durable_waiters;   // by number, rising
  std::deque<write_waiter> journaled_waiters; // by number, rising
  std::uint64_t journaled_through = 0;
  std::deque<std::function<void()>> waiting; // requests, while it wakes or reads its keys
  std::map<std::pair<std::string, std::string>, std::vector<std::function<void()>>> keys_looked_up; // and their twins
  std::deque<waiting_turn> turn_queue;
  std::deque<turn_record> cancelled_in_queue; // of those who may ask again: as many as may wait
  std::optional<granting_turn> granting;
  std::vector<turn_id> hidden_turns;               // rolled back while it is awake
  std::vector<event_range> deleted;                // so far as the database may not yet have heard of it
  std::uint64_t hidings = 0;                       // rollbacks and deletions while it is awake
  caf::actor_addr holder{};                        // of the running turn, if it ends with that
  std::unique_ptr<counted_turn> counted;           // while a turn runs
  std::string delta_text;                          // of the running turn, since its last message
  std::shared_ptr<const std::string> delta_shared; // a copy of it as it is now, once somebody wanted one
  bool delta_cut = false;
  std::deque<waiting_reader> readers;
  std::map<subscription_id, subscription> listeners;
  std::set<std::pair<caf::actor_id, subscription_id>> listeners_by_actor;
  std::optional<std::optional<event>> first_message; // of the log, once it was read; its data only if it is a system's
  std::optional<std::int64_t> hidden_messages; // in the log, by turns that were rolled back; none: not counted yet
  std::map<std::uint64_t, std::function<void(const error&)>> at_end; // said if the actor ends before they are erased
  std::uint64_t last_at_end = 0;
  std::size_t reads_under_way = 0;
  std::size_t others_under_way = 0; // forks, erasure: no sleep meanwhile
};

} // namespace colloquy::actors
