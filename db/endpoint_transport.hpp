// The part of prepare_endpoint that is about TLS; for endpoint.cpp alone.
#pragma once

#include "db/conninfo.hpp"
#include "db/endpoint.hpp"

#include <string>
#include <vector>

namespace colloquy::db {

/// Sets sslmode and sslrootcert where they are open, as prepare_endpoint says. Error: invalid_request for a sslmode
/// that there is not.
result<void> secure_transport(option_values& values, const std::vector<host_entry>& entries,
                              const endpoint_options& options, std::vector<std::string>& warnings);

} // namespace colloquy::db
