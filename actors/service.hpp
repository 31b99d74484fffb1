// Colloquy inside the host's own actor_system: starts the pool and the directory, and ends them without losing
// anything.
#pragma once

#include "actors/listener.hpp"
#include "actors/pool_interface.hpp"
#include "config/settings.hpp"
#include "messages/byte_budget.hpp"
#include "messages/directory_interface.hpp"
#include "messages/error.hpp"
#include "messages/tenants_interface.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace colloquy::actors {

struct service_options {
  config::settings settings;
  /// How the service's own connections log in: URI or key=value; TLS and the like are filled in from the settings. Its
  /// schema must be migrated, and the login must be a member of colloquy_service. A secret.
  std::string conninfo;
};

/// Not thread-safe; the handles it gives are. Must end before its actor_system.
class service {
public:
  /// Blocks until the database has answered, at most settings.connect_timeout; call it outside of actors.
  /// Errors: database_unavailable with the reason; invalid_request (a conninfo that cannot be read; a pooler in
  /// transaction mode, with the port to use instead).
  static result<std::unique_ptr<service>> start(caf::actor_system& system, service_options options);

  service(const service&) = delete;
  service& operator=(const service&) = delete;
  /// Ends at once. What is not durable yet is lost: call stop() first.
  ~service();

  /// The door to every session.
  const directory_actor& directory() const noexcept;
  /// The pool: units, leases, status and control.
  const pool_control_actor& pool() const noexcept;
  /// LISTEN for everybody on one backend.
  const listener_actor& listener() const noexcept;
  /// Tenants, their keys and quotas, and the audit log. If it dies another takes over behind the same handle.
  const tenants_actor& tenants() const noexcept;
  /// What may be accepted and not yet durable; callers reserve from it before they send (byte_reservation).
  const std::shared_ptr<byte_budget>& budget() const noexcept;

  /// Blocks until everything accepted is durable, the audit log too, at most `limit`, then until the leases of others
  /// have ended, in what is left of it, then ends. Errors: what flush says; the service has ended then too, and what
  /// was not durable is lost.
  result<void> stop(std::chrono::milliseconds limit);

private:
  struct implementation;
  explicit service(std::unique_ptr<implementation> parts);
  std::unique_ptr<implementation> implementation_;
};

} // namespace colloquy::actors
