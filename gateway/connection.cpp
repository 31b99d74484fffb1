#include "gateway/connection.hpp"

#include "gateway/compress.hpp"
#include "gateway/problem.hpp"
#include "gateway/reply_head.hpp"
#include "gateway/request_head.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <spdlog/spdlog.h>

#include <array>
#include <poll.h>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

using clock = std::chrono::steady_clock;
constexpr auto use = asio::as_tuple(use_task);
constexpr std::size_t read_bytes = 8 * 1024;

/// A body that nobody wants is read to its end if it is no larger, so that the connection can go on.
constexpr std::uint64_t unwanted_bytes_max = 64 * 1024;

/// What is still coming when a connection is closed, or a reply that was just sent would be lost with it.
constexpr std::size_t linger_bytes_max = 256 * 1024;
constexpr auto linger_time = 1s;

/// How often it is looked whether a client that waits is still there.
constexpr auto watch_interval = 200ms;

/// Whether the peer of a connection has gone, without reading what it may have sent before.
bool has_hung_up(int socket) {
  pollfd of{socket, POLLRDHUP, 0};
  return socket < 0 || (::poll(&of, 1, 0) > 0 && (of.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

/// What counts as held while it lives.
class held_bytes {
public:
  explicit held_bytes(std::size_t& total)
    : total_(total) {}
  held_bytes(const held_bytes&) = delete;
  held_bytes& operator=(const held_bytes&) = delete;
  ~held_bytes() { total_ -= bytes_; }
  void grow_to(std::size_t bytes) {
    total_ += bytes - bytes_;
    bytes_ = bytes;
  }

private:
  std::size_t& total_;
  std::size_t bytes_ = 0;
};

template <class Stream>
class connection final : public connection_control, public reply_sink {
public:
  connection(Stream stream, connections& of)
    : stream_(std::move(stream))
    , of_(of)
    , watch_(of.at.context())
    , local_port_(port_of(lowest())) {
    of_.all.insert(this);
    of_.at.metrics().connections = of_.all.size();
  }
  ~connection() override {
    of_.all.erase(this);
    of_.at.metrics().connections = of_.all.size();
    leave_tenant();
  }

  Stream& stream() { return stream_; }

  /// Until what is done next with the client has to be done.
  void expire_after(std::chrono::milliseconds time) { deadline_ = clock::now() + time; }
  /// What is done next is done without the client.
  void expire_never() { deadline_ = clock::time_point::max(); }

  task<void> run() {
    bool goes_on = true;
    while (goes_on)
      goes_on = co_await serve_one();
    co_await close();
  }

  void begin_draining() override {
    closes_ = true;
    beast::error_code ignored;
    if (is_idle_)
      lowest().cancel(ignored);
  }
  void cut() override {
    closes_ = true;
    beast::error_code ignored;
    lowest().close(ignored);
  }
  void cut_if_late(clock::time_point now) override {
    if (deadline_ <= now)
      cut();
  }

  task<bool> write(std::string_view bytes) override {
    if (bytes.empty())
      co_return true;
    std::array<char, 20> size{};
    const auto digits = std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
    const std::array<asio::const_buffer, 3> chunk{asio::buffer(size.data(), static_cast<std::size_t>(digits)),
                                                  asio::buffer(bytes.data(), bytes.size()), asio::buffer("\r\n", 2)};
    expire_after(settings().http_write_timeout);
    if (facts_.is_old) {
      const auto [problem, count] = co_await asio::async_write(stream_, chunk[1], use);
      expire_never();
      co_return !problem;
    }
    const auto [problem, count] = co_await asio::async_write(stream_, chunk, use);
    expire_never();
    co_return !problem;
  }

  bool is_gone() override { return has_hung_up(lowest().native_handle()); }

private:
  using parser = http::request_parser<http::string_body>;

  auto& lowest() { return beast::get_lowest_layer(stream_); }
  const config::settings& settings() const { return of_.at.settings(); }

  template <class Socket>
  static std::uint16_t port_of(const Socket& socket) {
    boost::system::error_code ignored;
    const auto here = socket.local_endpoint(ignored);
    if constexpr (requires { here.port(); })
      return here.port();
    else
      return 0;
  }

  /// False: the connection is to be closed.
  task<bool> serve_one() {
    const bool has_come = co_await await_request();
    if (!has_come)
      co_return false;
    parser reading;
    reading.header_limit(static_cast<std::uint32_t>(settings().http_header_bytes_max));
    reading.body_limit(settings().body_bytes_max);
    expire_after(settings().http_request_read_timeout);
    const auto [problem, count] = co_await http::async_read_header(stream_, buffer_, reading, use);
    const auto began = edge_metrics::clock::now();
    request_ = {};
    facts_ = {};
    if (problem) {
      closes_ = true;
      if (auto why = why_broken(problem, settings()))
        co_await answer(make_problem(*why, request_.id = uuid_to_string(new_uuid_v7())), nullptr, began);
      co_return false;
    }
    request_.local_port = local_port_;
    facts_.is_old = reading.get().version() < 11;
    closes_ = closes_ || !reading.get().keep_alive();
    if (auto wrong = read_head(reading.get(), request_)) {
      closes_ = true;
      co_await answer(make_problem(*wrong, request_.id), nullptr, began);
      co_return false;
    }
    expire_never();
    held_bytes held(of_.body_bytes);
    call of{of_.at, request_};
    auto reply = co_await handle(of, reading, held);
    co_return co_await answer(std::move(reply), of.of, began) && !closes_;
  }

  task<bool> await_request() {
    if (closes_)
      co_return false;
    if (buffer_.size() > 0)
      co_return true; // sent ahead
    expire_after(settings().http_idle_timeout);
    is_idle_ = true;
    const auto [problem, count] = co_await stream_.async_read_some(buffer_.prepare(read_bytes), use);
    is_idle_ = false;
    buffer_.commit(count);
    co_return !problem;
  }

  task<http_reply> handle(call& of, parser& reading, held_bytes& held) {
    request_.has_body = !reading.is_done();
    const auto route = of_.at.routes().match(request_.method, request_.path);
    if (auto reply = refuse_route(route)) {
      co_await pass_over_body(reading);
      co_return std::move(*reply);
    }
    of.of = route.found;
    of.path_parameters = route.parameters;
    auto refused = co_await of_.at.admit(of);
    if (!refused)
      refused = join_tenant(of);
    if (refused) {
      co_await pass_over_body(reading);
      co_return std::move(*refused);
    }
    if (auto problem = co_await read_body(reading, held))
      co_return std::move(*problem);
    expire_never();
    request_.body = std::move(reading.get().body());
    if (!of.of->traits.may_wait)
      co_return co_await of_.at.run(of);
    co_return co_await run_watched(of);
  }

  std::optional<http_reply> refuse_route(const route_match& route) {
    if (route.found != nullptr)
      return std::nullopt;
    if (route.allowed.empty())
      return make_problem({error_code::not_found, "there is nothing at this path"}, request_.id);
    if (request_.method == "OPTIONS")
      return options_reply(route.allowed);
    auto reply = make_problem(
        {error_code::method_not_allowed, std::string(request_.method) + " is not for this path: " + route.allowed},
        request_.id);
    reply.headers.emplace_back("Allow", route.allowed);
    return reply;
  }

  /// What was not wanted must be gone before another request can be read.
  task<void> pass_over_body(parser& reading) {
    const auto length = reading.content_length();
    if (reading.is_done())
      co_return;
    if (!length || *length > unwanted_bytes_max || expects_continue(reading)) {
      closes_ = true;
      co_return;
    }
    expire_after(settings().http_request_read_timeout);
    const auto [problem, count] = co_await http::async_read(stream_, buffer_, reading, use);
    closes_ = closes_ || problem;
  }

  static bool expects_continue(parser& reading) {
    return reading.get().version() >= 11 && beast::iequals(reading.get()[http::field::expect], "100-continue");
  }

  task<std::optional<http_reply>> read_body(parser& reading, held_bytes& held) {
    if (!reading.is_done() && expects_continue(reading)) {
      const auto [problem, count] =
          co_await asio::async_write(stream_, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), use);
      if (problem)
        closes_ = true;
    }
    expire_after(settings().http_request_read_timeout);
    while (!reading.is_done()) {
      const auto [problem, count] = co_await http::async_read_some(stream_, buffer_, reading, use);
      held.grow_to(reading.get().body().capacity());
      const bool is_short = of_.body_bytes > connections::body_bytes_max;
      if (!problem && !is_short)
        continue;
      closes_ = true;
      if (is_short)
        co_return make_problem({error_code::overloaded, "too much is being sent at once", 1000ms}, request_.id);
      co_return make_problem(
          why_broken(problem, settings()).value_or(error{error_code::invalid_request, "the body did not come whole"}),
          request_.id);
    }
    co_return std::nullopt;
  }

  /// A handler that waits for something is told when its client goes, or the service ends.
  task<http_reply> run_watched(call& of) {
    is_watched_ = true;
    watched_ = &of;
    asio::co_spawn(of_.at.context(), watch_client(), asio::detached);
    auto reply = co_await of_.at.run(of);
    watched_ = nullptr;
    watch_.cancel();
    while (is_watched_) // this connection outlives who watches it
      co_await asio::post(of_.at.context(), use_task);
    co_return reply;
  }

  task<void> watch_client() {
    while (watched_ != nullptr) {
      if ((is_gone() || of_.at.is_draining()) && watched_->when_gone) {
        const auto tell = std::exchange(watched_->when_gone, nullptr);
        closes_ = true;
        tell();
        break;
      }
      watch_.expires_after(watch_interval);
      co_await watch_.async_wait(use);
    }
    is_watched_ = false;
  }

  // A connection counts as the tenant's who used it last.
  std::optional<http_reply> join_tenant(const call& of) {
    if (!of.tenant || of.tenant == tenant_ || of.who.is_operator())
      return std::nullopt;
    leave_tenant();
    const auto most = std::min(settings().tenant_connections_max,
                               static_cast<std::size_t>(of.tenant->record.quotas.connections_max.value_or(INT64_MAX)));
    if (of.tenant->connections >= most) {
      closes_ = true;
      ++of.tenant->rejected["connections"];
      of_.at.metrics().note_rejected("connections");
      return make_problem({error_code::quota_exceeded,
                           "the tenant has " + std::to_string(most) + " connections, and may have no more", 1000ms},
                          request_.id);
    }
    tenant_ = of.tenant;
    ++tenant_->connections;
    return std::nullopt;
  }
  void leave_tenant() {
    if (tenant_)
      --tenant_->connections;
    tenant_ = nullptr;
  }

  task<bool> answer(http_reply reply, const operation* of, edge_metrics::clock::time_point began) {
    add_cors(reply, settings().cors_origins, request_);
    const bool has_no_body = request_.method == "HEAD" || reply.status == 204;
    facts_.is_stream = static_cast<bool>(reply.stream);
    closes_ = closes_ || of_.at.is_draining() || (facts_.is_stream && facts_.is_old);
    facts_.closes = closes_;
    facts_.encoding = co_await compress(reply, request_, settings().response_compress_bytes_min, of_.at.aside());
    facts_.body_bytes = reply.body.size();
    const auto head = reply_head(request_, reply, facts_);
    const std::array<asio::const_buffer, 2> bytes{asio::buffer(head),
                                                  has_no_body ? asio::const_buffer() : asio::buffer(reply.body)};
    // Asked before: who has read the reply may have closed by the time it is written.
    const bool was_gone = reply.on_undelivered && is_gone();
    expire_after(settings().http_write_timeout);
    const auto [problem, count] = co_await asio::async_write(stream_, bytes, use);
    expire_never();
    bool is_whole = !problem;
    const auto took = edge_metrics::clock::now() - began;
    of_.at.metrics().note_request(of, request_.method, reply.status, took);
    if (is_whole && reply.stream && !has_no_body)
      is_whole = co_await write_stream(reply);
    else if (reply.on_undelivered && (!is_whole || has_no_body || was_gone))
      reply.on_undelivered();
    log_access(reply, count, took);
    co_return is_whole;
  }

  /// A stream that breaks off is not ended, so that the client sees that there is more.
  task<bool> write_stream(http_reply& reply) {
    if (!co_await reply.stream(*this))
      co_return false;
    if (facts_.is_old)
      co_return true;
    expire_after(settings().http_write_timeout);
    const auto [problem, count] = co_await asio::async_write(stream_, asio::buffer("0\r\n\r\n", 5), use);
    co_return !problem;
  }

  void log_access(const http_reply& reply, std::size_t bytes, edge_metrics::clock::duration took) {
    if (!settings().access_log)
      return;
    spdlog::info("{} {} {} {} {}B {:.3f}ms tenant={} id={}", request_.method, request_.path, reply.status,
                 reply.code.empty() ? "-" : reply.code, bytes, std::chrono::duration<double, std::milli>(took).count(),
                 tenant_ ? tenant_->record.id.text() : std::string("-"), request_.id);
  }

  task<void> close() {
    expire_after(std::chrono::duration_cast<std::chrono::milliseconds>(linger_time));
    beast::error_code ignored;
    lowest().shutdown(asio::socket_base::shutdown_send, ignored);
    std::array<char, 4096> rest{};
    for (std::size_t all = 0; all < linger_bytes_max;) {
      const auto [problem, count] = co_await lowest().async_read_some(asio::buffer(rest), use);
      if (problem)
        break;
      all += count;
    }
    lowest().close(ignored);
  }

  Stream stream_;
  connections& of_;
  beast::flat_buffer buffer_;
  http_request request_;
  head_facts facts_;
  tenant_state_ptr tenant_;
  call* watched_ = nullptr;
  bool is_watched_ = false;
  loop_timer watch_;
  const std::uint16_t local_port_;
  clock::time_point deadline_ = clock::time_point::max();
  bool is_idle_ = false;
  bool closes_ = false;
};

template <class Stream>
task<void> serve_guarded(Stream stream, connections& of) {
  try {
    const auto held = std::make_unique<connection<Stream>>(std::move(stream), of);
    auto& serving = *held;
    if constexpr (requires { serving.stream().async_handshake(asio::ssl::stream_base::server, use); }) {
      serving.expire_after(of.at.settings().http_request_read_timeout);
      const auto [problem] = co_await serving.stream().async_handshake(asio::ssl::stream_base::server, use);
      if (problem)
        co_return;
    }
    co_await serving.run();
  } catch (const std::exception& why) {
    spdlog::error("a connection ended by a fault of ours: {}", why.what());
  }
}

} // namespace

task<void> serve(tcp_socket socket, connections& of) {
  return serve_guarded(std::move(socket), of);
}

task<void> serve(tcp_socket socket, std::shared_ptr<asio::ssl::context> tls, connections& of) {
  asio::ssl::stream<tcp_socket> stream(std::move(socket), *tls);
  co_await serve_guarded(std::move(stream), of); // for whose time `tls` lives here
}

task<void> serve(unix_socket socket, connections& of) {
  return serve_guarded(std::move(socket), of);
}

} // namespace colloquy::gateway
