// Reading sessions and their logs. Every query sets its tenant for the transaction and names it as a parameter too.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/session.hpp"

#include <optional>
#include <vector>

namespace colloquy::db {

/// What a session actor needs to wake: its row, where its log ends, and its last turn.
struct stored_session {
  session_record record; ///< next_offset and durable_offset come from the log
  std::optional<turn_record> last_turn{};
};

unit read_session(const session_key& key);
/// not_found if there is no such session of this tenant.
result<stored_session> decode_session(const session_key& key, const unit_outcome& outcome);

unit read_log(const session_key& key, event_offset after, std::size_t limit);
/// not_found if there is no such session; an empty page if it has no event after `after`.
result<std::vector<event>> decode_log(const unit_outcome& outcome);

/// Succeeds if the connection may work as the service on a migrated schema.
unit check_service();

/// For the caller of a query that failed: the error code that fits, without the server's text.
error to_error(const db_failure& failure);

} // namespace colloquy::db
