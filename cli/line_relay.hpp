// Standard input and output, line by line, to and from a service's private socket. It knows as much of the protocol as
// it takes to go on when the service moves to another process: what a client opened with, and what is not answered yet.
//
// Nothing but what the service sends goes to standard output. What waits in either direction is bounded: then less is
// read. Used by one thread, which it holds.
#pragma once

#include "cli/byte_queue.hpp"
#include "gateway/mcp_line_cutter.hpp"
#include "messages/error.hpp"

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace colloquy::cli {

enum class relay_end {
  client_done, ///< it has said all, and was answered; or it has gone
  stopped,     ///< as was asked for
  socket_lost, ///< the service is gone; the client is still there
};

struct relay_settings {
  /// Longer lines of the client are refused, and passed over.
  std::size_t line_bytes_max = std::size_t{16} << 20;
  /// Said to each service before all else; "": nothing.
  std::string greeting{};
};

class line_relay {
public:
  /// Non-blocking reads and short writes: whatever is at these descriptors.
  line_relay(int input, int output, relay_settings settings = {});
  line_relay(const line_relay&) = delete;
  line_relay& operator=(const line_relay&) = delete;

  /// Passes on until one of them ends it; closes the socket. Repeats to a new service what the client opened with.
  relay_end run(int socket, const std::function<bool()>& is_stopped);
  /// Whether the client is there still, looked at without reading.
  bool has_client() const;
  /// What came from the client and was not passed on is answered with that.
  void refuse_all(const error& why);

private:
  void take_input();
  void take_line(std::string_view line);
  void note(std::string_view message);
  void tell_client(std::string_view line);
  void take_from_service(std::string_view line);
  bool pump(int socket, const std::function<bool()>& is_stopped, relay_end& end);
  bool read_socket(int socket);
  void write_output();
  void begin_again();
  std::set<std::string> fail_unanswered(const std::string& but);

  int input_;
  int output_;
  relay_settings settings_;
  bool was_connected_ = false;
  bool is_line_cut_ = false; // a part of to_service_'s first line has left
  bool is_input_over_ = false;
  bool is_output_broken_ = false;
  gateway::mcp::line_cutter from_client_;
  byte_queue to_service_;
  std::string from_service_; // of a line
  byte_queue to_client_;
  std::string opening_; // the client's initialize, and what it said after
  std::string opening_id_;
  bool is_opened_ = false;           // the answer to it has come
  bool skips_opening_ = false;       // the next answer to it is for a repeat of ours
  std::set<std::string> unanswered_; // ids
};

} // namespace colloquy::cli
