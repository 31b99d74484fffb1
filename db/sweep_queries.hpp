// What is done for all tenants at once, time passing: marking what is overdue, finding what may be erased, forgetting
// what nobody needs. As colloquy_system; every statement goes by an index and takes a bounded number of rows.
#pragma once

#include "db/ownership_queries.hpp"
#include "db/statement.hpp"
#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/session.hpp"

#include <vector>

namespace colloquy::db {

/// Sessions of those shards whose expiry has passed and that are not marked, the longest overdue first.
unit find_overdue(timestamp now, const shard_set& shards, std::size_t limit);

/// Sessions of those shards that expired before that time.
unit find_expired_before(timestamp then, const shard_set& shards, std::size_t limit);

/// Of either.
result<std::vector<session_key>> decode_session_keys(const unit_outcome& outcome);

/// Marks those of the sessions that are overdue as expired, each with its status event at the end of its log, by the
/// server's own function cleanup_expired_sessions. Only for sessions of this process' own shards that are not in
/// memory: an overdue session takes no more writes, so the end of its log stands still. Tells how many it marked.
unit mark_expired(process_id process, timestamp now, const std::vector<session_key>& sessions);
result<std::int64_t> decode_marked(const unit_outcome& outcome);

/// Idempotency keys and processes that nobody asks for any more, at most that many rows.
unit forget_keys(timestamp before, std::size_t limit);
unit forget_processes(timestamp before);
result<std::int64_t> decode_forgotten(const unit_outcome& outcome);

} // namespace colloquy::db
