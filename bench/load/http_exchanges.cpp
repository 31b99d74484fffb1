#include "bench/load/http_exchanges.hpp"

#include "bench/bench_failure.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <charconv>
#include <utility>

namespace colloquy::load {

namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

constexpr std::uint64_t reply_bytes_max = std::uint64_t{64} << 20;

} // namespace

std::optional<http_url> parse_http_url(const std::string& text) {
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme))
    return std::nullopt;
  const auto rest = text.substr(scheme.size());
  const auto slash = rest.find('/');
  auto authority = rest.substr(0, slash);
  http_url found;
  found.path = slash == std::string::npos ? "" : rest.substr(slash);
  while (found.path.ends_with('/'))
    found.path.pop_back();
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  found.port = has_port ? authority.substr(colon + 1) : "80";
  found.host = authority.substr(0, has_port ? colon : authority.size());
  if (found.host.starts_with('[') && found.host.ends_with(']'))
    found.host = found.host.substr(1, found.host.size() - 2);
  if (found.host.empty() || found.port.empty())
    return std::nullopt;
  return found;
}

/// Connects when it is first used, and again when the service has closed it while it was idle.
class http_exchanges::connection : public std::enable_shared_from_this<connection> {
public:
  explicit connection(http_exchanges& of)
    : of_(of)
    , socket_(of.loop_) {}

  void exchange(waiting what) {
    under_way_ = std::move(what);
    is_second_try_ = false;
    if (socket_.is_open())
      return write();
    connect();
  }

private:
  using parser_type = beast::http::response_parser<beast::http::string_body>;

  void connect() {
    buffer_.clear();
    asio::async_connect(socket_, of_.addresses_,
                        [self = shared_from_this()](const boost::system::error_code& failed, const auto&) {
                          if (failed)
                            return self->fail(failed);
                          boost::system::error_code ignored;
                          self->socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
                          self->is_second_try_ = true; // a fresh connection that fails is a failure
                          self->write();
                        });
  }

  void write() {
    asio::async_write(socket_, asio::buffer(under_way_.text),
                      [self = shared_from_this()](const boost::system::error_code& failed, std::size_t) {
                        if (failed)
                          return self->fail(failed);
                        self->read();
                      });
  }

  void read() {
    parser_.emplace();
    parser_->body_limit(reply_bytes_max);
    beast::http::async_read(socket_, buffer_, *parser_,
                            [self = shared_from_this()](const boost::system::error_code& failed, std::size_t bytes) {
                              if (failed)
                                return self->fail(failed, bytes > 0);
                              self->deliver();
                            });
  }

  void deliver() {
    auto message = parser_->release();
    http_reply reply{message.result_int(), std::move(message.body())};
    if (const auto found = message.find(beast::http::field::retry_after); found != message.end()) {
      int seconds = 0;
      std::from_chars(found->value().data(), found->value().data() + found->value().size(), seconds);
      reply.retry_after_s = seconds;
    }
    if (!message.keep_alive())
      close();
    finish(reply);
  }

  void fail(const boost::system::error_code& why, bool has_part_of_reply = false) {
    close();
    if (!std::exchange(is_second_try_, true) && !has_part_of_reply)
      return connect();
    http_reply reply{0, "no reply from " + of_.to_.host + ":" + of_.to_.port + ": " + why.message()};
    finish(reply);
  }

  void finish(http_reply& reply) {
    auto then = std::move(under_way_.then);
    of_.become_idle(shared_from_this());
    then(reply);
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  http_exchanges& of_;
  asio::ip::tcp::socket socket_;
  beast::flat_buffer buffer_;
  std::optional<parser_type> parser_;
  waiting under_way_;
  bool is_second_try_ = false;
};

http_exchanges::http_exchanges(asio::io_context& loop, http_url to, std::size_t connections)
  : loop_(loop)
  , to_(std::move(to))
  , connections_max_(connections) {
  asio::ip::tcp::resolver resolver(loop);
  boost::system::error_code failed;
  addresses_ = resolver.resolve(to_.host, to_.port, failed);
  if (failed)
    throw bench::bench_failure("the host " + to_.host + " is not found: " + failed.message());
}

http_exchanges::~http_exchanges() = default;

std::string http_exchanges::text_of(const request& wanted, const char* accept) const {
  std::string text = std::string(wanted.method) + " " + to_.path + wanted.path + " HTTP/1.1\r\nHost: " + to_.host +
                     ":" + to_.port + "\r\nAccept: " + accept + "\r\n";
  if (!wanted.key.empty())
    text += "Authorization: Bearer " + wanted.key + "\r\n";
  if (!wanted.body.empty())
    text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(wanted.body.size()) + "\r\n";
  return text + "\r\n" + wanted.body;
}

void http_exchanges::send(const request& wanted, http_done then) {
  waiting what{text_of(wanted, "application/json"), std::move(then)};
  if (!idle_.empty()) {
    const auto who = std::move(idle_.back());
    idle_.pop_back();
    return who->exchange(std::move(what));
  }
  if (connections_ < connections_max_) {
    ++connections_;
    return std::make_shared<connection>(*this)->exchange(std::move(what));
  }
  waiting_.push_back(std::move(what));
}

void http_exchanges::become_idle(const std::shared_ptr<connection>& who) {
  if (waiting_.empty()) {
    idle_.push_back(who);
    return;
  }
  auto next = std::move(waiting_.front());
  waiting_.pop_front();
  who->exchange(std::move(next));
}

} // namespace colloquy::load
