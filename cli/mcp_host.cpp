#include "cli/mcp_host.hpp"

#include "actors/service.hpp"
#include "cli/actor_system.hpp"
#include "db/startup.hpp"
#include "gateway/server.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

/// How often a database that is away, or not migrated yet, is tried.
constexpr auto retry_pause = 1s;

} // namespace

struct mcp_host::parts {
  explicit parts(const config::settings& from, rendezvous_lock held)
    : settings(from)
    , lock(std::move(held)) {
    set_scheduler(config);
    system.emplace(config);
  }

  config::settings settings;
  rendezvous_lock lock;
  caf::actor_system_config config;
  std::optional<caf::actor_system> system;
  std::optional<db::database> opened; // outlives the service
  std::unique_ptr<gateway::server> door;
  std::unique_ptr<actors::service> service;

  std::mutex mutex; // of is_over
  std::condition_variable news;
  bool is_over = false;
  std::thread starter;

  /// What takes time, and may have to be tried again: not in the way of who only asks what there is.
  void start_service() {
    while (true) {
      auto problem = try_start();
      if (!problem)
        return;
      spdlog::warn("{}", problem->message);
      door->say_unready(std::move(*problem));
      std::unique_lock guard(mutex);
      if (news.wait_for(guard, retry_pause, [&] { return is_over; }))
        return;
    }
  }

  std::optional<error> try_start() {
    if (auto kept = db::refuse_transaction_mode(*opened, settings); !kept)
      return kept.failure();
    if (auto ready = db::make_ready(*opened, settings); !ready)
      return ready.failure();
    auto started = actors::service::start(*system, {settings, opened->service_conninfo, opened->owner_conninfo});
    if (!started)
      return started.failure();
    service = std::move(*started);
    door->say_unready(std::nullopt);
    door->attach(handles_of(*service));
    spdlog::info("serving the Model Context Protocol, database {}", opened->shown);
    return std::nullopt;
  }

  bool stop() {
    {
      const std::lock_guard guard(mutex);
      if (std::exchange(is_over, true))
        return true;
    }
    news.notify_all();
    if (starter.joinable())
      starter.join();
    const bool is_drained = door == nullptr || door->drain(settings.shutdown_timeout / 2);
    door.reset();
    bool is_whole = is_drained;
    if (service) {
      auto stopped = service->stop(settings.shutdown_timeout);
      if (!stopped)
        spdlog::error("the shutdown lost something or took too long: {}", stopped.failure().message);
      is_whole = is_whole && stopped.has_value();
      service.reset();
    }
    if (opened)
      if (auto ended = opened->stop(); !ended)
        spdlog::error("{}", ended.failure().message);
    return is_whole;
  }
};

mcp_host::mcp_host(std::unique_ptr<parts> all)
  : parts_(std::move(all)) {}

mcp_host::~mcp_host() {
  parts_->stop();
}

bool mcp_host::stop() {
  return parts_->stop();
}

result<std::unique_ptr<mcp_host>> mcp_host::start(const config::settings& settings, const rendezvous& at,
                                                  rendezvous_lock lock) {
  auto all = std::make_unique<parts>(settings, std::move(lock));
  auto& listening = all->settings;
  listening.listen.clear(); // no HTTP but on mcp_server_port, for who asks for it
  auto opened = db::open_database(settings);
  if (!opened)
    return opened.failure();
  all->opened.emplace(std::move(*opened));
  auto door = gateway::server::start(*all->system, listening, {.is_port_optional = true});
  if (!door)
    return door.failure();
  all->door = std::move(*door);
  if (auto open = all->door->open_private_socket(at.socket); !open)
    return open.failure();
  all->starter = std::thread([&parts = *all] { parts.start_service(); });
  return std::unique_ptr<mcp_host>(new mcp_host(std::move(all)));
}

} // namespace colloquy::cli
