// Which process owns which sessions. Sessions hash to shards; a process owns shards by its row in `processes`, which it
// renews by the database's clock, and is not heard of any more once another has taken over from it.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db {

inline constexpr std::size_t shard_count = 1024;
using shard_set = std::bitset<shard_count>;

/// The same in the database: shard_of(uuid). The last 16 bits of a UUIDv7 are random.
std::size_t shard_of(const session_id& id) noexcept;

/// How long an owner that does not renew keeps its shards; counted by the database's clock, and not while the server
/// was down.
inline constexpr std::chrono::seconds ownership_lasts{10};
inline constexpr std::chrono::seconds ownership_renewed_every{2};

/// Where a process runs, so that its successor on the same machine can tell that it has ended and need not wait.
struct process_place {
  std::string machine;            ///< boot id and process namespace; "" if unknown
  std::int64_t pid = 0;           ///< there
  std::int64_t started_ticks = 0; ///< of that pid, so that another of the same number is not taken for it
};

unit register_process(process_id process, const process_place& place);

/// Another live process' row, for a successor to look at.
struct other_process {
  process_id process;
  process_place place;
};
unit read_processes(process_id own);
result<std::vector<other_process>> decode_processes(const unit_outcome& outcome);

/// Renews the row and tells what it owns. Nothing if another has taken over: then this process id is done for.
unit renew_process(process_id process);
result<std::optional<shard_set>> decode_renewal(const unit_outcome& outcome);

/// Takes every free shard: nobody's, those of processes that have ended, have not renewed in time, or are in `dead`
/// (known to have ended). Of those it takes over from it ends the writers' backends and raises their epochs first, all
/// in one transaction. Tells which it took, and from whom.
struct taken_shards {
  shard_set taken;
  std::vector<std::optional<process_id>> previous; ///< by shard, where taken: the last owner, if there was one
};
unit take_shards(process_id process, const std::vector<process_id>& dead);
result<taken_shards> decode_taken(const unit_outcome& outcome);

/// Gives all up, after everything accepted is durable: turns keep their leases.
unit end_process(process_id process);

} // namespace colloquy::db
