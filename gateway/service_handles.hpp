// The actors that the edge asks.
#pragma once

#include "actors/pool_interface.hpp"
#include "messages/directory_interface.hpp"
#include "messages/tenants_interface.hpp"

namespace colloquy::gateway {

/// Null until the service has started.
struct service_handles {
  directory_actor directory{};
  tenants_actor tenants{};
  actors::pool_control_actor pool{};
};

} // namespace colloquy::gateway
