#include "gateway/server.hpp"

#include "config/listen_address.hpp"
#include "gateway/connection.hpp"
#include "gateway/edge.hpp"
#include "gateway/jwt.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/mcp_lines.hpp"
#include "gateway/tls.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>

#include <spdlog/spdlog.h>

#include <filesystem>
#include <future>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;

constexpr auto use = asio::as_tuple(use_task);
constexpr auto accept_pause = 100ms; ///< after one that failed: out of descriptors, above all
constexpr auto drain_grain = 10ms;
constexpr auto cut_time_max = 10s; ///< for connections that are cut to end
constexpr auto late_grain = 100ms; ///< how late a client that is too slow may be noticed
constexpr int backlog = 4096;

/// Nothing is set: no token is taken.
result<std::shared_ptr<const jwt_verifier>> make_verifier(const config::settings& settings) {
  auto made = jwt_verifier::make(settings);
  if (!made)
    return made.failure();
  if (!made->takes_tokens())
    return std::shared_ptr<const jwt_verifier>();
  return std::make_shared<const jwt_verifier>(std::move(made).value());
}

error cannot_listen(const config::listen_address& address, const std::string& why) {
  return {error_code::invalid_request, "listen is " + address.text() + ", where nobody can listen: " + why};
}

/// Of this user's own programs, or the administrator's.
bool is_own(unix_socket& socket) {
  ucred who{};
  socklen_t size = sizeof who;
  return ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
         (who.uid == ::geteuid() || who.uid == 0);
}

/// A socket that nobody listens on any more is in the way of a new one.
bool is_left_behind(asio::io_context& context, const std::filesystem::path& path) {
  std::error_code problem;
  if (!std::filesystem::is_socket(path, problem))
    return false;
  unix_socket probe(context);
  boost::system::error_code refused;
  probe.connect(stream_protocol::endpoint(path.string()), refused);
  return refused == asio::error::connection_refused;
}

} // namespace

struct server::implementation {
  implementation(caf::actor_system& system, const config::settings& settings,
                 std::shared_ptr<const mcp::registry> offers)
    : at(system, context, settings, std::move(offers))
    , open(at)
    , work(asio::make_work_guard(context)) {}

  asio::io_context context{1};
  edge at;
  connections open;
  std::shared_ptr<asio::ssl::context> tls;
  std::vector<tcp_acceptor> tcp_doors;
  std::vector<unix_acceptor> unix_doors;
  std::optional<unix_acceptor> private_door;
  std::vector<std::filesystem::path> unix_paths;
  std::vector<std::string> addresses;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::thread thread;

  result<void> listen(const config::listen_address& address);
  result<void> listen_tcp(const config::listen_address& address);
  template <class Door>
  task<void> accept(Door& door);
  result<void> open_private(const std::filesystem::path& path);
  task<void> accept_private();
  task<void> cut_late_clients();
  bool is_full();
  void begin();
  void close_doors();

  /// In its thread, and waits for it.
  template <class Action>
  void run(Action action) {
    std::promise<void> done;
    asio::post(context, [&] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }
};

result<void> server::implementation::listen(const config::listen_address& address) {
  if (!address.is_unix())
    return listen_tcp(address);
  if (is_left_behind(context, address.path))
    std::filesystem::remove(address.path);
  boost::system::error_code problem;
  unix_acceptor door(context);
  door.open(stream_protocol(), problem);
  if (!problem)
    door.bind(stream_protocol::endpoint(address.path.string()), problem);
  if (!problem)
    door.listen(backlog, problem);
  if (problem)
    return cannot_listen(address, problem.message());
  unix_doors.push_back(std::move(door));
  unix_paths.push_back(address.path);
  addresses.push_back(address.text());
  return {};
}

result<void> server::implementation::listen_tcp(const config::listen_address& address) {
  boost::system::error_code problem;
  tcp::resolver names(context);
  const auto found = names.resolve(address.host, std::to_string(address.port), problem);
  if (problem)
    return cannot_listen(address, problem.message());
  tcp_acceptor door(context);
  const auto endpoint = found.begin()->endpoint();
  door.open(endpoint.protocol(), problem);
  if (!problem)
    door.set_option(asio::socket_base::reuse_address(true), problem);
  if (!problem)
    door.bind(endpoint, problem);
  if (!problem)
    door.listen(backlog, problem);
  if (problem)
    return cannot_listen(address, problem.message());
  auto shown = address;
  shown.port = door.local_endpoint().port();
  addresses.push_back((tls ? "https://" : "http://") + shown.text());
  tcp_doors.push_back(std::move(door));
  return {};
}

bool server::implementation::is_full() {
  if (open.all.size() < at.settings().http_connections_max)
    return false;
  at.metrics().note_rejected("http_connections_max");
  return true;
}

template <class Door>
task<void> server::implementation::accept(Door& door) {
  loop_timer pause(context);
  while (door.is_open()) {
    auto [problem, socket] = co_await door.async_accept(use);
    if (problem == asio::error::operation_aborted)
      co_return;
    if (problem) {
      spdlog::warn("cannot accept a connection: {}", problem.message());
      pause.expires_after(accept_pause);
      co_await pause.async_wait(use);
      continue;
    }
    if (is_full())
      continue; // closed: there is no telling a client in a moment without reading what it sends
    if constexpr (std::is_same_v<Door, tcp_acceptor>) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      if (tls) {
        asio::co_spawn(context, serve(std::move(socket), tls, open), asio::detached);
        continue;
      }
    }
    asio::co_spawn(context, serve(std::move(socket), open), asio::detached);
  }
}

result<void> server::implementation::open_private(const std::filesystem::path& path) {
  if (is_left_behind(context, path))
    std::filesystem::remove(path);
  boost::system::error_code problem;
  unix_acceptor door(context);
  door.open(stream_protocol(), problem);
  if (!problem && ::fchmod(door.native_handle(), S_IRUSR | S_IWUSR) != 0)
    problem.assign(errno, boost::system::system_category());
  if (!problem)
    door.bind(stream_protocol::endpoint(path.string()), problem);
  if (!problem)
    door.listen(backlog, problem);
  if (problem)
    return error{error_code::invalid_request, "nobody can listen on " + path.string() + ": " + problem.message()};
  private_door.emplace(std::move(door));
  unix_paths.push_back(path);
  asio::co_spawn(context, accept_private(), asio::detached);
  return {};
}

task<void> server::implementation::accept_private() {
  loop_timer pause(context);
  while (private_door->is_open()) {
    auto [problem, socket] = co_await private_door->async_accept(use);
    if (problem == asio::error::operation_aborted)
      co_return;
    if (problem) {
      spdlog::warn("cannot accept a program's connection: {}", problem.message());
      pause.expires_after(accept_pause);
      co_await pause.async_wait(use);
    } else if (is_own(socket) && !is_full()) {
      asio::co_spawn(context, mcp::serve_lines(std::move(socket), open), asio::detached);
    }
  }
}

/// One timer for all connections: one for each would be set and cancelled several times a request.
task<void> server::implementation::cut_late_clients() {
  loop_timer pause(context);
  for (;;) {
    pause.expires_after(late_grain);
    co_await pause.async_wait(use);
    const auto now = std::chrono::steady_clock::now();
    for (auto* each : open.all)
      each->cut_if_late(now); // it ends later, when its coroutine hears of it
  }
}

void server::implementation::begin() {
  asio::co_spawn(context, cut_late_clients(), asio::detached);
  for (auto& door : tcp_doors)
    asio::co_spawn(context, accept(door), asio::detached);
  for (auto& door : unix_doors)
    asio::co_spawn(context, accept(door), asio::detached);
  thread = std::thread([this] {
    for (;;) {
      try {
        context.run();
        return;
      } catch (const std::exception& why) {
        spdlog::error("a fault of ours at the edge: {}", why.what());
      }
    }
  });
}

void server::implementation::close_doors() {
  boost::system::error_code ignored;
  for (auto& door : tcp_doors)
    door.close(ignored);
  for (auto& door : unix_doors)
    door.close(ignored);
  if (private_door)
    private_door->close(ignored);
  for (const auto& path : std::exchange(unix_paths, {}))
    ::unlink(path.c_str());
}

server::server(std::unique_ptr<implementation> parts)
  : implementation_(std::move(parts)) {}

result<std::unique_ptr<server>> server::start(caf::actor_system& system, const config::settings& settings,
                                              server_extras extras) {
  auto parts = std::make_unique<implementation>(system, settings, std::move(extras.offers));
  auto tls = make_tls(settings);
  if (!tls)
    return tls.failure();
  parts->tls = *tls;
  auto verifier = make_verifier(settings);
  if (!verifier)
    return verifier.failure();
  parts->at.reload(settings, *verifier);
  const auto addresses = settings.listen.empty() ? std::optional(std::vector<config::listen_address>())
                                                 : config::parse_listen_addresses(settings.listen);
  if (!addresses)
    return error{error_code::invalid_request, "listen is not a list of addresses"};
  for (const auto& address : *addresses)
    if (auto listening = parts->listen(address); !listening)
      return listening.failure();
  if (settings.mcp_server_port != 0) {
    const config::listen_address own{"127.0.0.1", static_cast<std::uint16_t>(settings.mcp_server_port), {}};
    if (auto listening = parts->listen(own); !listening) {
      auto why = std::move(listening.failure());
      why.message = "mcp_server_port is " + std::to_string(own.port) + ", where nobody can listen" +
                    why.message.substr(std::min(why.message.rfind(": "), why.message.size()));
      if (!extras.is_port_optional)
        return why;
      spdlog::warn("{}; going on without", why.message);
    }
  }
  parts->begin();
  return std::unique_ptr<server>(new server(std::move(parts)));
}

server::~server() {
  auto& parts = *implementation_;
  parts.run([&] {
    parts.close_doors();
    parts.at.begin_draining();
    const auto all = parts.open.all;
    for (auto* each : all)
      each->cut();
  });
  // A connection ends when whatever it waits for ends: what it asked of actors, too, and may ask again.
  const auto until = std::chrono::steady_clock::now() + cut_time_max;
  bool is_empty = false;
  while (!is_empty && std::chrono::steady_clock::now() < until) {
    parts.run([&] {
      parts.at.asks().cancel_all();
      is_empty = parts.open.all.empty() && parts.at.protocol().is_idle();
    });
    if (!is_empty)
      std::this_thread::sleep_for(drain_grain);
  }
  parts.work.reset();
  parts.context.stop();
  parts.thread.join();
  if (!is_empty) { // better left behind than destroyed under whoever still refers to it
    spdlog::error("a connection did not end within {} s", cut_time_max.count());
    static_cast<void>(implementation_.release());
  }
}

const std::vector<std::string>& server::addresses() const noexcept {
  return implementation_->addresses;
}

void server::attach(service_handles handles) {
  implementation_->run([&] { implementation_->at.attach(std::move(handles)); });
}

void server::say_unready(std::optional<error> why) {
  implementation_->run([&] { implementation_->at.say_unready(std::move(why)); });
}

result<void> server::open_private_socket(const std::filesystem::path& path) {
  result<void> opened;
  implementation_->run([&] { opened = implementation_->open_private(path); });
  return opened;
}

result<void> server::reload(const config::settings& settings) {
  auto tls = make_tls(settings);
  if (!tls)
    return tls.failure();
  auto verifier = make_verifier(settings);
  if (!verifier)
    return verifier.failure();
  if (static_cast<bool>(*tls) != static_cast<bool>(implementation_->tls))
    return error{error_code::invalid_request, "whether HTTP is encrypted cannot change without a restart"};
  implementation_->run([&] {
    implementation_->tls = *tls;
    implementation_->at.reload(settings, *verifier);
  });
  return {};
}

bool server::drain(std::chrono::milliseconds limit) {
  auto& parts = *implementation_;
  parts.run([&] {
    parts.close_doors();
    parts.at.begin_draining();
    const auto all = parts.open.all;
    for (auto* each : all)
      each->begin_draining();
  });
  const auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    bool is_empty = false;
    parts.run([&] { is_empty = parts.open.all.empty() && parts.at.protocol().is_idle(); });
    if (is_empty || std::chrono::steady_clock::now() >= until)
      return is_empty;
    std::this_thread::sleep_for(drain_grain);
  }
}

} // namespace colloquy::gateway
