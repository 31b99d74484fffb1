#include "bench/bench_database.hpp"

#include "db/embedded_roles.hpp"

#include <algorithm>
#include <unordered_map>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

// The columns of workload::copy_rows.
constexpr const char* copy_command =
    "COPY bench_copy (tenant_id, log_id, \"offset\", created_at, kind, role, messages, data) FROM STDIN";

constexpr std::size_t copy_piece_bytes = std::size_t{64} << 10;

config::settings settings_for(const bench_options& options, const std::optional<test::temp_dir>& temporary) {
  config::settings settings;
  settings.data_dir = temporary ? *temporary / "data" : std::filesystem::absolute(*options.data_dir);
  settings.request_timeout = 2min;     // the queue at the end of a round may be long
  settings.session_idle_timeout = 24h; // no session sleeps: it would wake to a log that was emptied
  settings.batch_events_max = options.batch_events;
  settings.sessions_resident_max = std::max(settings.sessions_resident_max, options.sessions);
  return settings;
}

} // namespace

bench_database::bench_database(const bench_options& options) {
  if (!options.data_dir)
    temporary_.emplace("colloquy-bench");
  settings_ = settings_for(options, temporary_);
  auto opened = db::open_database(settings_);
  if (!opened)
    throw bench_failure(opened.failure().message);
  opened_ = std::move(*opened);
  if (!opened_.embedded->created())
    throw bench_failure("the data folder must be new: the bench empties tables");
  if (auto ready = db::make_ready(opened_, settings_); !ready)
    throw bench_failure(ready.failure().message);
  superuser_ = connect(superuser_conninfo());
  owner_ = connect(opened_.owner_conninfo);
  execute(owner_.get(), "CREATE TABLE bench_copy (LIKE events INCLUDING ALL)", PGRES_COMMAND_OK);
}

std::string bench_database::superuser_conninfo() const {
  return db::embedded::conninfo(opened_.embedded->socket_dir(), "postgres", "colloquy");
}

facts bench_database::describe() {
  facts found;
  const auto service = connect(opened_.service_conninfo);
  for (const auto* name : {"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level",
                           "wal_sync_method", "shared_buffers", "wal_buffers", "max_wal_size"})
    found.emplace_back(name, scalar(service.get(), std::string("SELECT current_setting('") + name + "')"));
  const auto forced = scalar(
      superuser_.get(), "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = 'events'::regclass");
  for (const auto& [name, value] : found)
    if ((name == "fsync" || name == "synchronous_commit" || name == "full_page_writes") && value != "on")
      throw bench_failure(name + " is " + value + ": nothing measured here would be durable");
  if (forced != "t")
    throw bench_failure("row level security of events is not forced");
  found.emplace_back("row_level_security", "forced");
  return found;
}

void bench_database::reset() {
  execute(owner_.get(), "TRUNCATE events, bench_copy", PGRES_COMMAND_OK);
  checkpoint();
}

void bench_database::empty_events() {
  execute(owner_.get(), "TRUNCATE events", PGRES_COMMAND_OK);
}

void bench_database::checkpoint() {
  execute(superuser_.get(), "CHECKPOINT", PGRES_COMMAND_OK);
}

std::chrono::nanoseconds bench_database::copy(const std::string& rows) {
  auto* const connection = owner_.get();
  const auto start = std::chrono::steady_clock::now();
  execute(connection, copy_command, PGRES_COPY_IN);
  for (std::size_t at = 0; at < rows.size(); at += copy_piece_bytes) {
    const auto bytes = std::min(copy_piece_bytes, rows.size() - at);
    if (PQputCopyData(connection, rows.data() + at, static_cast<int>(bytes)) != 1)
      throw bench_failure(std::string("COPY: ") + PQerrorMessage(connection));
  }
  if (PQputCopyEnd(connection, nullptr) != 1)
    throw bench_failure(std::string("COPY: ") + PQerrorMessage(connection));
  const db::result_ptr done(PQgetResult(connection));
  const auto time = std::chrono::steady_clock::now() - start;
  if (PQresultStatus(done.get()) != PGRES_COMMAND_OK)
    throw bench_failure(std::string("COPY: ") + PQerrorMessage(connection));
  while (const db::result_ptr last{PQgetResult(connection)}) {
  }
  return time;
}

void bench_database::check_events(const workload& work, const slice& part) {
  const auto rows =
      execute(superuser_.get(), "SELECT log_id, count(*), min(\"offset\"), max(\"offset\") FROM events GROUP BY log_id",
              PGRES_TUPLES_OK);
  std::unordered_map<std::string, std::string> found;
  for (int row = 0; row < PQntuples(rows.get()); ++row)
    found.emplace(PQgetvalue(rows.get(), row, 0), std::string(PQgetvalue(rows.get(), row, 1)) + " from " +
                                                      PQgetvalue(rows.get(), row, 2) + " to " +
                                                      PQgetvalue(rows.get(), row, 3));
  std::size_t logs = 0;
  for (std::size_t session = 0; session < part.sessions(); ++session) {
    const auto count = part.count(session);
    if (count == 0)
      continue;
    ++logs;
    const auto first = part.first(session);
    const auto wanted = std::to_string(count) + " from " + std::to_string(first) + " to " +
                        std::to_string(first + static_cast<event_offset>(count) - 1);
    const auto& log = work.sessions()[session].log;
    const auto at = found.find(log.to_string());
    if (at == found.end() || at->second != wanted)
      throw bench_failure("log " + log.to_string() + " should have " + wanted + " and has " +
                          (at == found.end() ? "nothing" : at->second));
  }
  if (found.size() != logs)
    throw bench_failure(std::to_string(found.size()) + " logs have events instead of " + std::to_string(logs));
}

void bench_database::check_same_rows(const slice& part) {
  const auto same = scalar(superuser_.get(), "SELECT count(*) FROM events AS e JOIN bench_copy AS c"
                                             " USING (tenant_id, log_id, \"offset\")"
                                             " WHERE (e.kind, e.role, e.data) = (c.kind, c.role, c.data)");
  const auto copied = scalar(superuser_.get(), "SELECT count(*) FROM bench_copy");
  const auto wanted = std::to_string(part.messages());
  if (same != wanted || copied != wanted)
    throw bench_failure("of " + wanted + " rows COPY wrote " + copied + ", and " + same + " are the same in events");
}

void bench_database::stop() {
  superuser_.reset();
  owner_.reset();
  if (auto stopped = opened_.stop(); !stopped)
    throw bench_failure(stopped.failure().message);
}

db::connection_ptr bench_database::connect(const std::string& conninfo) const {
  db::connection_ptr connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK)
    throw bench_failure(std::string("cannot connect: ") + PQerrorMessage(connection.get()));
  return connection;
}

db::result_ptr bench_database::execute(PGconn* connection, const std::string& sql, ExecStatusType expected) {
  db::result_ptr answer(PQexec(connection, sql.c_str()));
  if (PQresultStatus(answer.get()) != expected)
    throw bench_failure(sql + ": " + PQerrorMessage(connection));
  return answer;
}

std::string bench_database::scalar(PGconn* connection, const std::string& sql) {
  const auto answer = execute(connection, sql, PGRES_TUPLES_OK);
  return PQgetvalue(answer.get(), 0, 0);
}

} // namespace colloquy::bench
