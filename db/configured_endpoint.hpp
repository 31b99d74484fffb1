// From the settings to an endpoint: the one place that knows which setting means which part of it.
#pragma once

#include "config/settings.hpp"
#include "db/endpoint.hpp"

#include <string>

namespace colloquy::db {

/// For prepare_endpoint(): TLS, address family, keepalives. `conninfo` is a secret, and wins where it says something.
endpoint_options configured_endpoint(const config::settings& settings, std::string conninfo);

} // namespace colloquy::db
