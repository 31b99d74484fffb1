// `colloquy serve`: the daemon.
#pragma once

#include "cli/arguments.hpp"
#include "config/settings.hpp"

#include <functional>

namespace colloquy::cli {

/// Serves until it is told to end: SIGTERM and SIGINT finish what is under way within shutdown_timeout, a second one
/// ends at once, SIGHUP reads the settings again (`reload` does) and takes over those that may change.
int run_serve(const serve_arguments& arguments, const config::settings& settings,
              const std::function<config::loaded()>& reload);

} // namespace colloquy::cli
