// SIGINT, SIGTERM and SIGHUP as something to ask for.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

namespace colloquy::cli {

/// While it lives, the first SIGINT or SIGTERM only sets a flag, and the second ends the program at once, as a kill
/// would: what the operating system does not undo, the next start mends. Made before any other thread, because those
/// inherit that the signals are held back. Also makes SIGPIPE ignored, for good: a peer that is gone is an error of a
/// write.
class signal_watch {
public:
  /// Without `takes_reload` SIGHUP ends the program, as ever.
  explicit signal_watch(bool takes_reload = false);
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  ~signal_watch();

  bool received() const noexcept { return received_.load(std::memory_order_relaxed); }
  /// Whether SIGHUP came since this was last asked.
  bool take_reload() noexcept { return reload_.exchange(false); }
  /// Returns when a signal has come, or after that time.
  void wait_for(std::chrono::milliseconds time);

private:
  void watch();

  sigset_t watched_{};
  sigset_t before_{};
  std::atomic<bool> received_{false};
  std::atomic<bool> reload_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable news_;
  std::thread thread_;
};

} // namespace colloquy::cli
