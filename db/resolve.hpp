// Name lookup blocks, so it is done before a connection string reaches an actor.
#pragma once

#include "messages/error.hpp"

#include <string>

namespace colloquy::db {

/// The same connection as key=value text, in which every host name has its address (`hostaddr`) beside it; the name
/// stays for TLS. Hosts that are addresses or unix sockets are left alone. Of several addresses the first is taken.
/// Blocks for as long as the resolver does. Errors: invalid_request for a text that libpq cannot read (its own words,
/// which do not repeat the text); database_unavailable for a name that cannot be found.
result<std::string> resolve_hosts(const std::string& conninfo);

} // namespace colloquy::db
