// Name lookup blocks, so it is done before a connection string reaches an actor, or by a thread of its own.
#pragma once

#include "messages/error.hpp"

#include <string>
#include <vector>

namespace colloquy::db {

/// Which addresses of a host are tried first.
enum class address_preference { any, ipv4, ipv6 };

struct resolved_hosts {
  std::string conninfo;           ///< a secret
  std::vector<std::string> notes; ///< sentences: which host has not the addresses that are asked for, and what then
};

/// The same connection as key=value text, in which every host name has its address (`hostaddr`) beside it; the name
/// stays for TLS. Hosts that are addresses or unix sockets are left alone. A host of several addresses becomes as many
/// entries, which libpq tries in turn: those of the preferred family first, each family in the resolver's order. Blocks
/// for as long as the resolver does. Errors: invalid_request for a text that libpq cannot read (without its words,
/// which repeat parts of the text); database_unavailable for a name that cannot be found.
result<resolved_hosts> resolve_hosts(const std::string& conninfo,
                                     address_preference preference = address_preference::any);

/// Whether there is a name to be looked up, in the string or in libpq's environment.
bool has_host_names(const std::string& conninfo);

/// Those of the preferred family first; any: as they are.
std::vector<std::string> in_preferred_order(std::vector<std::string> addresses, address_preference preference);

/// What is to be said of a host with these addresses; empty for nothing. With no preference IPv6 alone is worth a word,
/// for many machines have none.
std::string family_note(const std::string& host, const std::vector<std::string>& addresses,
                        address_preference preference);

} // namespace colloquy::db
