// The key that makes tenants: kept as a hash, shown once.
#pragma once

#include "config/settings.hpp"
#include "messages/error.hpp"
#include "messages/tenants_interface.hpp"

#include <caf/fwd.hpp>

namespace colloquy::cli {

struct key_facts {
  bool has_tenant_keys = false; ///< one was ever made
};

/// If none is set and none was ever made, makes one, and shows it: on the terminal, if standard error is one, else in
/// the file admin.key of mode 0600 in data_dir. Blocks, at most request_timeout. Errors: of the tenants actor;
/// internal, if the file cannot be written: then no key is kept.
result<key_facts> ensure_admin_key_shown(caf::actor_system& system, const tenants_actor& tenants,
                                         const config::settings& settings);

} // namespace colloquy::cli
