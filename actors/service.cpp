#include "actors/service.hpp"

#include "actors/directory.hpp"
#include "actors/journal.hpp"
#include "actors/journal_replay.hpp"
#include "actors/log_line.hpp"
#include "actors/supervisor.hpp"
#include "actors/tenants_keeper.hpp"
#include "db/configured_endpoint.hpp"
#include "db/pipeline_connection.hpp"
#include "db/session_queries.hpp"
#include "db/symptoms.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// The server ends a statement at its own timeout; the connection waits this much longer before it cancels it, for which
// there is as much time again.
constexpr auto beyond_statement_timeout = 5s;

// For the goodbyes of a service whose time to stop is over.
constexpr std::chrono::milliseconds last_words{100};

// From so many writes on a batch costs the server about as much before its commit as the commit does, so that another
// one beside it gains something; and of a slow disk's commit no more than this is waited (docs/decisions/0012).
constexpr std::size_t side_by_side_writes_min = 128;
constexpr auto gathering_max = 2ms;

// What an idle session costs: its actor, what it knows, its entry in the directory. Measured in bench/RESULTS.md.
constexpr std::size_t session_resident_bytes = 2048;

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

result<journal_actor> open_journal(caf::actor_system& system, const config::settings& settings) {
  if (!settings.journal_path)
    return error{error_code::invalid_request, "the journal is on and has no path; see journal_path"};
  auto file = db::journal_file::open(*settings.journal_path);
  if (!file)
    return file.failure();
  journal_options options;
  options.bytes_max = settings.journal_bytes_max;
  return spawn_journal(system, std::move(file).value(), options);
}

} // namespace

struct service::implementation {
  caf::actor_system& system;
  std::shared_ptr<byte_budget> budget;
  pool_control_actor pool;
  listener_actor listener;
  directory_actor directory;
  journal_actor journal;
  tenants_service tenants_keeper;
  tenants_actor tenants;

  void start_tenants(std::chrono::milliseconds request_timeout, std::shared_ptr<tenant_meter> meter);
  result<void> drain(std::chrono::milliseconds limit);
  result<void> flush_tenants(std::chrono::milliseconds limit);
  result<shards_owned> await_ownership(std::chrono::milliseconds limit);
  result<void> replay(const shards_owned& owned, std::chrono::milliseconds request_timeout);

  void end() {
    for (auto handle : {caf::actor_cast<caf::actor>(directory), caf::actor_cast<caf::actor>(tenants),
                        caf::actor_cast<caf::actor>(listener), caf::actor_cast<caf::actor>(journal),
                        caf::actor_cast<caf::actor>(pool)})
      if (handle) {
        caf::scoped_actor self{system};
        self->send_exit(handle, caf::exit_reason::user_shutdown);
        self->wait_for(handle);
      }
    directory = nullptr;
    tenants = nullptr;
    tenants_keeper = nullptr;
    listener = nullptr;
    journal = nullptr;
    pool = nullptr;
  }
};

service::service(std::unique_ptr<implementation> parts)
  : implementation_(std::move(parts)) {}

service::~service() {
  implementation_->end();
}

const directory_actor& service::directory() const noexcept {
  return implementation_->directory;
}

const pool_control_actor& service::pool() const noexcept {
  return implementation_->pool;
}

const listener_actor& service::listener() const noexcept {
  return implementation_->listener;
}

const tenants_actor& service::tenants() const noexcept {
  return implementation_->tenants;
}

const std::shared_ptr<byte_budget>& service::budget() const noexcept {
  return implementation_->budget;
}

result<std::unique_ptr<service>> service::start(caf::actor_system& system, service_options options) {
  const auto& settings = options.settings;
  if (settings.pool_max < connections_needed)
    return error{error_code::invalid_request,
                 "pool_max is " + std::to_string(settings.pool_max) + "; at least " +
                     std::to_string(connections_needed) +
                     " are needed: the writer has one of its own, and sessions are read through the others"};
  auto endpoint_options = db::configured_endpoint(settings, std::move(options.conninfo));
  auto endpoint = db::prepare_endpoint(endpoint_options);
  if (!endpoint)
    return endpoint.failure();
  for (const auto& warning : endpoint->warnings)
    spdlog::warn("{}", warning);
  auto parts = std::make_unique<implementation>(implementation{system, {}, {}, {}, {}, {}, {}, {}});
  parts->budget = std::make_shared<byte_budget>(settings.undurable_bytes_max);
  parts->pool = caf::actor_cast<pool_control_actor>(system.spawn<supervisor>(
      make_pool_options(settings), make_connection_options(settings, std::move(endpoint_options), *endpoint)));

  // The first answer shows that the login, the role and the schema are right.
  std::optional<db::db_failure> failure;
  caf::scoped_actor self{system};
  run_unit first{db::check_service()};
  first.purpose = "start";
  first.tries = 2; // who starts it wants to hear what is wrong, not to wait for another try
  self->request(parts->pool, std::max(settings.connect_timeout, settings.acquire_timeout) + 1s, std::move(first))
      .receive([&](const db::unit_outcome& outcome) { failure = outcome.failure; },
               [&](const caf::error&) {
                 failure = db::db_failure{db::failure_kind::wait, "", "no answer within connect_timeout"};
               });
  if (failure) {
    parts->end();
    // Waiting does not make another pooler of it.
    const bool is_wrong = failure->known && failure->known->trouble == db::connect_trouble::transaction_mode;
    return error{is_wrong ? error_code::invalid_request : error_code::database_unavailable, db::describe(*failure)};
  }
  if (settings.journal) {
    auto opened = open_journal(system, settings);
    if (!opened) {
      parts->end();
      return opened.failure();
    }
    parts->journal = std::move(opened).value();
  }
  parts->listener = caf::actor_cast<listener_actor>(
      system.spawn<actors::listener>(caf::actor_cast<supervisor_actor>(parts->pool), listener_options{}));
  const auto meter = std::make_shared<tenant_meter>(); // the writer counts, the tenants actor writes it down
  parts->directory = caf::actor_cast<directory_actor>(
      system.spawn<actors::directory>(caf::actor_cast<supervisor_actor>(parts->pool),
                                      make_directory_options(settings, parts->budget, parts->journal, meter)));
  parts->start_tenants(settings.request_timeout, meter);
  auto owned = parts->await_ownership(settings.request_timeout);
  auto begun = owned ? parts->replay(*owned, settings.request_timeout) : result<void>(owned.failure());
  if (!begun) {
    parts->end();
    return begun.failure();
  }
  return std::unique_ptr<service>(new service(std::move(parts)));
}

result<void> service::stop(std::chrono::milliseconds limit) {
  auto& parts = *implementation_;
  if (!parts.directory)
    return {};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const auto left = [deadline] {
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()),
                    last_words);
  };
  caf::scoped_actor self{parts.system};
  self->request(caf::actor_cast<caf::actor>(parts.directory), limit, close_directory{})
      .receive([](const result<directory_closed>&) {}, [](const caf::error&) {}); // it is closed all the same
  auto outcome = parts.drain(limit);
  if (outcome)
    self->request(caf::actor_cast<caf::actor>(parts.directory), left() + 1s,
                  give_up{std::chrono::steady_clock::now() + left()})
        .receive([](const result<given_up>&) {},
                 [](const caf::error&) {}); // without it, turns do not keep their leases
  self->send_exit(parts.directory, caf::exit_reason::user_shutdown);
  self->wait_for(parts.directory);
  parts.directory = nullptr;
  if (auto written = parts.flush_tenants(left()); !written && outcome)
    outcome = std::move(written);
  self->send_exit(parts.listener, caf::exit_reason::user_shutdown);
  self->request(parts.pool, left() + 1s, drain_pool{left()})
      .receive([](const result<pool_status>&) {}, [](const caf::error&) {});
  parts.end();
  return outcome;
}

/// Everything accepted becomes durable; or it is told, by session, what did not.
result<void> service::implementation::drain(std::chrono::milliseconds limit) {
  result<void> outcome;
  caf::scoped_actor self{system};
  self->request(directory, limit, flush{})
      .receive(
          [&](const result<flushed>& answer) {
            if (!answer)
              outcome = answer.failure();
          },
          [&](const caf::error&) {
            outcome = error{error_code::deadline_exceeded,
                            "not everything was durable within " + std::to_string(limit.count()) + " ms"};
          });
  if (outcome)
    return outcome;
  self->request(caf::actor_cast<caf::actor>(directory), 2s, report_undurable{})
      .receive(
          [&](const result<undurable_report>& report) {
            if (!report)
              return;
            for (const auto& each : report->sessions)
              log_about(spdlog::level::err, {each.session}, "not durable at the end: {} events from offset {} on",
                        each.events, each.first_offset);
            outcome.failure().message += "; " + std::to_string(report->sessions.size()) +
                                         " sessions have events that are not durable, see the log";
          },
          [](const caf::error&) {});
  return outcome;
}

void service::implementation::start_tenants(std::chrono::milliseconds request_timeout,
                                            std::shared_ptr<tenant_meter> meter) {
  tenants_options options;
  options.request_timeout = request_timeout;
  options.meter = std::move(meter);
  tenants_keeper = caf::actor_cast<tenants_service>(
      system.spawn<actors::tenants_keeper>(caf::actor_cast<supervisor_actor>(pool), std::move(options)));
  tenants = caf::actor_cast<tenants_actor>(tenants_keeper);
}

/// What was done in tenants' names, and what they have: after the last batch, which counts too.
result<void> service::implementation::flush_tenants(std::chrono::milliseconds limit) {
  result<void> outcome;
  caf::scoped_actor self{system};
  self->request(tenants_keeper, limit + 1s, actors::flush_tenants{system.clock().now() + limit})
      .receive(
          [&](const result<tenants_flushed>& left) {
            if (left && left->audit_entries_left > 0)
              outcome = error{error_code::deadline_exceeded, std::to_string(left->audit_entries_left) +
                                                                 " entries of the audit log could not be written"};
            if (left && left->tenants_uncounted > 0)
              spdlog::warn("what {} tenants have stored lately could not be counted", left->tenants_uncounted);
          },
          [&](const caf::error&) {
            outcome = error{error_code::deadline_exceeded, "whether the audit log is written is not known"};
          });
  return outcome;
}

/// What this process owns is known: sessions can be woken, or are refused for a reason.
result<shards_owned> service::implementation::await_ownership(std::chrono::milliseconds limit) {
  result<shards_owned> outcome{shards_owned{}};
  caf::scoped_actor self{system};
  self->request(caf::actor_cast<caf::actor>(directory), limit, actors::await_ownership{})
      .receive(
          [&](const result<shards_owned>& owned) {
            outcome = owned;
            if (owned && owned->owned.none())
              spdlog::warn("another process owns all sessions of this database; this one waits until they are free");
          },
          [&](const caf::error&) {
            outcome = error{error_code::database_unavailable, "this process could not register within " +
                                                                  std::to_string(limit.count()) +
                                                                  " ms; see the log, or run `colloquy migrate`"};
          });
  return outcome;
}

/// Before anybody else is served: what the last process had accepted and could not make durable.
result<void> service::implementation::replay(const shards_owned& owned, std::chrono::milliseconds request_timeout) {
  if (!journal)
    return {};
  replay_options options;
  options.owned = owned;
  options.request_timeout = options.patience = request_timeout;
  auto done = replay_journal(system, journal, directory, std::move(options));
  if (!done)
    return error{done.failure().code, "the journal could not be replayed: " + done.failure().message};
  if (done->durable_already + done->written_again + done->quarantined + done->erased > 0)
    spdlog::info(
        "journal: {} records were durable already, {} are written again, {} are in the quarantine; {} sessions "
        "in it are erased",
        done->durable_already, done->written_again, done->quarantined, done->erased);
  return {};
}

} // namespace colloquy::actors
