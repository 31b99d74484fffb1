#include "tests/support/tcp_proxy.hpp"

#include "db/libpq_handles.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/tcp_relay.hpp"

#include <fcntl.h>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace colloquy::test {

namespace {

using namespace proxy;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int ports_max = 20;

stream_endpoint resolve(asio::io_context& io, const proxy_target& target) {
  if (target.port == 0)
    return asio::local::stream_protocol::endpoint(target.host);
  tcp::resolver resolver(io);
  return resolver.resolve(target.host, std::to_string(target.port))->endpoint();
}

template <class Change>
void change_pipes(link_faults& faults, flow direction, const Change& change) {
  if (direction != flow::to_client)
    change(faults.to_server);
  if (direction != flow::to_server)
    change(faults.to_client);
}

} // namespace

proxy_target target_of(const std::string& conninfo) {
  const db::conninfo_ptr options(PQconninfoParse(conninfo.c_str(), nullptr));
  std::string host;
  std::string port = "5432";
  for (auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->val == '\0')
      continue;
    if (option->keyword == std::string("host"))
      host = option->val;
    else if (option->keyword == std::string("port"))
      port = option->val;
  }
  if (host.empty() || host.find(',') != std::string::npos)
    throw std::runtime_error("the connection string must name one host");
  if (host.front() == '/')
    return {host + "/.s.PGSQL." + port, 0};
  return {host, std::stoi(port)};
}

struct tcp_proxy::state {
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  house shared;
  tcp::acceptor acceptor{io};
  tcp::endpoint own;
  std::thread thread;

  /// Runs it on the proxy's thread, which alone touches everything here, and waits for it.
  template <class Work>
  auto on_thread(Work work_there) {
    std::packaged_task<decltype(work_there())()> task(std::move(work_there));
    auto done = task.get_future();
    asio::post(io, [&task] { task(); });
    return done.get();
  }

  ~state() {
    if (thread.joinable()) {
      on_thread([this] { cut_all(traffic::all); });
      io.stop();
      thread.join();
    }
  }

  void listen() {
    acceptor.open(own.protocol());
    ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.set_option(asio::socket_base::receive_buffer_size(64 * 1024)); // inherited by what it accepts
    acceptor.bind(own);
    acceptor.listen();
  }

  void listen_somewhere() {
    for (int tries = 1;; ++tries)
      try {
        own = {asio::ip::address_v4::loopback(), static_cast<asio::ip::port_type>(free_port())};
        return listen();
      } catch (const boost::system::system_error&) {
        if (tries == ports_max)
          throw;
        acceptor.close();
      }
  }

  void accept() {
    acceptor.async_accept([this](const error_code& failed, tcp::socket accepted) {
      if (!acceptor.is_open() || failed == asio::error::operation_aborted)
        return;
      if (!failed)
        take(std::move(accepted));
      accept();
    });
  }

  void take(tcp::socket accepted) {
    error_code ignored;
    accepted.set_option(tcp::no_delay(true), ignored);
    const auto fresh = std::make_shared<relay>(shared, stream(std::move(accepted)));
    ++shared.counters.accepted;
    ++shared.counters.open;
    shared.relays.insert(fresh);
    fresh->start();
  }

  /// A copy: one that ends takes itself out.
  std::vector<std::shared_ptr<relay>> relays() const { return {shared.relays.begin(), shared.relays.end()}; }

  void cut_all(traffic of) {
    for (const auto& one : relays())
      if (of == traffic::all || one->kind() == of)
        one->cut();
  }

  template <class Change>
  void change_faults(fault_scope scope, const Change& change) {
    if (scope.on != reach::existing) {
      if (scope.of != traffic::cancels)
        change(shared.ordinary);
      if (scope.of != traffic::ordinary)
        change(shared.cancels);
    }
    if (scope.on == reach::fresh)
      return;
    for (const auto& one : relays())
      if (one->kind() && (scope.of == traffic::all || one->kind() == scope.of)) {
        auto faults = one->faults();
        change(faults);
        one->set_faults(faults);
      }
  }

  template <class Change>
  void switch_fault(flow direction, fault_scope scope, Change change) {
    on_thread([&] { change_faults(scope, [&](link_faults& faults) { change_pipes(faults, direction, change); }); });
  }
};

tcp_proxy::tcp_proxy(const proxy_target& target)
  : state_(std::make_unique<state>()) {
  state_->shared.target = resolve(state_->io, target);
  state_->listen_somewhere();
  state_->accept();
  state_->thread = std::thread([s = state_.get()] { s->io.run(); });
}

tcp_proxy::~tcp_proxy() = default;

int tcp_proxy::port() const {
  return state_->own.port();
}

std::string tcp_proxy::through(const std::string& conninfo) const {
  return conninfo + " host=" + host() + " hostaddr='' port=" + std::to_string(port());
}

void tcp_proxy::forward(fault_scope scope) {
  state_->on_thread([&] {
    state_->change_faults(scope, [](link_faults& faults) { faults = {}; });
    if (scope.on != reach::existing)
      state_->shared.hang = false;
    if (scope.on != reach::fresh)
      for (const auto& one : state_->relays())
        one->release();
  });
}

void tcp_proxy::delay(flow direction, std::chrono::milliseconds by, fault_scope scope) {
  state_->switch_fault(direction, scope, [by](pipe_faults& faults) { faults.delay = by; });
}

void tcp_proxy::throttle(flow direction, std::uint64_t bytes_per_second, fault_scope scope) {
  state_->switch_fault(direction, scope, [=](pipe_faults& faults) { faults.bytes_per_second = bytes_per_second; });
}

void tcp_proxy::swallow(flow direction, fault_scope scope) {
  state_->switch_fault(direction, scope, [](pipe_faults& faults) { faults.swallow = true; });
}

void tcp_proxy::cut_after(flow direction, std::uint64_t bytes, fault_scope scope) {
  state_->switch_fault(direction, scope, [bytes](pipe_faults& faults) { faults.cut_after = bytes; });
}

void tcp_proxy::cut(traffic of) {
  state_->on_thread([&] { state_->cut_all(of); });
}

void tcp_proxy::hang_on_accept() {
  state_->on_thread([&] { state_->shared.hang = true; });
}

void tcp_proxy::refuse() {
  state_->on_thread([&] { state_->acceptor.close(); });
}

void tcp_proxy::accept_again() {
  state_->on_thread([&] {
    if (state_->acceptor.is_open())
      return;
    state_->listen();
    state_->accept();
  });
}

proxy_counters tcp_proxy::counters() const {
  return state_->on_thread([&] { return state_->shared.counters; });
}

bool tcp_proxy::wait_for(const std::function<bool(const proxy_counters&)>& holds,
                         std::chrono::milliseconds within) const {
  return eventually([&] { return holds(counters()); }, within);
}

} // namespace colloquy::test
