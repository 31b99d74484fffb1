#include "actors/service.hpp"

#include "actors/directory.hpp"
#include "actors/supervisor.hpp"
#include "db/pipeline_connection.hpp"
#include "db/resolve.hpp"
#include "db/session_queries.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// The server ends a statement at its own timeout; the connection waits this much longer before it gives up on both.
constexpr auto beyond_statement_timeout = 5s;

constexpr std::size_t connections_needed = 2;

std::shared_ptr<const connection_options> make_connection_options(const config::settings& settings,
                                                                  std::string conninfo) {
  auto options = std::make_shared<connection_options>();
  options->target = db::service_target(std::move(conninfo), settings.schema, settings.application_name,
                                       settings.statement_timeout, settings.idle_in_transaction_timeout);
  options->connect_timeout = settings.connect_timeout;
  options->unit_timeout = settings.statement_timeout + beyond_statement_timeout;
  options->reactor = std::make_shared<io_reactor>();
  return options;
}

directory_options make_directory_options(const config::settings& settings, process_id process,
                                         std::shared_ptr<byte_budget> budget) {
  directory_options options;
  options.process = process;
  options.budget = std::move(budget);
  options.session_undurable_bytes_max = settings.session_undurable_bytes_max;
  options.sessions_resident_max = settings.sessions_resident_max;
  options.session_idle_timeout = settings.session_idle_timeout;
  options.request_timeout = settings.request_timeout;
  options.writing.batch_events_max = settings.batch_events_max;
  options.writing.batch_bytes_max = settings.batch_bytes_max;
  options.writing.batches_in_flight_max = settings.batches_in_flight_max;
  options.writing.batch_timeout = settings.statement_timeout + 2 * beyond_statement_timeout;
  options.writing.barrier_timeout = settings.request_timeout;
  options.writing.lease_timeout = settings.connect_timeout + 5s; // the pool answers within connect_timeout
  return options;
}

} // namespace

struct service::implementation {
  caf::actor_system& system;
  process_id process = process_id::make();
  std::shared_ptr<byte_budget> budget;
  std::shared_ptr<const connection_options> connecting;
  supervisor_actor supervisor;
  directory_actor directory;

  void end() {
    for (auto handle : {caf::actor_cast<caf::actor>(directory), caf::actor_cast<caf::actor>(supervisor)})
      if (handle) {
        caf::scoped_actor self{system};
        self->send_exit(handle, caf::exit_reason::user_shutdown);
        self->wait_for(handle);
      }
    directory = nullptr;
    supervisor = nullptr;
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

const std::shared_ptr<byte_budget>& service::budget() const noexcept {
  return implementation_->budget;
}

result<std::unique_ptr<service>> service::start(caf::actor_system& system, service_options options) {
  if (options.settings.pool_max < connections_needed)
    return error{error_code::invalid_request,
                 "pool_max is " + std::to_string(options.settings.pool_max) + "; at least " +
                     std::to_string(connections_needed) +
                     " are needed: the writer has one of its own, and sessions are read through the others"};
  auto resolved = db::resolve_hosts(options.conninfo);
  if (!resolved)
    return resolved.failure();
  const auto& settings = options.settings;
  auto parts = std::make_unique<implementation>(implementation{system, {}, {}, {}, {}, {}});
  parts->process = process_id::make();
  parts->budget = std::make_shared<byte_budget>(settings.undurable_bytes_max);
  parts->connecting = make_connection_options(settings, std::move(resolved).value());
  pool_options pool;
  pool.connections_min = settings.pool_min;
  pool.connections_max = settings.pool_max;
  pool.acquire_timeout = settings.connect_timeout;
  parts->supervisor = caf::actor_cast<supervisor_actor>(system.spawn<supervisor>(pool, parts->connecting));

  // The first answer shows that the login, the role and the schema are right.
  std::optional<db::db_failure> failure;
  caf::scoped_actor self{system};
  self->request(parts->supervisor, settings.connect_timeout + 1s, run_unit{db::check_service()})
      .receive([&](const db::unit_outcome& outcome) { failure = outcome.failure; },
               [&](const caf::error&) {
                 failure = db::db_failure{db::failure_kind::wait, "", "no answer within connect_timeout"};
               });
  if (failure) {
    parts->end();
    return error{error_code::database_unavailable, failure->message};
  }
  parts->directory = caf::actor_cast<directory_actor>(system.spawn<actors::directory>(
      parts->supervisor, make_directory_options(settings, parts->process, parts->budget)));
  return std::unique_ptr<service>(new service(std::move(parts)));
}

result<void> service::stop(std::chrono::milliseconds limit) {
  auto& parts = *implementation_;
  result<void> outcome;
  if (!parts.directory)
    return outcome;
  caf::scoped_actor self{parts.system};
  self->request(parts.directory, limit, flush{})
      .receive(
          [&](const result<flushed>& answer) {
            if (!answer)
              outcome = answer.failure();
          },
          [&](const caf::error&) {
            outcome = error{error_code::deadline_exceeded,
                            "not everything was durable within " + std::to_string(limit.count()) + " ms"};
          });
  self->send_exit(parts.directory, caf::exit_reason::user_shutdown);
  self->wait_for(parts.directory);
  parts.directory = nullptr;
  if (outcome)
    self->request(parts.supervisor, 1s, run_unit{db::release_writers(parts.process)})
        .receive([](const db::unit_outcome&) {}, [](const caf::error&) {}); // an old row does no harm
  parts.end();
  return outcome;
}

} // namespace colloquy::actors
