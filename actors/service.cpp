#include "actors/service.hpp"

#include "actors/agents.hpp"
#include "actors/database_sessions.hpp"
#include "actors/directory.hpp"
#include "actors/documents_keeper.hpp"
#include "actors/framework_stores_keeper.hpp"
#include "actors/journal.hpp"
#include "actors/journal_replay.hpp"
#include "actors/listener.hpp"
#include "actors/log_line.hpp"
#include "actors/service_settings.hpp"
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
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// For the goodbyes of a service whose time to stop is over.
constexpr std::chrono::milliseconds last_words{100};

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
  documents_actor documents;
  framework_stores_actor framework_stores;
  customers_actor customers;
  context_variables_actor context_variables;
  agents_service agents_keeper;
  agents_actor agents;
  database_sessions_actor database_sessions;

  void start_agents(const config::settings& settings, const agent_bounds& bounds);
  void stop_agents(std::chrono::milliseconds limit);
  void start_documents(const config::settings& settings, const std::shared_ptr<tenant_meter>& meter);
  void end_documents();
  void start_tenants(std::chrono::milliseconds request_timeout, std::shared_ptr<tenant_meter> meter);
  result<void> drain(std::chrono::milliseconds limit);
  result<void> flush_tenants(std::chrono::milliseconds limit);
  result<shards_owned> await_ownership(std::chrono::milliseconds limit);
  result<void> replay(const shards_owned& owned, std::chrono::milliseconds request_timeout);

  template <class Handle>
  void end_of(const Handle& handle) {
    if (!handle)
      return;
    caf::scoped_actor self{system};
    self->send_exit(handle, caf::exit_reason::user_shutdown);
    self->wait_for(handle);
  }

  void end() {
    end_of(agents);
    end_of(database_sessions);
    database_sessions = nullptr;
    end_of(directory);
    end_documents();
    end_of(tenants);
    end_of(listener);
    end_of(journal);
    end_of(pool);
    agents = nullptr;
    agents_keeper = nullptr;
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

const documents_actor& service::documents() const noexcept {
  return implementation_->documents;
}

const customers_actor& service::customers() const noexcept {
  return implementation_->customers;
}

const context_variables_actor& service::context_variables() const noexcept {
  return implementation_->context_variables;
}

const agents_actor& service::agents() const noexcept {
  return implementation_->agents;
}

const database_sessions_actor& service::database_sessions() const noexcept {
  return implementation_->database_sessions;
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
  auto parts =
      std::make_unique<implementation>(implementation{system, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}});
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
  const auto meter = std::make_shared<tenant_meter>(); // others count, the tenants actor writes it down
  parts->directory = caf::actor_cast<directory_actor>(
      system.spawn<actors::directory>(caf::actor_cast<supervisor_actor>(parts->pool),
                                      make_directory_options(settings, parts->budget, parts->journal, meter)));
  parts->start_documents(settings, meter);
  parts->database_sessions = caf::actor_cast<database_sessions_actor>(
      system.spawn<actors::database_sessions>(caf::actor_cast<supervisor_actor>(parts->pool), parts->listener,
                                              make_database_sessions_options(settings, options.owner_conninfo)));
  parts->start_tenants(settings.request_timeout, meter);
  auto owned = parts->await_ownership(settings.request_timeout);
  auto begun = owned ? parts->replay(*owned, settings.request_timeout) : result<void>(owned.failure());
  if (!begun) {
    parts->end();
    return begun.failure();
  }
  parts->start_agents(settings, options.agents);
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
  parts.stop_agents(limit / 2);
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
  parts.end_of(parts.database_sessions);
  parts.database_sessions = nullptr;
  parts.end_documents();
  if (auto written = parts.flush_tenants(left()); !written && outcome)
    outcome = std::move(written);
  self->send_exit(parts.listener, caf::exit_reason::user_shutdown);
  self->request(parts.pool, left() + 1s, drain_pool{left()})
      .receive([](const result<pool_status>&) {}, [](const caf::error&) {});
  parts.end();
  return outcome;
}

void service::implementation::start_agents(const config::settings& settings, const agent_bounds& bounds) {
  agents_options options;
  static_cast<agent_bounds&>(options) = bounds;
  options.request_timeout = settings.request_timeout;
  options.budget = budget;
  agents_keeper = caf::actor_cast<agents_service>(system.spawn<actors::agents>(directory, std::move(options)));
  agents = caf::actor_cast<agents_actor>(agents_keeper);
}

/// While the directory still takes what they have to say.
void service::implementation::stop_agents(std::chrono::milliseconds limit) {
  caf::scoped_actor self{system};
  self->request(agents_keeper, limit + 2s, actors::stop_agents{limit})
      .receive(
          [](const result<agents_stopped>& stopped) {
            if (stopped && stopped->cut > 0)
              spdlog::warn("{} turns of agents were not finished", stopped->cut);
          },
          [](const caf::error&) {});
  self->send_exit(agents_keeper, caf::exit_reason::user_shutdown);
  self->wait_for(agents_keeper);
  agents = nullptr;
  agents_keeper = nullptr;
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

void service::implementation::start_documents(const config::settings& settings,
                                              const std::shared_ptr<tenant_meter>& meter) {
  const auto supervisor = caf::actor_cast<supervisor_actor>(pool);
  documents = spawn_documents(system, supervisor, settings, meter);
  framework_stores = spawn_framework_stores(system, supervisor, settings, meter);
  customers = caf::actor_cast<customers_actor>(framework_stores);
  context_variables = caf::actor_cast<context_variables_actor>(framework_stores);
}

void service::implementation::end_documents() {
  end_of(documents);
  end_of(framework_stores);
  documents = nullptr;
  framework_stores = nullptr;
  customers = nullptr;
  context_variables = nullptr;
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
