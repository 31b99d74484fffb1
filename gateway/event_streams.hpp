// Server-sent events: what sessions send to the edge's one subscriber, handed to the stream that each is for.
#pragma once

#include "gateway/asker.hpp"
#include "gateway/http_message.hpp"
#include "gateway/loop.hpp"
#include "messages/directory_interface.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::gateway {

/// Of the events of a log, those that a stream shows.
struct shown_events {
  std::vector<event_kind> kinds{}; ///< empty: all
  std::optional<std::string> source{};
  std::optional<std::string> trace_id{};
  bool operator==(const shown_events&) const = default;
  bool has(const event& entry) const;
};

/// What a stream shows, and for how long its client may see it.
struct stream_terms {
  shown_events shown{};
  key_id key{}; ///< it was opened with; nil if it was none
  std::optional<timestamp> until{};
};

/// A client that follows a session. What it has not been written yet waits here, and is bounded by the session, which
/// sends no more to one that does not take (subscription_interface.hpp).
class event_stream {
public:
  event_stream(boost::asio::io_context& context, stream_terms terms)
    : news_(context)
    , terms_(std::move(terms)) {}

  /// Writes until the client goes, the session ends it, or close(). What it took is told to the session.
  task<bool> write_to(reply_sink& sink, asker& asks, const directory_actor& directory);
  void close(const error& why);

private:
  friend class event_streams;

  struct part {
    std::shared_ptr<const std::string> text;
    event_offset through = -1; ///< -1: a delta
  };

  void add(part news);
  task<void> await_news();

  loop_timer news_;
  stream_terms terms_;
  session_key session_;
  subscription_id subscription_ = 0;
  event_offset after_ = -1;
  std::deque<part> parts_;
  std::uint64_t deltas_taken_ = 0;
  std::optional<subscription_ended> end_;
};

/// Of one edge, used by its thread alone.
class event_streams {
public:
  /// Subscribes; the stream is fed from then on, until it is dropped.
  task<result<std::shared_ptr<event_stream>>> open(asker& asks, const directory_actor& directory,
                                                   boost::asio::io_context& context, subscribe_events request,
                                                   stream_terms terms, std::chrono::milliseconds limit);
  /// Whoever has opened one says when it is over.
  void drop(const event_stream& stream, asker& asks, const directory_actor& directory);
  /// What an actor sent.
  void take(const caf::message& news);
  /// Those that were opened with a key that is not valid any more are told so.
  void close_of_key(const key_id& key, const error& why);
  /// All are told that it is over.
  void close_all(const error& why);

private:
  struct key_hash {
    std::size_t operator()(const std::pair<session_key, subscription_id>& key) const noexcept {
      return std::hash<session_key>{}(key.first) ^ (key.second * 0x9e3779b97f4a7c15u);
    }
  };

  event_stream* find(const session_key& session, subscription_id subscription);
  void take(const events_arrived& news);
  void take(const delta_arrived& news);
  std::shared_ptr<const std::string> text_of(const events_arrived& news, const event_stream& to);

  std::unordered_map<std::pair<session_key, subscription_id>, std::weak_ptr<event_stream>, key_hash> all_;
  // The last block that was written as text, for the others who listen to it.
  std::shared_ptr<const std::vector<event>> last_block_;
  shown_events last_shown_;
  std::shared_ptr<const std::string> last_text_;
};

} // namespace colloquy::gateway
