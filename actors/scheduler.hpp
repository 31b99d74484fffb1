// The scheduler that Colloquy's own programs run their actors on: CAF's workers on one queue, woken sparingly.
//
// CAF's "sharing" wakes a sleeping worker for every message that makes an actor ready, and does so while it holds the
// queue's lock, on which the woken one then has to wait once more. A message that a worker sends comes at the end of
// what it does, most often: it is back at the queue before another one is awake. So what a worker itself makes ready
// wakes nobody unless there is more of it than those who are awake can take at once, and one more; what comes from
// elsewhere (sockets, the edge, the clock) wakes a worker as before. Figures: docs/decisions/0018.
//
// What it asks for: an actor that sends must not go on for long afterwards, or what it sent waits so long although
// another worker sleeps. Nothing of ours does. A host chooses the scheduler of its own system itself, and may take
// this.
#pragma once

#include <caf/actor_system_config.hpp>

#include <cstddef>

namespace colloquy::actors {

/// A system made with this configuration runs on so many workers (1 or more), scheduled in that way, whatever its
/// `scheduler.policy` says. Call it once, before the system is made.
void use_sparing_scheduler(caf::actor_system_config& config, std::size_t workers);

} // namespace colloquy::actors
