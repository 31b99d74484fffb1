// Colloquy inside the host's own actor_system: starts the pool and the directory, and ends them without losing
// anything.
#pragma once

#include "actors/listener_interface.hpp"
#include "actors/pool_interface.hpp"
#include "actors/session_handle.hpp"
#include "config/settings.hpp"
#include "messages/agent_interface.hpp"
#include "messages/byte_budget.hpp"
#include "messages/context_variables_interface.hpp"
#include "messages/customers_interface.hpp"
#include "messages/database_sessions_interface.hpp"
#include "messages/directory_interface.hpp"
#include "messages/documents_interface.hpp"
#include "messages/error.hpp"
#include "messages/tenants_interface.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace colloquy::actors {

struct service_options {
  config::settings settings;
  /// How the service's own connections log in: URI or key=value; TLS and the like are filled in from the settings. Its
  /// schema must be migrated, and the login must be a member of colloquy_service. A secret.
  std::string conninfo;
  /// Who owns the schema and may make roles: for database sessions, which are refused without it. A secret.
  std::string owner_conninfo{};
  agent_bounds agents{};
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
  /// A session, and a turn of it, as values. Whether they are there is found out when something is asked of them.
  session_handle session(session_key key) const { return {directory(), std::move(key)}; }
  turn_handle turn(session_key key, turn_id id) const { return {directory(), std::move(key), id}; }
  /// Agents of the host that run turns.
  const agents_actor& agents() const noexcept;
  /// The pool: units, leases, status and control.
  const pool_control_actor& pool() const noexcept;
  /// LISTEN for everybody on one backend.
  const listener_actor& listener() const noexcept;
  /// Tenants, their keys and quotas, and the audit log. If it dies another takes over behind the same handle.
  const tenants_actor& tenants() const noexcept;
  /// Collections of documents, and stores of them. If it dies another takes over behind the same handle.
  const documents_actor& documents() const noexcept;
  /// Stores that frameworks have, kept as documents; as documents() if they die.
  const customers_actor& customers() const noexcept;
  const context_variables_actor& context_variables() const noexcept;
  /// Callers' own SQL, as roles of their tenants'.
  const database_sessions_actor& database_sessions() const noexcept;
  /// What may be accepted and not yet durable; callers reserve from it before they send (byte_reservation).
  const std::shared_ptr<byte_budget>& budget() const noexcept;

  /// Takes no more turns of agents and waits for those at work, at most half of `limit`. Then blocks until everything
  /// accepted is durable, the audit log too, at most `limit`, then until the leases of others have ended, in what is
  /// left of it, then ends. Errors: what flush says; the service has ended then too, and what
  /// was not durable is lost.
  result<void> stop(std::chrono::milliseconds limit);

private:
  struct implementation;
  explicit service(std::unique_ptr<implementation> parts);
  std::unique_ptr<implementation> implementation_;
};

} // namespace colloquy::actors
