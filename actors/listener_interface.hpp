// What those say to the listener who listen to channels of the database, and what they are told. See
// actors/listener.hpp.
#pragma once

#include "messages/error.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace colloquy::actors {

struct channel_notified {
  std::string channel;
  std::string payload;
  std::int32_t sender_pid = 0; ///< of the backend that has sent it
};
struct channel_gap {
  std::string channel;
};
using channel_subscriber = caf::typed_actor<caf::reacts_to<channel_notified>, caf::reacts_to<channel_gap>>;

struct listen_to {
  std::string channel; ///< 1 to 63 of a-z, A-Z, 0-9 and _, exactly as NOTIFY names it
  channel_subscriber subscriber;
};
struct stop_listening {
  std::string channel;
  channel_subscriber subscriber;
};
struct listening {
  std::size_t subscribers = 0; ///< of this channel
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::channel_notified)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::channel_gap)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::listen_to)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::stop_listening)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::listening>)

namespace colloquy::actors {

using listener_actor = caf::typed_actor<caf::replies_to<listen_to>::with<result<listening>>, //
                                        caf::reacts_to<stop_listening>>;

} // namespace colloquy::actors
