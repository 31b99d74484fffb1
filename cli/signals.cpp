#include "cli/signals.hpp"

#include "cli/exit_code.hpp"

#include <pthread.h>
#include <unistd.h>

namespace colloquy::cli {

signal_watch::signal_watch(bool takes_reload) {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&watched_);
  sigaddset(&watched_, SIGINT);
  sigaddset(&watched_, SIGTERM);
  if (takes_reload)
    sigaddset(&watched_, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  thread_ = std::thread([this] { watch(); });
}

signal_watch::~signal_watch() {
  stopping_ = true;
  pthread_kill(thread_.native_handle(), SIGINT); // to the thread alone: wakes it
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void signal_watch::wait_for(std::chrono::milliseconds time) {
  std::unique_lock guard(mutex_);
  news_.wait_for(guard, time, [this] { return received_ || reload_; });
}

void signal_watch::watch() {
  for (;;) {
    int number = 0;
    if (sigwait(&watched_, &number) != 0 || stopping_)
      return;
    if (number != SIGHUP && received_.exchange(true))
      ::_exit(exit_failed);
    const std::lock_guard guard(mutex_); // so that nobody misses it between looking and waiting
    if (number == SIGHUP)
      reload_ = true;
    news_.notify_all();
  }
}

} // namespace colloquy::cli
