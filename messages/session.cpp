#include "messages/turn_requests.hpp"

#include <array>

namespace colloquy {
namespace {

constexpr std::array<std::string_view, 4> session_status_names{"active", "paused", "completed", "expired"};
constexpr std::array<std::string_view, 2> session_mode_names{"auto", "manual"};
constexpr std::array<std::string_view, 8> turn_status_names{"queued",    "running",     "completed",   "failed",
                                                            "cancelled", "interrupted", "rolled_back", "lost"};
constexpr std::array<std::string_view, 2> participant_role_names{"reader", "writer"};
constexpr std::array<std::string_view, 4> turn_policy_names{"enqueue", "reject", "interrupt", "rollback"};

template <class Enum, std::size_t N>
std::optional<Enum> parse_name(const std::array<std::string_view, N>& names, std::string_view text) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == text)
      return static_cast<Enum>(i);
  return std::nullopt;
}

} // namespace

std::string_view to_string(session_status status) noexcept {
  return session_status_names[static_cast<std::size_t>(status)];
}
std::optional<session_status> parse_session_status(std::string_view text) noexcept {
  return parse_name<session_status>(session_status_names, text);
}
std::string_view to_string(session_mode mode) noexcept {
  return session_mode_names[static_cast<std::size_t>(mode)];
}
std::optional<session_mode> parse_session_mode(std::string_view text) noexcept {
  return parse_name<session_mode>(session_mode_names, text);
}
std::string_view to_string(turn_status status) noexcept {
  return turn_status_names[static_cast<std::size_t>(status)];
}
std::optional<turn_status> parse_turn_status(std::string_view text) noexcept {
  return parse_name<turn_status>(turn_status_names, text);
}

std::string_view to_string(participant_role role) noexcept {
  return participant_role_names[static_cast<std::size_t>(role)];
}
std::optional<participant_role> parse_participant_role(std::string_view text) noexcept {
  return parse_name<participant_role>(participant_role_names, text);
}
std::string_view to_string(turn_policy policy) noexcept {
  return turn_policy_names[static_cast<std::size_t>(policy)];
}
std::optional<turn_policy> parse_turn_policy(std::string_view text) noexcept {
  return parse_name<turn_policy>(turn_policy_names, text);
}

} // namespace colloquy
