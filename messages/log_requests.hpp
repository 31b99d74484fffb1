// What may be asked about a session's log: appending, reading, listening.
//
// Errors as in session_requests.hpp; and session_not_active, session_expired, forbidden wherever something is written.
#pragma once

#include "messages/byte_budget.hpp"
#include "messages/session_requests.hpp"

#include <memory>

namespace colloquy {

/// accepted: the session has taken it and given it its offset (and, with a journal, the journal has it on disk).
/// durable: PostgreSQL has committed it, and everything below it.
enum class durability : std::uint8_t { accepted, durable };

/// Appends all events or none, in order, at consecutive offsets. With `turn` it is written inside that turn.
/// The caller reserves the bytes first (byte_reservation); without a reservation the session reserves them itself.
/// Errors: turn_lost, invalid_request, payload_too_large, idempotency_mismatch; with durability durable also
/// deadline_exceeded, whose `accepted` names the events: they stay accepted.
struct appended {
  event_offset first_offset = 0;
  std::size_t count = 0;
  durability reached = durability::accepted;
};
/// What an import knows of its events beside what a caller of today says: one entry an event each.
struct imported_log {
  std::vector<timestamp> created_at;
  std::vector<turn_id> turns;       ///< nil outside a turn; new ids, those of `ended_turns` and of earlier imports
  std::vector<std::string> authors; ///< "" if unknown
  std::vector<turn_record> ended_turns{}; ///< whose first event is among these, in the order of their numbers
};

struct append_events {
  using reply = appended;
  session_key session;
  std::vector<event_input> events;
  durability wanted = durability::accepted;
  std::optional<turn_id> turn{};
  std::shared_ptr<const byte_reservation> reservation{};
  std::optional<std::string> as_user{}; ///< becomes the events' author
  std::optional<idempotency> repeat{};
  std::shared_ptr<const imported_log> imported{}; ///< of an import: status events are taken, too
};

/// Durable events of a session with offset > `after`, at most `limit`, oldest first; what a rolled-back turn wrote is
/// left out, and so is what was deleted unless it is asked for. If there is none and `wait` is set, the answer waits
/// for the first one, else it is empty. With `kinds`, `source` or `trace_id` only such events: filtered, then cut to
/// the page. What lies between them is passed over, so that a rare kind costs what the log is long.
struct event_page {
  std::vector<event> events;
  event_offset read_through = -1; ///< nothing up to here is left to be read, whatever is hidden; `after` of the next
  std::vector<event_offset> deleted{}; ///< those among them that were deleted
  bool is_cut_short = false;           ///< time was up before there were enough: there may be more
};
struct read_events {
  using reply = event_page;
  session_key session;
  event_offset after = -1;
  std::size_t limit = limits::page_default; ///< 1 to limits::page_events_max
  std::chrono::seconds wait{0};             ///< at most limits::events_wait_max
  std::vector<event_kind> kinds{};          ///< none: all
  bool from_database = false;               ///< as PostgreSQL has them, past what is in memory: for who verifies
  std::optional<std::string> as_user{};
  bool even_expired = false; ///< for an export
  std::optional<std::string> source{};
  std::optional<std::string> trace_id{};
  bool with_deleted = false; ///< only its owner may see them: else forbidden

  bool has_filter() const noexcept { return !kinds.empty() || source || trace_id; }
  bool wants(const event& entry) const noexcept;
};

/// Deletes events from the session's view, for good: readers, histories, listeners and later forks do not get them any
/// more, while the log keeps them, at their offsets, for whoever asks for deleted ones too. Answered when durable; what
/// is deleted already stays so. Other sessions that share the log, as forks made before, still show them.
/// Errors: invalid_request (no range, too many, or one whose ends are the wrong way round), not_found (nothing at the
/// first offset of a range), turn_in_progress (a turn that runs began before the end of a range), forbidden.
struct events_deleted {
  event_offset through = -1; ///< the last that is deleted now, of the last range; -1: there was nothing
};
struct delete_events {
  using reply = events_deleted;
  session_key session;
  std::vector<event_range> ranges; ///< at most limits::deleted_ranges_max
  /// All from here on, as the log is when this is taken; nothing is there: nothing is deleted. Then there are no
  /// ranges.
  std::optional<event_offset> from{};
  std::optional<std::string> as_user{}; ///< if set, only the owner may
};

/// Messages of a session, accepted ones too; what a rolled-back turn wrote is left out.
///
/// With a token budget: the newest that fit, oldest first; a leading system message is always among them; an
/// assistant's tool calls and their results are in together or out together; a call that a lost turn left open is
/// followed by a made-up result, marked as such. Tokens not given count as ceil(bytes of data / 4) + 4.
struct history_page {
  std::vector<event> messages;
  std::int64_t trimmed = 0; ///< how many were left out for the budget, or for the limit of a turn's history
  event_offset next = -1;   ///< of the last one, in the order asked for; where the next page begins
  bool has_more = false;
};
enum class history_order : std::uint8_t { ascending, descending };
struct read_history {
  using reply = history_page;
  session_key session;
  history_order order = history_order::ascending;
  std::optional<event_offset> after{};  ///< strictly greater
  std::optional<event_offset> before{}; ///< strictly less
  std::size_t limit = limits::page_default;
  std::optional<std::int64_t> token_budget{}; ///< 1 to limits::token_budget_max; then `order` and `after` are not used
  std::optional<std::string> as_user{};
};

/// Answers when everything that was accepted before is durable: of a session, of a tenant, or of all.
/// `sessions_refused` counts those that have stopped because the database refused one of their events.
struct flushed {
  std::size_t sessions_refused = 0;
};
struct flush {
  using reply = flushed;
  std::optional<tenant_id> tenant{};
  std::optional<session_id> session{}; ///< of that tenant
};

} // namespace colloquy
