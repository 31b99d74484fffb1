// What a journal holds is written again when a service starts, before anybody else is served: what the last process had
// accepted and not made durable. Blocking; called from outside of actors.
#pragma once

#include "actors/journal_interface.hpp"
#include "actors/ownership_interface.hpp"
#include "messages/directory_interface.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <cstddef>

namespace colloquy::actors {

struct journal_replay {
  std::size_t durable_already = 0; ///< records
  std::size_t written_again = 0;
  std::size_t quarantined = 0; ///< of sessions that another process has owned meanwhile, or that do not fit their logs
};

/// A record is replayed only if its session has had no other owner than the processes that used this very journal: the
/// shard's last owner is the one that wrote it, or a later one that `journal` knows. All others go to the quarantine,
/// with a line in the log; nothing is ever written over offsets that exist.
/// Errors: those of journal and directory; what is not replayed by then is still there at the next start.
result<journal_replay> replay_journal(caf::actor_system& system, const journal_actor& journal,
                                      const directory_actor& directory, const shards_owned& owned,
                                      std::chrono::milliseconds request_timeout);

} // namespace colloquy::actors
