// From settings to a database that can be worked on. Blocking; before any actor runs; for the
// program, and for hosts that have its settings.
#pragma once

#include "config/settings.hpp"
#include "db/embedded_server.hpp"
#include "db/migrator.hpp"
#include "messages/error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace colloquy::db {

/// A database, and the server if it is ours. The server stops with it, so it must outlive whoever is connected.
struct database {
  std::optional<embedded_server> embedded;
  std::string service_conninfo;      ///< secret
  std::string owner_conninfo;        ///< secret; for migrations
  std::string shown;                 ///< where it is, for people; no secret
  std::vector<std::string> warnings; ///< of the way to it; the service says them itself

  /// Stops the embedded server, if there is one. Errors: internal, if it had not ended in order.
  result<void> stop();
};

/// Starts the embedded server if no database is set, else only takes what is set, filled in with TLS and the like.
/// Errors: of embedded_server::start and db::prepare_endpoint.
result<database> open_database(const config::settings& settings);

/// Migrates. On the embedded server its login for the service can work afterwards; on another the connecting user.
result<migration_report> migrate_database(const database& opened, const config::settings& settings);

/// A database that the service can run on: the embedded one is migrated, another is only looked at. Errors: conflict,
/// naming what is missing and `colloquy migrate`; of the migrator.
result<void> make_ready(const database& opened, const config::settings& settings);

/// Whether what is between us and a database that was set keeps a session's backend. Says nothing about one that cannot
/// be reached. Blocks for some seconds at most. Errors: invalid_request, naming the port to use instead.
result<void> refuse_transaction_mode(const database& opened, const config::settings& settings);

} // namespace colloquy::db
