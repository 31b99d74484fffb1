#include "cli/signals.hpp"

#include "cli/exit_code.hpp"

#include <pthread.h>
#include <unistd.h>

namespace colloquy::cli {

signal_watch::signal_watch() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&watched_);
  sigaddset(&watched_, SIGINT);
  sigaddset(&watched_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  thread_ = std::thread([this] { watch(); });
}

signal_watch::~signal_watch() {
  stopping_ = true;
  pthread_kill(thread_.native_handle(), SIGINT); // to the thread alone: wakes it
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void signal_watch::watch() {
  for (;;) {
    int number = 0;
    if (sigwait(&watched_, &number) != 0 || stopping_)
      return;
    if (received_.exchange(true))
      ::_exit(exit_failed);
  }
}

} // namespace colloquy::cli
