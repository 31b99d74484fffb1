// One HTTP connection: requests are read, handed to the edge, answered, one after the other, for as long as the client
// keeps it. See server.hpp for who makes them.
#pragma once

#include "gateway/edge.hpp"
#include "gateway/loop.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <unordered_set>

namespace colloquy::gateway {

/// What the server can do to a connection.
class connection_control {
public:
  connection_control() = default;
  connection_control(const connection_control&) = delete;
  connection_control& operator=(const connection_control&) = delete;
  virtual ~connection_control() = default;

  /// No further request: closed at once if none is under way, else behind its reply. A handler that waits is told.
  virtual void begin_draining() = 0;
  /// Cut, whatever is under way.
  virtual void cut() = 0;
  /// The same, if the client has taken longer than it may.
  virtual void cut_if_late(std::chrono::steady_clock::time_point now) = 0;
};

/// What all connections of a server share. Of one thread.
struct connections {
  explicit connections(edge& to)
    : at(to) {}

  edge& at;
  std::unordered_set<connection_control*> all{};
  std::size_t body_bytes = 0; ///< of requests that are being read or answered

  /// What bodies may take of memory, all together.
  static constexpr std::size_t body_bytes_max = std::size_t{512} << 20;
};

// Each serves a connection to its end, and lets no exception out.
task<void> serve(tcp_socket socket, connections& of);
task<void> serve(tcp_socket socket, std::shared_ptr<boost::asio::ssl::context> tls, connections& of);
task<void> serve(unix_socket socket, connections& of);

} // namespace colloquy::gateway
