// The actors that the edge asks.
#pragma once

#include "actors/pool_interface.hpp"
#include "messages/context_variables_interface.hpp"
#include "messages/customers_interface.hpp"
#include "messages/database_sessions_interface.hpp"
#include "messages/directory_interface.hpp"
#include "messages/documents_interface.hpp"
#include "messages/tenants_interface.hpp"

namespace colloquy::gateway {

/// Null until the service has started.
struct service_handles {
  directory_actor directory{};
  tenants_actor tenants{};
  actors::pool_control_actor pool{};
  documents_actor documents{};
  customers_actor customers{};
  context_variables_actor context_variables{};
  database_sessions_actor database_sessions{}; ///< null if there are none
};

} // namespace colloquy::gateway
