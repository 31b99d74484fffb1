// A writer's batch: what many sessions of many tenants have to write, as one unit of prepared unnest() statements.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/session.hpp"
#include "messages/session_requests.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace colloquy::db {

/// Events at consecutive offsets. Shared, because the session's tail keeps them longer than the write does.
using event_block = std::shared_ptr<const std::vector<event>>;

/// A turn with what only the service needs to know of it.
struct turn_row : turn_record {
  process_id granted_by{};       ///< while it is running: whether its lease has survived depends on how that one ended
  event_offset first_offset = 0; ///< of its first event
  std::int64_t messages = 0;     ///< that it has written
};

/// By which a repeated request will be recognized, and the answer that it gets. Scopes are kinds of requests:
/// "create" (of no session), "fork" (kept under the session that is forked), "append", "turn"; each perhaps with what
/// tells requests of that kind apart behind a colon, as in "append:messages".
struct remembered_key {
  std::string scope;
  std::string key;
  std::string fingerprint;
  event_offset first_offset = -1; ///< of an append
  std::int64_t count = 0;
  turn_id turn{};      ///< of a turn that was started
  session_id made{};   ///< of a session that was made
  timestamp made_at{}; ///< when the first answer was given
  /// The session as it was when it was made, as it is read; written is session_write::row. Null if it is gone, or if
  /// the key is older than this column.
  std::shared_ptr<const session_record> reply{};
};

/// Where a fork's log begins: events up to and including `offset` are another log's, the one that holds them itself.
struct log_parent {
  log_id log;
  event_offset offset = 0;
  std::int64_t messages = 0; ///< in the log up to there
};

struct participant_change {
  std::string user_id;
  std::optional<participant_role> role{}; ///< none: takes no part any more
};

/// What one request makes a session write: all of it commits together or not at all, so it is never split between
/// batches. Writes of one session commit in the order of `number`.
struct session_write {
  session_key session;
  log_id log;
  std::uint64_t number = 0;                        ///< counts a session actor's writes from 1
  std::shared_ptr<const session_record> row{};     ///< set by the write that makes the session
  std::shared_ptr<const session_record> changed{}; ///< its title, metadata, status, labels and so on from now on
  std::optional<log_parent> parent{};  ///< of a session that is made as a fork; if it is gone, refused as data
  std::optional<remembered_key> key{}; ///< of the request, if it had one
  std::vector<participant_change> participants{};
  event_block events{};                ///< null: none
  std::vector<turn_row> turns{};       ///< in their new state
  std::int64_t turns_counted = 0;      ///< added to the session's turn_count
  std::int64_t tokens_counted = 0;     ///< added to the session's total_tokens
  std::vector<event_range> deleted{};  ///< from the session's view; at offsets that are given out already
  bool erases = false;                 ///< hides the session for good; erasure.hpp does the rest. Its last write
  std::size_t bytes = 0;               ///< of the events and whatever else is large, for the bounds of a batch
  std::shared_ptr<const void> keeps{}; ///< the budget's reservation, held until nobody needs the write

  std::size_t event_count() const noexcept { return events ? events->size() : 0; }
  std::size_t rows() const noexcept {
    return event_count() + turns.size() + participants.size() + deleted.size() + (row ? 1 : 0) + (changed ? 1 : 0) +
           (key ? 1 : 0) + (parent ? 2 : 0) + (erases ? 1 : 0);
  }
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
/// states of one turn are folded into the last, a session's counters into one change, its row's changes into the last.
encoded_batch encode_batch(const batch_position& position, std::span<const session_write_ptr> writes);

/// The sessions of a committed batch that were not made because their external id is taken, or the key of their
/// request was used before.
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
