// The one server that everything of a run is measured on, and what is asked of it by SQL: the truth about what was
// written. Blocking.
#pragma once

#include "bench/bench_failure.hpp"
#include "bench/options.hpp"
#include "bench/workload.hpp"
#include "config/settings.hpp"
#include "db/libpq_handles.hpp"
#include "db/startup.hpp"
#include "tests/support/temp_dir.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::bench {

/// What a result depends on: name and value.
using facts = std::vector<std::pair<std::string, std::string>>;

class bench_database {
public:
  /// Starts a new embedded server, as the program does, and migrates it. Every failure of it throws bench_failure.
  explicit bench_database(const bench_options& options);

  /// As the service runs: the program's defaults, with patience for a queue that is meant to be long.
  const config::settings& settings() const noexcept { return settings_; }
  const std::string& service_conninfo() const noexcept { return opened_.service_conninfo; }

  /// May do everything, on the unix socket.
  std::string superuser_conninfo() const;

  pid_t server_pid() const { return opened_.embedded->pid(); }

  /// Version and settings as the service's login sees them. Throws if a commit would not be durable, or row level
  /// security not forced.
  facts describe();

  /// Empties both tables and writes out what is dirty, so that no measurement pays for the one before.
  void reset();
  void empty_events();
  void checkpoint();

  /// One COPY of all rows, as the owner, into a table with the same columns, constraints and indexes as `events` and
  /// without row level security, which refuses COPY. Returns the time from the command to its commit.
  std::chrono::nanoseconds copy(const std::string& rows);

  /// Throws unless every log has the slice's events: their number, the first and the last offset.
  void check_events(const workload& work, const slice& part);
  /// Throws unless COPY's table holds the very same rows (but for created_at) as the events.
  void check_same_rows(const slice& part);

  /// The first value that a statement of the superuser gives, as text.
  std::string value(const std::string& sql) const { return scalar(superuser_.get(), sql); }

  /// A statement of the superuser that gives no rows.
  void run(const std::string& sql) { execute(superuser_.get(), sql, PGRES_COMMAND_OK); }

  void stop();

private:
  db::connection_ptr connect(const std::string& conninfo) const;
  static db::result_ptr execute(PGconn* connection, const std::string& sql, ExecStatusType expected);
  static std::string scalar(PGconn* connection, const std::string& sql);

  std::optional<test::temp_dir> temporary_; // first: it goes when the server has stopped
  config::settings settings_;
  db::database opened_;
  db::connection_ptr superuser_; // sees all rows, may checkpoint
  db::connection_ptr owner_;
};

} // namespace colloquy::bench
