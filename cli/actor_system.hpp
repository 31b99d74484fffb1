// How CAF is set up in the programs that serve, and what of a service the edge asks.
#pragma once

#include "actors/service.hpp"
#include "gateway/service_handles.hpp"

#include <caf/actor_system_config.hpp>

namespace colloquy::cli {

/// Parses nothing, so that CAF reads neither our command line nor a file.
void set_scheduler(caf::actor_system_config& config);

gateway::service_handles handles_of(const actors::service& service);

} // namespace colloquy::cli
