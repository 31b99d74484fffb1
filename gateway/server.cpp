#include "gateway/server.hpp"

#include "config/listen_address.hpp"
#include "gateway/connection.hpp"
#include "gateway/edge.hpp"
#include "gateway/jwt.hpp"
#include "gateway/tls.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <spdlog/spdlog.h>

#include <filesystem>
#include <future>
#include <thread>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;

constexpr auto use = asio::as_tuple(asio::use_awaitable);
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

/// A socket that nobody listens on any more is in the way of a new one.
bool is_left_behind(asio::io_context& context, const std::filesystem::path& path) {
  std::error_code problem;
  if (!std::filesystem::is_socket(path, problem))
    return false;
  stream_protocol::socket probe(context);
  boost::system::error_code refused;
  probe.connect(stream_protocol::endpoint(path.string()), refused);
  return refused == asio::error::connection_refused;
}

} // namespace

struct server::implementation {
  implementation(caf::actor_system& system, const config::settings& settings)
    : at(system, context, settings)
    , open(at)
    , work(asio::make_work_guard(context)) {}

  asio::io_context context{1};
  edge at;
  connections open;
  std::shared_ptr<asio::ssl::context> tls;
  std::vector<tcp::acceptor> tcp_doors;
  std::vector<stream_protocol::acceptor> unix_doors;
  std::vector<std::filesystem::path> unix_paths;
  std::vector<std::string> addresses;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::thread thread;

  result<void> listen(const config::listen_address& address);
  result<void> listen_tcp(const config::listen_address& address);
  template <class Door>
  asio::awaitable<void> accept(Door& door);
  asio::awaitable<void> cut_late_clients();
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
  stream_protocol::acceptor door(context);
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
  tcp::acceptor door(context);
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
asio::awaitable<void> server::implementation::accept(Door& door) {
  asio::steady_timer pause(context);
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
    if constexpr (std::is_same_v<Door, tcp::acceptor>) {
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

/// One timer for all connections: one for each would be set and cancelled several times a request.
asio::awaitable<void> server::implementation::cut_late_clients() {
  asio::steady_timer pause(context);
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
  for (const auto& path : std::exchange(unix_paths, {}))
    ::unlink(path.c_str());
}

server::server(std::unique_ptr<implementation> parts)
  : implementation_(std::move(parts)) {}

result<std::unique_ptr<server>> server::start(caf::actor_system& system, const config::settings& settings) {
  auto parts = std::make_unique<implementation>(system, settings);
  auto tls = make_tls(settings);
  if (!tls)
    return tls.failure();
  parts->tls = *tls;
  auto verifier = make_verifier(settings);
  if (!verifier)
    return verifier.failure();
  parts->at.reload(settings, *verifier);
  const auto addresses = config::parse_listen_addresses(settings.listen);
  if (!addresses)
    return error{error_code::invalid_request, "listen is not a list of addresses"};
  for (const auto& address : *addresses)
    if (auto listening = parts->listen(address); !listening)
      return listening.failure();
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
      is_empty = parts.open.all.empty();
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
    parts.run([&] { is_empty = parts.open.all.empty(); });
    if (is_empty || std::chrono::steady_clock::now() >= until)
      return is_empty;
    std::this_thread::sleep_for(drain_grain);
  }
}

} // namespace colloquy::gateway
