// Requests over HTTP/1.1: some connections that are kept, each with one request under way; what comes beyond waits in
// line. One thread, that of the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::load {

/// Where a service is, from "http://host:port" with or without a path that all others stand behind.
struct http_url {
  std::string host;
  std::string port;
  std::string path; ///< "" or "/..." without a slash at its end
};
std::optional<http_url> parse_http_url(const std::string& text);

struct http_reply {
  unsigned status = 0; ///< 0: there was none, and the body is the reason
  std::string body;
  std::optional<int> retry_after_s{};
};
using http_done = std::function<void(http_reply&)>;

class http_exchanges {
public:
  /// `connections` at most.
  http_exchanges(boost::asio::io_context& loop, http_url to, std::size_t connections);
  ~http_exchanges();

  struct request {
    const char* method = "GET";
    std::string path; ///< behind the URL's
    std::string key{};
    std::string body{};
  };
  void send(const request& wanted, http_done then);

  const http_url& url() const noexcept { return to_; }
  boost::asio::io_context& loop() noexcept { return loop_; }
  /// Resolved once.
  const boost::asio::ip::tcp::resolver::results_type& addresses() const noexcept { return addresses_; }
  /// The whole request as it goes over the wire.
  std::string text_of(const request& wanted, const char* accept) const;

private:
  class connection;
  struct waiting {
    std::string text;
    http_done then;
  };

  void become_idle(const std::shared_ptr<connection>& who);

  boost::asio::io_context& loop_;
  const http_url to_;
  boost::asio::ip::tcp::resolver::results_type addresses_;
  const std::size_t connections_max_;
  std::size_t connections_ = 0;
  std::vector<std::shared_ptr<connection>> idle_;
  std::deque<waiting> waiting_;
};

} // namespace colloquy::load
