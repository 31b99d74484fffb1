// One connection through tcp_proxy.hpp, which holds them. Runs on the proxy's thread only.
#pragma once

#include "tests/support/tcp_proxy.hpp"

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace colloquy::test::proxy {

namespace asio = boost::asio;
using stream = asio::generic::stream_protocol::socket;
using stream_endpoint = asio::generic::stream_protocol::endpoint;
using steady = std::chrono::steady_clock;

/// What is wrong with one direction.
struct pipe_faults {
  std::chrono::milliseconds delay{0};
  std::uint64_t bytes_per_second = 0; ///< 0: as many as there are
  bool swallow = false;
  std::optional<std::uint64_t> cut_after; ///< bytes that may still pass
};

struct link_faults {
  pipe_faults to_server;
  pipe_faults to_client;
};

class relay;

/// What the connections of one proxy share.
struct house {
  stream_endpoint target;
  proxy_counters counters;
  link_faults ordinary; ///< for new connections
  link_faults cancels;
  bool hang = false;
  std::set<std::shared_ptr<relay>> relays;
};

class relay : public std::enable_shared_from_this<relay> {
public:
  relay(house& shared, stream client);

  /// Connects through, or waits for release().
  void start();
  void release();

  /// Not known before the first bytes.
  std::optional<traffic> kind() const { return kind_; }
  /// After every change of its faults.
  link_faults faults() const { return {to_server_.faults, to_client_.faults}; }
  void set_faults(const link_faults& faults);

  /// Both sides see a reset.
  void cut();

private:
  static constexpr std::size_t held_max = 64 * 1024;

  struct piece {
    steady::time_point due;
    std::string bytes;
  };

  /// One direction: read, hold until it is due, write.
  struct pipe {
    pipe(stream& source, stream& target, const asio::any_io_executor& executor)
      : from(source)
      , to(target)
      , timer(executor) {}

    stream& from;
    stream& to;
    asio::steady_timer timer;
    pipe_faults faults;
    std::array<char, 16 * 1024> incoming{};
    std::deque<piece> held; ///< at most held_max and one reading
    std::size_t held_bytes = 0;
    steady::time_point next_write; ///< not before, when throttled
    bool reading = false;
    bool writing = false;
    bool waiting = false;
    bool ended = false; ///< the source has no more
    bool shut = false;  ///< the target has been told
  };

  void connected();
  void read_more(pipe& p);
  void on_bytes(pipe& p, std::string bytes);
  bool classify(std::string& bytes);
  void take(pipe& p, std::string bytes);
  void write_more(pipe& p);
  void wait_until(pipe& p, steady::time_point when);
  void write_piece(pipe& p);
  void count_passing(const pipe& p, std::uint64_t count);
  void on_written(pipe& p, std::size_t count);
  void pass_end(pipe& p);
  void cut_politely();
  void leave();

  house& house_;
  stream client_;
  stream server_;
  pipe to_server_;
  pipe to_client_;
  std::optional<traffic> kind_;
  std::string first_; ///< what came before kind_ was known
  bool started_ = false;
  bool connected_ = false;
  bool closed_ = false;
};

} // namespace colloquy::test::proxy
