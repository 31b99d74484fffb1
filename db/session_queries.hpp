// Reading sessions and their logs. Every query sets its tenant for the transaction and names it as a parameter too.
#pragma once

#include "db/batch.hpp"
#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/requests.hpp"
#include "messages/session.hpp"

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db {

/// What a session actor needs to wake: its row, where its log ends, its last turn and who shares it.
struct stored_session {
  session_record record;     ///< next_offset and durable_offset come from the log
  std::int64_t messages = 0; ///< in the log
  std::optional<turn_row> last_turn{};
  bool has_deleted = false;           ///< events, from its view
  bool granter_ended_cleanly = false; ///< the process that granted a running turn
  std::vector<participant> participants{};
};

unit read_session(const session_key& key);
/// not_found if there is no such session of this tenant.
result<stored_session> decode_session(const session_key& key, const unit_outcome& outcome);

/// The session of an external id, or the one that a request under this key made.
unit find_session(const tenant_id& tenant, const std::string& external_id);
result<std::optional<session_id>> decode_found(const unit_outcome& outcome);

/// Where the events of a session are.
struct log_source {
  tenant_id tenant;
  log_id log;
  bool is_fork = false;     ///< its log begins in another one
  session_id session{};     ///< whose view of it
  bool has_deleted = false; ///< that session has deleted some of it
};

/// A part of a log: offsets after < x < before, at most `limit` events from the end that `newest_first` says and in the
/// order from that end, and no more once `bytes_max` of data are reached (but at least one).
struct log_part {
  event_offset after = -1;
  event_offset before = std::numeric_limits<event_offset>::max();
  std::size_t limit = limits::page_default;
  std::size_t bytes_max = limits::page_bytes_max;
  bool newest_first = false;
  bool only_messages = false;
  std::vector<event_kind> kinds{}; ///< none: all
  std::optional<std::string> source{};
  std::optional<std::string> trace_id{};
  bool with_deleted = false; ///< by the session; else they are left out
};
/// What a rolled-back turn wrote is left out. Costs what it returns, what it passes over (hidden events but for long
/// ranges of deleted ones; what a filter does not want), and in a fork the links between its newest end and the part
/// that is read.
unit read_log(const log_source& source, const log_part& part);
result<std::vector<event>> decode_log(const unit_outcome& outcome);
/// Of those, what was deleted; of a part with_deleted.
std::vector<event_offset> decode_deleted_offsets(const unit_outcome& outcome);

/// The log's first message, for histories that keep a leading system message.
unit read_first_message(const log_source& source);
/// Decoded by decode_log.

/// Messages up to and including that offset that rolled-back turns hide, or that the session has deleted.
unit count_hidden(const log_source& source, event_offset through);
result<std::int64_t> decode_count(const unit_outcome& outcome);

/// Where a fork at that offset has to begin: the log that holds the offset itself. not_found if there is none.
unit find_fork_point(const log_source& source, event_offset offset);
result<log_parent> decode_fork_point(const unit_outcome& outcome);

/// Turns, newest first, numbers strictly less than `before`.
unit read_turns(const session_key& key, std::int64_t before, std::size_t limit);
result<std::vector<turn_record>> decode_turns(const unit_outcome& outcome);

/// One turn by its id; none if it is not there.
unit read_turn(const session_key& key, turn_id turn);
/// Decoded by decode_turns.

/// The answer that a request under this key got; `session` is nil in scope "create".
unit find_key(const tenant_id& tenant, session_id session, const std::string& scope, const std::string& key);
result<std::optional<remembered_key>> decode_key(const unit_outcome& outcome);

/// Hashes (idempotency_hash of scope and key) of the newest keys of a session that were made after that time.
unit read_key_hashes(const session_key& key, timestamp after, std::size_t limit);
result<std::vector<std::int64_t>> decode_key_hashes(const unit_outcome& outcome);
std::int64_t idempotency_hash(std::string_view scope, std::string_view key) noexcept;

/// Sessions newest first, filtered, then cut; `now` tells which are overdue. A bad cursor is invalid_request.
result<unit> list_sessions_page(const list_sessions& wanted, timestamp now);
result<session_page> decode_session_page(const list_sessions& wanted, timestamp now, const unit_outcome& outcome);

/// Succeeds if the connection may work as the service on a migrated schema.
unit check_service();

/// For the caller of a query that failed: the error code that fits, without the server's text.
error to_error(const db_failure& failure);

} // namespace colloquy::db
