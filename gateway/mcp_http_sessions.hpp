// Sessions of the protocol's older versions over HTTP: what `initialize` opened, known by Mcp-Session-Id. Not to be
// taken for conversations.
#pragma once

#include "gateway/mcp_request.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

namespace colloquy::gateway {
class reply_sink;
}

namespace colloquy::gateway::mcp {

/// Messages that wait for a client to take them, written as server-sent events.
class event_queue : public outlet {
public:
  static constexpr std::size_t bytes_max = std::size_t{32} << 20;

  explicit event_queue(boost::asio::io_context& context)
    : news_(context) {}

  void send(std::string message) override;
  /// Nothing more will come.
  void close();
  bool is_closed() const noexcept { return is_closed_; }
  bool is_empty() const noexcept { return messages_.empty(); }
  /// The client let too much of it gather: it will not get all of it.
  bool is_overfull() const noexcept { return is_overfull_; }
  std::string take();
  /// Until something has come, it is closed, or wake().
  task<void> await_news(std::chrono::milliseconds most);
  void wake() { news_.cancel(); }

private:
  loop_timer news_;
  std::deque<std::string> messages_;
  std::size_t bytes_ = 0;
  bool is_closed_ = false;
  bool is_overfull_ = false;
};

/// Writes until the queue is closed and empty. False: the client is gone, or was too slow. `is_over` ends it early.
task<bool> write_events(event_queue& from, reply_sink& to, std::function<bool()> is_over);

struct http_session {
  http_session(boost::asio::io_context& context, std::string name, std::shared_ptr<peer> of)
    : id(std::move(name))
    , whose(std::move(of))
    , queue(context) {}

  std::string id;
  std::shared_ptr<peer> whose;
  event_queue queue; ///< for the client's stream, if it has one
  bool has_stream = false;
  /// From this version on a stream may say when a client that lost it is to come back.
  bool knows_retry() const noexcept { return whose->version >= "2025-11-25"; }
  std::chrono::steady_clock::time_point used{};
};

class http_sessions {
public:
  static constexpr std::size_t sessions_max = 10'000;
  static constexpr std::size_t tenant_sessions_max = 5'000;
  static constexpr std::chrono::minutes idle_max{60};

  explicit http_sessions(hub& at)
    : at_(at) {}

  /// Errors: overloaded.
  result<std::shared_ptr<http_session>> open(const principal& who, const tenant_state_ptr& tenant);
  /// Null if it is not there, or somebody else's.
  std::shared_ptr<http_session> find(std::string_view id, const principal& who);
  void close(const std::shared_ptr<http_session>& session);
  void close_of_key(const key_id& key);
  void begin_draining();
  /// The stream of a client broke off: where there is one, it is what shows that the client lives. If it neither comes
  /// back nor asks for anything, it has died, and its database sessions with what they have locked end.
  void note_lost_stream(const std::shared_ptr<http_session>& session);

private:
  void drop_idle();
  task<void> await_life(std::weak_ptr<http_session> of, std::chrono::milliseconds wait);

  hub& at_;
  std::unordered_map<std::string, std::shared_ptr<http_session>> all_;
};

} // namespace colloquy::gateway::mcp
