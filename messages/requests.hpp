// What callers ask of Colloquy and what they get. Plain values: these cross actors, and later the wire.
#pragma once

#include "messages/byte_budget.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/limits.hpp"
#include "messages/session.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {

/// accepted: the session has taken it and given it its offset. durable: PostgreSQL has committed it, and everything
/// below it.
enum class durability : std::uint8_t { accepted, durable };

/// Makes a session; answered when its row is durable. Errors: invalid_request; conflict if the tenant has a session of
/// that external_id; overloaded; database_unavailable; deadline_exceeded.
struct create_session {
  tenant_id tenant;
  std::string user_id;
  std::optional<std::string> agent_id{};
  std::optional<std::string> external_id{};
  std::optional<std::string> title{};
  std::string metadata = "{}"; ///< a JSON object, checked by the session
  std::optional<std::chrono::seconds> expires_in = limits::expires_in_default; ///< none: never
};

/// The session as it is now, counting what is accepted. Errors: not_found, database_unavailable.
struct get_session {
  session_key session;
};

/// Appends all events or none, in order, at consecutive offsets. With `turn` it is written inside that turn.
/// The caller reserves the bytes first (session_client does); without a reservation the session reserves them itself.
/// Errors: not_found, session_not_active, session_expired, turn_lost, invalid_request, payload_too_large, overloaded,
/// internal; with durability durable also deadline_exceeded, and then the events stay accepted.
struct append_events {
  session_key session;
  std::vector<event_input> events;
  durability wanted = durability::accepted;
  std::optional<turn_id> turn{};
  std::shared_ptr<const byte_reservation> reservation{};
};

struct appended {
  event_offset first_offset = 0;
  std::size_t count = 0;
  durability reached = durability::accepted;
};

/// Starts a turn and writes its first messages inside it, all or none. Errors: as append_events, and turn_in_progress
/// while another runs.
struct start_turn {
  session_key session;
  std::vector<event_input> events{};
  std::string trace_id{};
  std::shared_ptr<const byte_reservation> reservation{};
};

/// Ends a turn as completed, failed or cancelled, with its last messages, all or none; the session's counters change in
/// the same transaction. Ending an ended turn the same way again gives the same answer. Errors: as append_events, and
/// turn_lost if it does not run any more.
struct end_turn {
  session_key session;
  turn_id turn;
  turn_status outcome = turn_status::completed;
  std::optional<token_usage> usage{};
  std::vector<event_input> events{};
  std::shared_ptr<const byte_reservation> reservation{};
};

/// Durable events of a session with offset > `after`, at most `limit`, oldest first.
/// Errors: not_found, invalid_request, database_unavailable, deadline_exceeded.
struct read_events {
  session_key session;
  event_offset after = -1;
  std::size_t limit = 100; ///< 1 to limits::page_events_max
};

struct event_page {
  std::vector<event> events;
};

/// Answers when everything that any session had accepted before is durable. Errors: database_unavailable,
/// deadline_exceeded.
struct flush {};

struct flushed {
  std::size_t sessions_refused = 0; ///< sessions that have stopped because the database refused one of their events
};

} // namespace colloquy
