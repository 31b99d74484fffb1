// What the sweeper and the directory say to each other, and what sessions ask of the sweeper. See sweeper.hpp for the
// protocol.
#pragma once

#include "actors/ownership_interface.hpp"
#include "actors/session_interface.hpp"
#include "messages/directory_interface.hpp"
#include "messages/session_requests.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <vector>

namespace colloquy::actors {

struct sessions_not_resident {
  std::vector<session_key> sessions;
};
/// Sweeper to directory: these are overdue. Those that are in memory (also: falling asleep, draining) expire
/// themselves; the answer names the others.
struct expire_resident {
  using reply = sessions_not_resident;
  std::vector<session_key> sessions;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::expire_resident)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::sessions_not_resident>)

namespace colloquy::actors {

/// The directory, as the sweeper sees it.
using sweeper_directory = caf::typed_actor<answers<expire_resident>, answers<erase_session>>;

/// shards_owned and ownership_lost are those of the ownership actor, passed on in their order.
using sweeper_actor =
    caf::typed_actor<caf::reacts_to<shards_owned>, caf::reacts_to<ownership_lost>, answers<run_erasure>>;

} // namespace colloquy::actors
