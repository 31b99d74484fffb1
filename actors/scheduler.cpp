#include "actors/scheduler.hpp"

#include "actors/ready_queue.hpp"

#include <caf/policy/unprofiled.hpp>
#include <caf/scheduler/coordinator.hpp>

namespace colloquy::actors {
namespace {

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

} // namespace

void use_sparing_scheduler(caf::actor_system_config& config, std::size_t workers) {
  config.set("scheduler.max-threads", workers);
  config.load<caf::scheduler::coordinator<sparing_policy>>();
}

} // namespace colloquy::actors
