// Hiding passwords in connection strings before they are shown to anybody.
#pragma once

#include <string>
#include <string_view>

namespace colloquy::config {

/// What stands for anything hidden.
inline constexpr std::string_view hidden = "***";

/// The connection string (URI or key=value) with every password replaced by `hidden`. Only what is known to be no
/// secret is shown: user, hosts, ports, database, and the parameters of a list; every other parameter's value is
/// hidden. A string that is not exactly of either form is hidden as a whole, for then nobody knows where in it the
/// password is. The result is for reading; it is not a connection string any more.
std::string redact_connection(std::string_view connection);

} // namespace colloquy::config
