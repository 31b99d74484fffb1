// Wall-clock time as the product shows it: UTC with microseconds, like PostgreSQL's timestamptz.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace colloquy {

using timestamp = std::chrono::sys_time<std::chrono::microseconds>;

/// Where everything takes the time of day from, so that a test can step it.
using wall_clock = std::function<timestamp()>;

inline timestamp system_time() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

/// RFC 3339 in UTC with microseconds: 2026-01-31T12:00:00.000000Z.
std::string to_rfc3339(timestamp at);

} // namespace colloquy
