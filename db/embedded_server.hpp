// The PostgreSQL that Colloquy runs by itself when no database is named.
//
// The data folder holds: `postgres` (the cluster, made at first use), `postgres.log` and `postgres.log.1` (the server's
// log, bounded, without values of statements), `colloquy.lock` (who holds the folder). The server listens on a unix
// socket inside the cluster's folder and nowhere else, and lets only the user of the operating system who started us
// log in. It never outlives this process: not an exit, not SIGKILL. It then stops by itself, cleanly, within about a
// second, and the next start waits for it.
//
// Started as root, the server runs as another user (PostgreSQL refuses root): the owner of the cluster that is there,
// else `run_as_user`. The data folder may then lie where that user cannot reach it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "messages/error.hpp"

namespace colloquy::db {

struct embedded_options {
  std::filesystem::path data_dir;       ///< made if it is missing
  std::filesystem::path bin_dir;        ///< of `initdb` and `postgres`; empty: looked for in the usual places and PATH
  std::string run_as_user = "postgres"; ///< for a new cluster when we are root
  /// For all of start(). Long, because after a power failure the server first replays what it had not yet written.
  std::chrono::milliseconds start_timeout = std::chrono::minutes(2);
  /// How long a clean stop may take; then it is stopped at once, which loses nothing but makes the next start longer.
  std::chrono::milliseconds stop_timeout = std::chrono::seconds(10);
  std::uint64_t free_bytes_new = 128ull << 20;     ///< required to make a cluster, which takes about 60 MiB
  std::uint64_t free_bytes_existing = 32ull << 20; ///< required to start one: two segments of its log
  /// More settings for the server, which win over ours. For tests and experts.
  std::vector<std::pair<std::string, std::string>> server_settings;
};

/// A running server and the lock on its data folder. Move-only; whoever holds it owns both. The const calls are
/// safe from any thread until stop() or a move begins; those belong to the owner's thread.
class embedded_server {
public:
  /// Makes the cluster if there is none, starts the server, makes roles and database, all of which can be repeated
  /// after any interruption. Blocks: about a second the first time, a fraction of it later; so call it before any actor
  /// runs. On failure nothing of ours is left running and the folder is free again.
  ///
  /// Errors: `invalid_request` if folder, user, programs or version must be changed by a person; `conflict` if another
  /// process holds the folder; `database_unavailable` if it may work later (disk full, server died);
  /// `deadline_exceeded` after start_timeout.
  static result<embedded_server> start(const embedded_options& options);

  embedded_server(embedded_server&&) noexcept;
  embedded_server& operator=(embedded_server&&) noexcept;
  /// Stops.
  ~embedded_server();

  /// What libpq's `host` gets: the socket's folder. Where its path is too long for a socket's address, or has a comma
  /// in it, this is a path that holds for this process only and while this object lives.
  const std::string& socket_dir() const;
  /// As `colloquy_owner`, who owns the database `colloquy` and its schema `public` and may make roles: for migrations.
  const std::string& owner_conninfo() const;
  /// As `colloquy`, who owns nothing and inherits nothing: for everything else.
  const std::string& service_conninfo() const;
  /// After migrating: takes from everybody what would show tenants' roles more than their own (embedded_catalogs.hpp).
  result<void> close_catalogs() const;
  pid_t pid() const;
  int major_version() const;
  /// Whether this start made the cluster.
  bool created() const;
  /// False once the server has ended, whoever ended it. Backends that die do not end it.
  bool running() const;

  /// Stops the server in order and frees the folder. Blocks, for stop_timeout and a few seconds at most. Close the
  /// connections first, or their transactions are rolled back. An error tells that the server had not ended in order;
  /// what was committed is kept in any case. A second call does nothing.
  result<void> stop();

private:
  struct state;
  explicit embedded_server(std::unique_ptr<state> fresh);
  std::unique_ptr<state> state_;
};

} // namespace colloquy::db
