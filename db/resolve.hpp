// Name lookup blocks, so it is done before a connection string reaches an actor.
#pragma once

#include "messages/error.hpp"

#include <string>

namespace colloquy::db {

/// The same connection as key=value text, in which every host name has its address (`hostaddr`) beside it; the name
/// stays for TLS. Hosts that are addresses or unix sockets are left alone. A host of several addresses becomes as many
/// entries, which libpq tries in turn. Blocks for as long as the resolver does. Errors: invalid_request for a text that
/// libpq cannot read (without its words, which repeat parts of the text); database_unavailable for a name that cannot
/// be found.
result<std::string> resolve_hosts(const std::string& conninfo);

} // namespace colloquy::db
