#include "cli/actor_system.hpp"

#include "actors/scheduler.hpp"

#include <algorithm>
#include <thread>

namespace colloquy::cli {
namespace {

/// Two on a small machine, beside the edge's thread and PostgreSQL; more do not help before a session's own work does.
std::size_t scheduler_threads() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 2, 16);
}

} // namespace

void set_scheduler(caf::actor_system_config& config) {
  actors::use_sparing_scheduler(config, scheduler_threads());
}

gateway::service_handles handles_of(const actors::service& service) {
  return {service.directory(),        service.tenants(),   service.pool(),
          service.documents(),        service.customers(), service.context_variables(),
          service.database_sessions()};
}

} // namespace colloquy::cli
