// `colloquy mcp`: the Model Context Protocol on standard input and output. The first program on a data folder or a
// database has the service; the others pass through its private socket, and one of them takes over when it ends.
#pragma once

#include "cli/arguments.hpp"
#include "config/settings.hpp"

namespace colloquy::cli {

/// Until the client has said all, or has gone, or a signal comes. Returns an exit code.
int run_mcp(const config::settings& settings);

} // namespace colloquy::cli
