// SIGINT and SIGTERM as something to ask for.
#pragma once

#include <atomic>
#include <csignal>
#include <thread>

namespace colloquy::cli {

/// While it lives, the first SIGINT or SIGTERM only sets a flag, and the second ends the program at once, as a kill
/// would: what the operating system does not undo, the next start mends. Made before any other thread, because those
/// inherit that the signals are held back. Also makes SIGPIPE ignored, for good: a peer that is gone is an error of a
/// write.
class signal_watch {
public:
  signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  ~signal_watch();

  bool received() const noexcept { return received_.load(std::memory_order_relaxed); }

private:
  void watch();

  sigset_t watched_{};
  sigset_t before_{};
  std::atomic<bool> received_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

} // namespace colloquy::cli
