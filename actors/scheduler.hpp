// The scheduler that Colloquy's own programs run their actors on: CAF's workers on one queue, woken sparingly.
//
// CAF's "sharing" wakes a sleeping worker for every message that makes an actor ready, and does so while it holds the
// queue's lock, on which the woken one then has to wait once more. A message that a worker sends comes at the end of
// what it does, most often: it is back at the queue before another one is awake. So what a worker itself makes ready
// wakes nobody unless there is more of it than those who are awake can take at once; what comes from elsewhere (sockets,
// the edge, the clock) wakes a worker as before.
//
// What it asks for: a job that sends must not go on for long afterwards, or what it sent waits so long although another
// worker sleeps. Nothing of ours does. A host chooses the scheduler of its own system itself.
#pragma once

#include <caf/actor_system_config.hpp>
#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/coordinator.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>

namespace colloquy::actors {

/// What is ready, in order, and who waits for it. Any thread.
class ready_queue {
public:
  explicit ready_queue(caf::scheduler::abstract_coordinator* of) : of_(of) {}

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

/// A policy of CAF's schedulers, of which each worker and the coordinator have one.
class sparing_policy : public caf::policy::unprofiled {
public:
  using coordinator_data = ready_queue;
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    self->data().push(job, false);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    self->parent()->data().push(job, false);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    self->parent()->data().push(job, true);
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    self->parent()->data().push(job, true);
  }
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    return self->parent()->data().pop();
  }

  template <class Worker, class Function>
  void foreach_resumable(Worker*, Function) {}
  template <class Coordinator, class Function>
  void foreach_central_resumable(Coordinator* self, Function of) {
    while (auto* job = self->data().take())
      of(job);
  }
};

/// A system made with this configuration runs on so many workers, scheduled in that way.
void use_sparing_scheduler(caf::actor_system_config& config, std::size_t workers);

} // namespace colloquy::actors
