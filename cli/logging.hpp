#pragma once

#include "config/settings.hpp"

namespace colloquy::cli {

/// The log goes to standard error, which keeps standard output for what was asked for.
void start_logging(config::log_level level);

} // namespace colloquy::cli
