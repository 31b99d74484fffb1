// What who replays a journal asks of the database: whether it has a record's events, and whether a session that is not
// there was erased.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/ids.hpp"
#include "messages/session.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace colloquy::db {

/// Which of these events the log itself has just as they are: at their offset, of the same time and turn, with the same
/// data. The server compares, so nothing of the log comes back; also what a rolled-back turn hides is seen.
unit find_stored_events(const tenant_id& tenant, log_id log, std::span<const event* const> events);
/// Their places in the list, in no order.
result<std::vector<std::size_t>> decode_stored_events(const unit_outcome& outcome);

/// Whether an erasure of that session was begun and is not done. As colloquy_system.
unit find_erasure(const session_key& session);
result<bool> decode_erasure_found(const unit_outcome& outcome);

} // namespace colloquy::db
