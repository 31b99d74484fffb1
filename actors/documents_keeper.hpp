// Keeps a documents actor alive: one handle for all callers, whichever runs behind it.
//
// Accepts what the documents actor accepts (actors/documents.hpp), and hands it on.
// Ordering: as it came.
// State it owns: which one runs.
// Death: takes the documents actor along. If that one dies, another takes over; what was in its mailbox is answered
// with a caf::error.
#pragma once

#include "actors/documents.hpp"
#include "config/settings.hpp"

#include <memory>

namespace colloquy::actors {

class documents_keeper : public documents_actor::base {
public:
  documents_keeper(caf::actor_config& config, supervisor_actor supervisor, documents_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  void start();

  supervisor_actor supervisor_;
  const documents_options options_;
  documents_actor child_;
};

/// As a service of these settings has it.
documents_actor spawn_documents(caf::actor_system& system, const supervisor_actor& pool,
                                const config::settings& settings, std::shared_ptr<tenant_meter> meter);

} // namespace colloquy::actors
