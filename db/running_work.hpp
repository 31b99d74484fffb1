// Running what blocks and cannot be told to stop (a name lookup, libpq's blocking calls) for a limited time.
#pragma once

#include <chrono>
#include <future>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace colloquy::db {

/// Something that runs on a thread of its own and may be left behind.
template <class Value>
class running_work {
public:
  /// `work` must own all that it uses: it may outlive everybody else. It must not throw.
  template <class Work>
  explicit running_work(Work work) {
    std::packaged_task<Value()> task(std::move(work));
    outcome_ = task.get_future();
    try {
      std::thread(std::move(task)).detach();
    } catch (const std::system_error&) { // no thread to be had: as if it never ended
      outcome_ = {};
    }
  }

  /// Nothing if it is not done by then; the thread goes on and what it finds is dropped. Once only.
  std::optional<Value> wait_until(std::chrono::steady_clock::time_point until) {
    if (!outcome_.valid() || outcome_.wait_until(until) != std::future_status::ready)
      return std::nullopt;
    return outcome_.get();
  }

private:
  std::future<Value> outcome_;
};

} // namespace colloquy::db
