#include "cli/logging.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace colloquy::cli {
namespace {

spdlog::level::level_enum level_of(config::log_level level) {
  switch (level) {
  case config::log_level::trace:
    return spdlog::level::trace;
  case config::log_level::debug:
    return spdlog::level::debug;
  case config::log_level::info:
    return spdlog::level::info;
  case config::log_level::warn:
    return spdlog::level::warn;
  case config::log_level::error:
    return spdlog::level::err;
  }
  return spdlog::level::info;
}

} // namespace

void start_logging(config::log_level level) {
  auto logger = std::make_shared<spdlog::logger>("colloquy", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(level_of(level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(std::move(logger));
}

} // namespace colloquy::cli
