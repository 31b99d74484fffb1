// Keeps a framework stores actor alive: one handle for all callers, whichever runs behind it.
//
// Accepts what the framework stores actor accepts (actors/framework_stores.hpp), and hands it on.
// Ordering: as it came.
// State it owns: which one runs.
// Death: takes the framework stores actor along. If that one dies, another takes over; what was in its mailbox is
// answered with a caf::error.
#pragma once

#include "actors/framework_stores.hpp"
#include "config/settings.hpp"

#include <memory>

namespace colloquy::actors {

class framework_stores_keeper : public framework_stores_actor::base {
public:
  framework_stores_keeper(caf::actor_config& config, supervisor_actor supervisor, framework_stores_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  void start();

  supervisor_actor supervisor_;
  const framework_stores_options options_;
  framework_stores_actor child_;
};

/// As a service of these settings has it.
framework_stores_actor spawn_framework_stores(caf::actor_system& system, const supervisor_actor& pool,
                                              const config::settings& settings, std::shared_ptr<tenant_meter> meter);

} // namespace colloquy::actors
