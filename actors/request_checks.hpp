// What the checks of requests about documents have in common. Inside actors/ only.
#pragma once

#include "actors/session_checks.hpp"
#include "messages/error.hpp"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

namespace colloquy::actors {

inline error invalid(std::string why) {
  return {error_code::invalid_request, std::move(why)};
}

/// The first of them that is one.
inline std::optional<error> first_of(std::initializer_list<std::optional<error>> problems) {
  const auto* found = std::find_if(problems.begin(), problems.end(), [](const auto& each) { return each.has_value(); });
  return found == problems.end() ? std::nullopt : *found;
}

inline std::optional<error> check_repeat(const std::optional<idempotency>& repeat) {
  return repeat && !is_storable(*repeat) ? std::optional(unstorable_key()) : std::nullopt;
}

} // namespace colloquy::actors
