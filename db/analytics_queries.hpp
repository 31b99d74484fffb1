// What a tenant's sessions did, in figures.
#pragma once

#include "db/statement.hpp"
#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/session_requests.hpp"

namespace colloquy::db {

/// The range has been checked. Sums over an index of turns and over a block-range index of events; it may take a while
/// on a large database, and ends with the statement's timeout.
unit read_analytics(const get_analytics& wanted, timestamp now);
result<analytics> decode_analytics(const get_analytics& wanted, const unit_outcome& outcome);

} // namespace colloquy::db
