// Waiting for what another thread or process is about to do.
#pragma once

#include <chrono>
#include <functional>
#include <poll.h>

namespace colloquy::test {

/// Polls every few milliseconds; false if it does not hold in time.
inline bool eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline)
      return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

} // namespace colloquy::test
