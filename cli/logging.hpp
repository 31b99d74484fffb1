#pragma once

#include "config/settings.hpp"

#include <spdlog/formatter.h>

#include <memory>

namespace colloquy::cli {

/// The log goes to standard error, which keeps standard output for what was asked for.
void start_logging(config::log_level level, config::log_format format = config::log_format::text);

/// From now on.
void set_log_level(config::log_level level);

/// A line as one JSON object: "time" (RFC 3339, UTC, microseconds), "level", "message"; and, where it is about a
/// conversation, "tenant" and "session", with "turn" and "trace_id" where there is a turn. What is no valid UTF-8 in a
/// message is replaced.
std::unique_ptr<spdlog::formatter> make_json_formatter();

} // namespace colloquy::cli
