#include "actors/service_settings.hpp"

#include "db/configured_endpoint.hpp"
#include "db/pipeline_connection.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// The server ends a statement at its own timeout; the connection waits this much longer before it cancels it, for which
// there is as much time again.
constexpr auto beyond_statement_timeout = 5s;

// From so many writes on a batch keeps the server busy before its commit, so that another one beside it gains
// something; and of a slow disk's commit no more than this is waited (docs/decisions/0012).
constexpr std::size_t side_by_side_writes_min = 16;
constexpr auto gathering_max = 2ms;

// What an idle session costs: its actor, what it knows, its entry in the directory. Measured in bench/RESULTS.md.
constexpr std::size_t session_resident_bytes = 2048;

} // namespace

std::shared_ptr<const connection_options> make_connection_options(const config::settings& settings,
                                                                  db::endpoint_options endpoint_options,
                                                                  const db::endpoint& endpoint) {
  auto options = std::make_shared<connection_options>();
  options->target =
      db::service_target(endpoint.conninfo, settings.schema, settings.application_name + " pool",
                         {settings.statement_timeout, settings.idle_in_transaction_timeout, settings.lock_timeout});
  options->target.statements_max = settings.statement_cache_max;
  options->endpoint = std::move(endpoint_options);
  options->has_host_names = db::has_host_names(endpoint.conninfo);
  options->connect_timeout = settings.connect_timeout;
  options->unit_timeout = settings.statement_timeout + beyond_statement_timeout;
  options->cancel_grace = beyond_statement_timeout;
  options->leak_after = settings.lease_leak_after;
  options->slow_after = settings.slow_statement_after;
  options->reactor = std::make_shared<io_reactor>();
  return options;
}

pool_options make_pool_options(const config::settings& settings) {
  pool_options pool;
  pool.connections_min = settings.pool_min;
  pool.connections_max = settings.pool_max;
  pool.acquire_timeout = settings.acquire_timeout;
  pool.idle_timeout = settings.pool_idle_timeout;
  pool.max_lifetime = settings.pool_max_lifetime;
  pool.health_check_interval = settings.health_check_interval;
  pool.report_interval = settings.report_interval;
  pool.lease_idle_timeout = settings.lease_idle_timeout;
  pool.waiters_max = settings.pool_waiters_max;
  pool.tenant_waiters_max = settings.tenant_waiters_max;
  pool.tenant_backends_max = settings.tenant_backends_max;
  pool.pipeline_depth = settings.pipeline_depth;
  pool.reconnect = {settings.reconnect_delay_first, settings.reconnect_delay_max,
                    static_cast<unsigned>(settings.reconnect_jitter_percent)};
  pool.logs_reports = settings.monitoring;
  pool.application_name = settings.application_name;
  pool.seed = std::random_device{}();
  return pool;
}

database_sessions_options make_database_sessions_options(const config::settings& settings, std::string owner_conninfo) {
  database_sessions_options options;
  options.is_enabled = settings.database_sessions;
  options.place.schema = settings.schema;
  options.place.preferred = db::configured_endpoint(settings, owner_conninfo).preferred;
  options.place.owner_conninfo = std::move(owner_conninfo);
  options.sessions_max = settings.database_sessions_max;
  options.tenant_sessions_max = settings.tenant_database_sessions_max;
  options.backends_max = settings.database_backends_max;
  options.tenant_backends_max = settings.tenant_database_backends_max;
  options.idle_timeout = settings.database_session_idle_timeout;
  options.lifetime = settings.database_session_lifetime;
  options.backend_idle_timeout = settings.database_backend_idle_timeout;
  options.connect_timeout = settings.connect_timeout;
  options.reactor = std::make_shared<io_reactor>();
  return options;
}

directory_options make_directory_options(const config::settings& settings, std::shared_ptr<byte_budget> budget,
                                         journal_actor journal, std::shared_ptr<tenant_meter> meter) {
  directory_options options;
  options.budget = std::move(budget);
  options.journal = std::move(journal);
  options.session_undurable_bytes_max = settings.session_undurable_bytes_max;
  options.tenant_undurable_bytes_max = settings.tenant_undurable_bytes_max;
  options.sessions_resident_max =
      std::min(settings.sessions_resident_max, settings.resident_bytes_max / session_resident_bytes);
  options.tail_bytes_max = settings.tail_cache_bytes_max;
  options.turns_queued_max = settings.turns_queued_max;
  options.sliding_expiry = settings.sliding_expiry;
  options.session_idle_timeout = settings.session_idle_timeout;
  options.request_timeout = settings.request_timeout;
  options.writing.side_by_side_writes_min = side_by_side_writes_min;
  options.writing.gathering_max = gathering_max;
  options.writing.batch_events_max = settings.batch_events_max;
  options.writing.batch_bytes_max = settings.batch_bytes_max;
  options.writing.batches_in_flight_max = settings.batches_in_flight_max;
  options.writing.batch_timeout = settings.statement_timeout + 2 * beyond_statement_timeout;
  options.writing.meter = std::move(meter);
  options.writing.barrier_timeout = settings.request_timeout;
  options.writing.lease_timeout = settings.acquire_timeout + 5s; // the pool answers within acquire_timeout
  options.sweeping.sweep_interval = settings.sweep_interval;
  options.sweeping.expired_retention = settings.expired_retention;
  options.sweeping.request_timeout = settings.request_timeout;
  return options;
}

} // namespace colloquy::actors
