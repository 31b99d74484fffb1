// The shape of a message, as callers send it.
#pragma once

#include "gateway/rules.hpp"

namespace colloquy::gateway {

extern const shape_rule message_shape;

} // namespace colloquy::gateway
