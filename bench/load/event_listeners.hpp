// Subscribers of a session as actors of this process, and when all of them have heard an event.
#pragma once

#include "bench/load/load_client.hpp"
#include "messages/directory_interface.hpp"

#include <caf/event_based_actor.hpp>

namespace colloquy::load {

/// `heard` and `then` are called on the thread of `self`, which does what comes as to_be_done. Of a session, at most
/// one event may be under way at a time. A subscription that ends gives `heard` -1.
void listen_as_actors(caf::event_based_actor* self, const directory_actor& directory, const session_key& session,
                      std::size_t listeners, std::function<void(event_offset)> heard, answer<listeners_ready> then);

} // namespace colloquy::load
