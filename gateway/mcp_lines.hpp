// The Model Context Protocol over a stream of lines, each of them a message: what a program that speaks it on standard
// input and output passes on, over the service's private socket. Both eras may be spoken on one.
#pragma once

#include "gateway/connection.hpp"
#include "gateway/loop.hpp"
#include "gateway/principal.hpp"

#include <cstdint>
#include <string_view>

namespace colloquy::gateway::mcp {

/// Who is behind such a socket: whoever may open it owns the data folder.
principal socket_principal(std::uint64_t number);

/// A notification of whoever passes lines on, before all else: {"name": "..."}, as whom the server is to show itself to
/// the client there. Others do without an answer to it.
inline constexpr std::string_view naming_method = "notifications/colloquy/name";

/// Serves it to its end, and lets no exception out. What was opened over it ends with it: turns that wait,
/// subscriptions, database sessions.
task<void> serve_lines(unix_socket socket, connections& of);

} // namespace colloquy::gateway::mcp
