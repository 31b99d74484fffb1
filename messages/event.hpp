// An event: one entry of a session's append-only log. A message is an event.
#pragma once

#include "messages/clock.hpp"
#include "messages/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// Position in a log: 0 is the first, and there is no gap.
using event_offset = std::int64_t;

enum class event_kind : std::uint8_t { message, tool, status, custom };
enum class message_role : std::uint8_t { none, system, user, assistant, tool };

std::string_view to_string(event_kind kind) noexcept;
std::string_view to_string(message_role role) noexcept; ///< "" for none
std::optional<event_kind> parse_event_kind(std::string_view text) noexcept;
std::optional<message_role> parse_message_role(std::string_view text) noexcept;

/// What a caller hands in. `data` is JSON, checked (content.hpp) and then opaque: it is stored and given back as the
/// bytes it was. What the log must know of a message has left the JSON as fields.
struct event_input {
  event_kind kind = event_kind::message;
  message_role role = message_role::none;
  std::string data;
  std::optional<std::int32_t> tokens{};
  std::string tool_call_id{};               ///< of a tool's message: the call that it answers; "" if none
  std::vector<std::string> tool_call_ids{}; ///< of an assistant's message: the calls that it makes
  std::string source{};                     ///< "" if none
  std::string trace_id{};                   ///< "" if none
  std::string author{};                     ///< the user who wrote it, where several share a session; "" if unknown

  /// What it reserves of the budget for undurable events.
  std::size_t cost_bytes() const noexcept;
};

/// An event in the log.
struct event : event_input {
  event_offset offset = 0;
  timestamp created_at{};
  turn_id turn{};            ///< nil outside a turn
  std::int64_t messages = 0; ///< messages in the log up to and including this event
};

} // namespace colloquy
