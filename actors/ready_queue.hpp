// The queue of a scheduler (actors/scheduler.hpp): what is ready, and which worker is woken for it. Any thread.
#pragma once

#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>

namespace colloquy::actors {

class ready_queue {
public:
  explicit ready_queue(caf::scheduler::abstract_coordinator* of)
    : of_(of) {}

  void push(caf::resumable* job, bool is_from_worker);
  /// Waits until there is one.
  caf::resumable* pop();
  /// Without waiting: none if there is none.
  caf::resumable* take();

  std::size_t asleep(); ///< the woken ones that do not run yet too
  std::size_t woken();

private:
  std::size_t awake() const { return of_->num_workers() - asleep_ + woken_; }

  caf::scheduler::abstract_coordinator* of_;
  std::mutex lock_;
  std::condition_variable is_there_;
  std::deque<caf::resumable*> jobs_;
  std::size_t asleep_ = 0;
  std::size_t woken_ = 0;
};

} // namespace colloquy::actors
