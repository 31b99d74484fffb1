#include "messages/event.hpp"

#include "messages/limits.hpp"

namespace colloquy {

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
  case event_kind::message:
    return "message";
  case event_kind::tool:
    return "tool";
  case event_kind::status:
    return "status";
  case event_kind::custom:
    return "custom";
  }
  return "custom";
}

std::string_view to_string(message_role role) noexcept {
  switch (role) {
  case message_role::none:
    return "";
  case message_role::system:
    return "system";
  case message_role::user:
    return "user";
  case message_role::assistant:
    return "assistant";
  case message_role::tool:
    return "tool";
  }
  return "";
}

std::optional<event_kind> parse_event_kind(std::string_view text) noexcept {
  for (auto kind : {event_kind::message, event_kind::tool, event_kind::status, event_kind::custom})
    if (text == to_string(kind))
      return kind;
  return std::nullopt;
}

std::optional<message_role> parse_message_role(std::string_view text) noexcept {
  for (auto role : {message_role::system, message_role::user, message_role::assistant, message_role::tool})
    if (text == to_string(role))
      return role;
  return std::nullopt;
}

std::size_t event_input::cost_bytes() const noexcept {
  std::size_t bytes = limits::event_overhead_bytes + data.size() + tool_call_id.size() + source.size() +
                      trace_id.size() + author.size();
  for (const auto& id : tool_call_ids)
    bytes += id.size();
  return bytes;
}

} // namespace colloquy
