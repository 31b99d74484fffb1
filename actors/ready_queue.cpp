#include "actors/ready_queue.hpp"

namespace colloquy::actors {

void ready_queue::push(caf::resumable* job, bool is_from_worker) {
  bool wakes = false;
  {
    const std::lock_guard guard(lock_);
    jobs_.push_back(job);
    const bool is_left = is_from_worker && awake() > 0 && jobs_.size() <= awake() + 1;
    wakes = asleep_ > woken_ && !is_left;
    if (wakes)
      ++woken_;
  }
  if (wakes)
    is_there_.notify_one();
}

caf::resumable* ready_queue::pop() {
  std::unique_lock guard(lock_);
  while (jobs_.empty()) {
    ++asleep_;
    is_there_.wait(guard);
    --asleep_;
    if (woken_ > 0) // or it woke by itself, and another one is woken for nothing
      --woken_;
  }
  auto* job = jobs_.front();
  jobs_.pop_front();
  return job;
}

caf::resumable* ready_queue::take() {
  const std::lock_guard guard(lock_);
  if (jobs_.empty())
    return nullptr;
  auto* job = jobs_.front();
  jobs_.pop_front();
  return job;
}

std::size_t ready_queue::asleep() {
  const std::lock_guard guard(lock_);
  return asleep_;
}

std::size_t ready_queue::woken() {
  const std::lock_guard guard(lock_);
  return woken_;
}

} // namespace colloquy::actors
