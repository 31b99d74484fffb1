// What must block (name lookup, cancel) has a detached actor of its own, for a limited time.
#pragma once

#include "db/running_work.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/spawn_options.hpp>

#include <chrono>
#include <utility>

namespace colloquy::actors {

/// Calls `work` and sends what it returns to `receiver`, anonymously, unless that has died meanwhile; or `too_late`, if
/// that takes longer than `limit`. Then the thread of the work is left behind, so that neither an actor nor the end of
/// the system waits for it: it must own all that it uses, and must not throw.
template <class Self, class Handle, class Message, class Work>
void run_blocking(Self* self, const Handle& receiver, std::chrono::milliseconds limit, Message too_late, Work work) {
  self->template spawn<caf::detached>([address = caf::actor_cast<caf::actor_addr>(receiver), limit,
                                       too_late = std::move(too_late),
                                       work = std::move(work)](caf::event_based_actor* job) {
    db::running_work<Message> running(work);
    auto outcome = running.wait_until(std::chrono::steady_clock::now() + limit);
    if (auto alive = caf::actor_cast<Handle>(address))
      caf::anon_send(alive, outcome ? std::move(*outcome) : too_late);
    job->quit();
  });
}

} // namespace colloquy::actors
