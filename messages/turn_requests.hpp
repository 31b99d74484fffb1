// What may be asked about turns. A turn is one run of the agent in a session, under a lease in time; at most one runs.
//
// Errors as in session_requests.hpp; and session_not_active, session_expired, forbidden wherever something is written.
#pragma once

#include "messages/log_requests.hpp"

#include <string_view>

namespace colloquy {

/// What becomes of the turn that runs already.
enum class turn_policy : std::uint8_t {
  enqueue,   ///< nothing: first come, first served
  reject,    ///< nothing: the request is turn_in_progress
  interrupt, ///< it ends, and what it wrote stays
  rollback,  ///< it ends, and what it wrote is hidden
};
std::string_view to_string(turn_policy policy) noexcept;
std::optional<turn_policy> parse_turn_policy(std::string_view text) noexcept;

/// The turn that is the caller's now, and what was said before.
struct granted_turn {
  turn_record turn;
  history_page history;
};

/// Starts a turn, or waits for it: first come first served, `interrupt` and `rollback` at once. Its events are written
/// when it starts, inside it; refused or timed out, none is written. Answered when it is the caller's; if whoever asks
/// dies meanwhile, it leaves the queue; if the answer cannot be delivered, the turn is cancelled.
/// Errors: turn_in_progress (rejected, or the wait is over), overloaded (too many wait), idempotency_mismatch.
struct start_turn {
  using reply = granted_turn;
  session_key session;
  std::vector<event_input> events{};
  std::string trace_id{};
  std::shared_ptr<const byte_reservation> reservation{};
  turn_policy policy = turn_policy::enqueue;
  std::chrono::seconds lease = limits::lease_default; ///< 1 s to limits::lease_max
  std::chrono::seconds wait = limits::turn_wait_default;
  std::optional<std::int64_t> token_budget{}; ///< of the history; none: its last limits::page_default messages
  std::optional<turn_id> id{};                ///< chosen by the caller, who can then cancel while it waits
  std::optional<std::string> as_user{};
  std::optional<idempotency> repeat{};
  bool ends_with_caller = false; ///< the turn is lost when the actor that asked for it dies
};

/// The lease ends this long from now. Errors: turn_lost.
struct renew_turn {
  using reply = turn_record;
  session_key session;
  turn_id turn;
  std::chrono::seconds lease = limits::lease_default;
  std::optional<std::string> as_user{};
};

/// Ends a turn as completed, failed or cancelled, with its last messages, all or none; the session's counters change in
/// the same transaction. Ending an ended turn the same way again gives the same answer. A cancel also takes a waiting
/// request out of the queue. Errors: turn_lost if it does not run any more and ended otherwise.
struct end_turn {
  using reply = turn_record;
  session_key session;
  turn_id turn;
  turn_status outcome = turn_status::completed;
  std::optional<token_usage> usage{}; ///< of completed and failed
  std::vector<event_input> events{};  ///< of completed
  std::shared_ptr<const byte_reservation> reservation{};
  std::string reason{}; ///< of failed: kept in the status event
  std::optional<std::string> as_user{};
};

/// A part of a reply, for those who listen now; not kept. Errors: turn_lost, payload_too_large.
struct delta_passed {
  std::size_t listeners = 0;
};
struct post_delta {
  using reply = delta_passed;
  session_key session;
  turn_id turn;
  std::string text;        ///< joined, the text so far
  std::string data = "{}"; ///< a JSON object with whatever else the caller sent
  std::optional<std::string> as_user{};
};

/// Turns, newest first, those who wait before them.
struct turn_page {
  std::vector<turn_record> turns;
  std::optional<std::int64_t> next_before{}; ///< none if these are the last
};
struct list_turns {
  using reply = turn_page;
  session_key session;
  std::size_t limit = limits::page_default;
  std::optional<std::int64_t> before{}; ///< numbers strictly less
  std::optional<std::string> as_user{};
  bool even_expired = false; ///< for an export
};

} // namespace colloquy
