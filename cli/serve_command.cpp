#include "cli/serve_command.hpp"

#include "actors/service.hpp"
#include "cli/actor_system.hpp"
#include "cli/admin_key.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/rendezvous.hpp"
#include "cli/signals.hpp"
#include "config/listen_address.hpp"
#include "db/startup.hpp"
#include "gateway/server.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <spdlog/spdlog.h>

#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <iostream>
#include <thread>
#include <utility>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

/// How often a database that is away is tried.
constexpr auto retry_pause = 1s;
constexpr auto watch_pause = 1s;

void say(const std::string& sentence) {
  std::cerr << "colloquy: " << sentence << '\n';
}

int fail(const error& why) {
  say(why.message);
  return exit_code_of(why);
}

/// Each connection is a descriptor; the system's default of 1,024 is for programs that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
    return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_reachable_by_others(const config::settings& settings) {
  const auto addresses = config::parse_listen_addresses(settings.listen);
  return addresses &&
         std::any_of(addresses->begin(), addresses->end(), [](const auto& each) { return !each.is_loopback(); });
}

/// Listening elsewhere without anybody to be told from anybody else.
std::optional<error> why_too_open(const config::settings& settings, const key_facts& keys) {
  const bool takes_tokens = settings.jwt_secret || settings.jwt_jwks_file;
  if (!is_reachable_by_others(settings) || takes_tokens || keys.has_tenant_keys)
    return std::nullopt;
  return error{error_code::invalid_request,
               "listen is " + settings.listen +
                   ", which others can reach, and no tenant has a key: start on 127.0.0.1, "
                   "make a tenant and a key with the admin key, or set jwt_secret or jwt_jwks_file"};
}

/// One life of the daemon, from the database to its end.
class daemon {
public:
  daemon(const serve_arguments& arguments, config::settings settings, const std::function<config::loaded()>& reload,
         signal_watch& signals)
    : arguments_(arguments)
    , settings_(std::move(settings))
    , reload_(reload)
    , signals_(signals) {}

  int run(caf::actor_system& system) {
    auto door = gateway::server::start(system, settings_);
    if (!door)
      return fail(door.failure());
    door_ = std::move(*door);
    int code = start(system);
    if (code == exit_done && service_)
      code = serve();
    door_.reset();
    service_.reset();
    return code;
  }

private:
  /// The database, and what works on it. exit_done without a service: told to end meanwhile.
  int start(caf::actor_system& system) {
    while (!service_ && !signals_.received()) {
      auto problem = try_start(system);
      if (!problem)
        break;
      const bool may_come = problem->code == error_code::database_unavailable && !arguments_.require_database;
      if (!may_come)
        return fail(*problem);
      spdlog::warn("{}; trying again", problem->message);
      signals_.wait_for(std::chrono::duration_cast<std::chrono::milliseconds>(retry_pause));
    }
    if (!service_)
      return exit_done;
    auto keys = ensure_admin_key_shown(system, service_->tenants(), settings_);
    if (!keys)
      return stop_after(fail(keys.failure()));
    if (auto problem = why_too_open(settings_, *keys))
      return stop_after(fail(*problem));
    return exit_done;
  }

  std::optional<error> try_start(caf::actor_system& system) {
    if (!database_) {
      auto opened = db::open_database(settings_);
      if (!opened)
        return opened.failure();
      database_.emplace(std::move(*opened));
    }
    if (auto kept = db::refuse_transaction_mode(*database_, settings_); !kept)
      return kept.failure();
    if (auto ready = db::make_ready(*database_, settings_); !ready)
      return ready.failure();
    auto started = actors::service::start(system, {settings_, database_->service_conninfo, database_->owner_conninfo});
    if (!started)
      return started.failure();
    service_ = std::move(*started);
    return std::nullopt;
  }

  int stop_after(int code) {
    static_cast<void>(service_->stop(settings_.shutdown_timeout));
    service_.reset();
    return code;
  }

  int serve() {
    door_->attach(handles_of(*service_));
    open_private_socket();
    for (const auto& address : door_->addresses())
      spdlog::info("serving {}, database {}", address, database_->shown);
    ::sd_notify(0, "READY=1");
    while (!signals_.received()) {
      if (signals_.take_reload())
        take_reload();
      open_private_socket();
      signals_.wait_for(std::chrono::duration_cast<std::chrono::milliseconds>(watch_pause));
    }
    ::sd_notify(0, "STOPPING=1");
    return stop();
  }

  /// For programs that pass the Model Context Protocol on. Another process may have the place, on a database that was
  /// set: then it is tried again, for as long as this one serves.
  void open_private_socket() {
    if (place_)
      return;
    auto at = find_rendezvous(settings_);
    if (at)
      place_ = rendezvous_lock::take(*at);
    std::string problem;
    if (!at)
      problem = at.failure().message;
    else if (!place_)
      problem = "another process holds " + at->lock.string();
    else if (auto opened = door_->open_private_socket(at->socket); !opened)
      problem = opened.failure().message;
    if (!problem.empty() && !std::exchange(has_warned_, true))
      spdlog::warn("no private socket for `colloquy mcp`: {}", problem);
  }

  void take_reload() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto at =
        static_cast<unsigned long long>(now.tv_sec) * 1'000'000 + static_cast<unsigned long long>(now.tv_nsec) / 1000;
    ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", at);
    auto loaded = reload_();
    for (const auto& mistake : loaded.mistakes)
      spdlog::error("not reloaded: {}", config::format(mistake));
    if (loaded.mistakes.empty())
      take_over(std::move(loaded.values));
    ::sd_notify(0, "READY=1");
  }

  /// Those that may change while it runs.
  void take_over(config::settings fresh) {
    auto next = settings_;
    next.tls_certificate = fresh.tls_certificate;
    next.tls_key = fresh.tls_key;
    next.jwt_secret = fresh.jwt_secret;
    next.jwt_jwks_file = fresh.jwt_jwks_file;
    next.jwt_issuer = fresh.jwt_issuer;
    next.jwt_audience = fresh.jwt_audience;
    next.jwt_tenant_claim = fresh.jwt_tenant_claim;
    next.mcp_allowed_hosts = fresh.mcp_allowed_hosts;
    next.mcp_allowed_origins = fresh.mcp_allowed_origins;
    next.mcp_resource_url = fresh.mcp_resource_url;
    next.mcp_authorization_servers = fresh.mcp_authorization_servers;
    next.cors_origins = fresh.cors_origins;
    next.access_log = fresh.access_log;
    next.log_level = fresh.log_level;
    next.http_connections_max = fresh.http_connections_max;
    next.tenant_connections_max = fresh.tenant_connections_max;
    next.streams_max = fresh.streams_max;
    next.body_bytes_max = fresh.body_bytes_max;
    next.message_bytes_max = fresh.message_bytes_max;
    next.metadata_bytes_max = fresh.metadata_bytes_max;
    next.response_compress_bytes_min = fresh.response_compress_bytes_min;
    next.shutdown_timeout = fresh.shutdown_timeout;
    if (auto reloaded = door_->reload(next); !reloaded) {
      spdlog::error("not reloaded: {}", reloaded.failure().message);
      return;
    }
    settings_ = std::move(next);
    set_log_level(settings_.log_level);
    spdlog::info("reloaded");
  }

  /// Takes no more, finishes what is under way, makes durable what was accepted.
  int stop() {
    const auto deadline = std::chrono::steady_clock::now() + settings_.shutdown_timeout;
    spdlog::info("shutting down");
    // Half of the time for those who call: what they were promised has to become durable in the other.
    const bool is_drained = door_->drain(settings_.shutdown_timeout / 2);
    if (!is_drained)
      spdlog::error("the shutdown cut requests that were still under way");
    door_.reset();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto stopped = service_->stop(std::max<std::chrono::milliseconds>(left, settings_.shutdown_timeout / 2));
    service_.reset();
    if (!stopped)
      say("the shutdown lost something or took too long: " + stopped.failure().message);
    if (auto ended = database_->stop(); !ended)
      return fail(ended.failure());
    return stopped && is_drained ? exit_done : exit_failed;
  }

  const serve_arguments& arguments_;
  config::settings settings_;
  const std::function<config::loaded()>& reload_;
  signal_watch& signals_;
  std::optional<rendezvous_lock> place_;
  bool has_warned_ = false;              // that it has no place
  std::optional<db::database> database_; // outlives the service
  std::unique_ptr<actors::service> service_;
  std::unique_ptr<gateway::server> door_;
};

} // namespace

int run_serve(const serve_arguments& arguments, const config::settings& settings,
              const std::function<config::loaded()>& reload) {
  signal_watch signals(true); // first: every thread made later leaves the signals to it
  raise_descriptor_limit();
  daemon life(arguments, settings, reload, signals);
  caf::actor_system_config config;
  set_scheduler(config);
  caf::actor_system system(config);
  return life.run(system);
}

} // namespace colloquy::cli
