// A writer's batch: what many sessions of many tenants have to write, as one unit of prepared unnest() statements.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/session.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace colloquy::db {

/// What one request makes a session write: all of it commits together or not at all, so it is never split between
/// batches. Writes of one session commit in the order of `number`.
struct session_write {
  session_key session;
  log_id log;
  std::uint64_t number = 0;                    ///< counts a session actor's writes from 1
  std::shared_ptr<const session_record> row{}; ///< set by the write that makes the session
  std::vector<event> events{};
  std::vector<turn_record> turns{};    ///< in their new state
  std::int64_t turns_counted = 0;      ///< added to the session's turn_count
  std::int64_t tokens_counted = 0;     ///< added to the session's total_tokens
  std::size_t bytes = 0;               ///< of the events, for the bounds of a batch
  std::shared_ptr<const void> keeps{}; ///< the budget's reservation, held until nobody needs the write

  std::size_t rows() const noexcept { return events.size() + turns.size() + (row ? 1 : 0); }
};
using session_write_ptr = std::shared_ptr<const session_write>;

/// Where a batch stands in its writer's chain.
struct batch_position {
  process_id process;
  std::int16_t writer = 0;
  std::int64_t epoch = 0;
  std::int64_t seq = 0;
};

struct encoded_batch {
  unit statements;
  int sessions_result = -1; ///< which result tells the sessions that were made; -1: none were to be
};

/// The first statement raises the fence unless the batch follows the last committed one in the same epoch. Several
/// states of one turn are folded into the last, a session's counters into one change.
encoded_batch encode_batch(const batch_position& position, std::span<const session_write_ptr> writes);

/// The sessions of a committed batch that were not made because their external id is taken.
std::vector<session_key> taken_external_ids(int sessions_result, const unit_outcome& outcome,
                                            std::span<const session_write_ptr> writes);

/// Makes the writer's row (expected_epoch 0) or raises its epoch, for the backend that runs it.
unit claim_writer(process_id process, std::int16_t writer, std::int64_t expected_epoch);

struct writer_claim {
  std::int64_t epoch = 0;
  std::int64_t seq = 0; ///< of the last batch that committed
  std::int32_t backend_pid = 0;
};
result<writer_claim> decode_claim(const unit_outcome& outcome);

/// Asks the server to end a backend of ours, if it still carries our connection. Harmless if it is gone.
unit end_backend(std::int32_t backend_pid);

/// Removes the rows of a service's writers when it has ended cleanly.
unit release_writers(process_id process);

} // namespace colloquy::db
