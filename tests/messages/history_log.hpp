// Logs for the tests of history_window, and what a window gives of them as text.
#pragma once

#include "messages/history_window.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

inline const auto ended_turn = *turn_id::parse("01890000-0000-7000-8000-000000000001");
inline const auto running_turn = *turn_id::parse("01890000-0000-7000-8000-000000000002");

/// A log under construction: offsets rise, every message counts ten tokens unless said.
struct log_of_messages {
  std::vector<event> events;

  event& add(message_role role, std::int32_t tokens = 10) {
    event message;
    message.role = role;
    message.tokens = tokens;
    message.data = R"({"role":"user","content":"x"})";
    message.offset = static_cast<event_offset>(events.size());
    events.push_back(std::move(message));
    return events.back();
  }
  event& user(std::int32_t tokens = 10) { return add(message_role::user, tokens); }
  event& call(std::vector<std::string> ids, std::int32_t tokens = 10) {
    auto& message = add(message_role::assistant, tokens);
    message.tool_call_ids = std::move(ids);
    return message;
  }
  event& result(const std::string& id, std::int32_t tokens = 10) {
    auto& message = add(message_role::tool, tokens);
    message.tool_call_id = id;
    return message;
  }
};

inline std::optional<event> first_of(const std::vector<event>& log) {
  return log.empty() ? std::nullopt : std::optional(log.front());
}

struct history_read_back {
  chosen_history chosen;
  std::size_t read = 0;
};

inline history_read_back read_back(const std::vector<event>& log, const history_limits& limits,
                                   token_counter counter = {}) {
  history_window window(limits, running_turn, first_of(log), std::move(counter));
  std::size_t read = 0;
  for (auto at = log.rbegin(); at != log.rend() && window.wants_more(); ++at, ++read)
    window.add(*at);
  return {std::move(window).finish(), read};
}

inline bool is_made_up(const event& message) {
  return message.data.find(R"("metadata":{"synthetic":true})") != std::string::npos;
}

/// Offsets in order; what is made up as the id of its call.
inline std::vector<std::string> shown(const chosen_history& chosen) {
  std::vector<std::string> out;
  for (const auto& message : chosen.messages)
    out.push_back(is_made_up(message) ? "made up for " + message.tool_call_id : std::to_string(message.offset));
  return out;
}

inline std::vector<std::string> shown(const std::vector<event>& log, const history_limits& limits) {
  return shown(read_back(log, limits).chosen);
}

} // namespace colloquy::test
