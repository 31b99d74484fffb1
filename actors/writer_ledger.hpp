// What must outlive a writer actor: where its chain of batches stands, and what is in flight. The directory keeps it
// and hands it to the next writer; two writers never hold it at once, so it needs no lock.
#pragma once

#include "actors/session_interface.hpp"
#include "db/batch.hpp"

#include <caf/actor_clock.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

namespace colloquy::actors {

struct queued_write {
  db::session_write_ptr write;
  write_listener listener;
  std::uint64_t ticket = 0; ///< order of arrival at the writer
};

struct batch_in_flight {
  std::int64_t seq = 0;
  std::vector<queued_write> writes;
  int sessions_result = -1;                ///< as in db::encoded_batch
  std::optional<db::db_failure> failure{}; ///< set when its answer was a failure
  bool isolated = false;                   ///< sent alone, to find out whose data the database refuses
  caf::actor_clock::time_point sent{};
};

struct writer_ledger {
  process_id process;
  std::int16_t writer = 0;
  std::int64_t epoch = 0; ///< 0: never claimed
  std::int64_t seq = 0;   ///< the last batch known to be committed
  std::int32_t backend_pid = 0;
  int claims_unknown = 0; ///< claims without an answer: each may have raised the epoch
  std::deque<batch_in_flight> in_flight;
  std::unordered_set<session_id> refused{}; ///< sessions that stopped since the service started
};

} // namespace colloquy::actors
