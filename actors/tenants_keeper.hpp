// Keeps a tenants actor alive: one handle for all callers, whichever runs behind it.
//
// Accepts what the tenants actor accepts (actors/tenants.hpp), and hands it on.
// Ordering: as it came.
// State it owns: which one runs, and, with it, what that has taken and not written yet.
// Death: takes the tenants actor along. If that one dies, another takes over, and goes on with what is left to write;
// what was in its mailbox is answered with a caf::error.
#pragma once

#include "actors/tenants.hpp"

#include <memory>

namespace colloquy::actors {

class tenants_keeper : public tenants_service::base {
public:
  tenants_keeper(caf::actor_config& config, supervisor_actor supervisor, tenants_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  void start();

  supervisor_actor supervisor_;
  const tenants_options options_;
  const std::shared_ptr<tenants_backlog> backlog_ = std::make_shared<tenants_backlog>();
  tenants_service child_;
};

} // namespace colloquy::actors
