// What the holder of a turn is told when it has ended. A message between actors.
#pragma once

#include "messages/session.hpp"

#include <caf/allowed_unsafe_message_type.hpp>

#include <string>

namespace colloquy {

/// To the actor that asked for the turn with start_turn::ends_with_caller, once: the turn has ended, by itself or by
/// whoever else. One that has no handler for it may leave it.
struct turn_ended {
  session_key session;
  turn_record turn;
  std::string reason; ///< "" if none was given
};

} // namespace colloquy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::turn_ended)
