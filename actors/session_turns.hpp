// What asking for a turn and running it have in common. Inside of session_*.cpp only.
#pragma once

#include "actors/session_state.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace colloquy::actors {

inline std::optional<error> check_lease(std::chrono::seconds lease) {
  if (lease >= std::chrono::seconds{1} && lease <= limits::lease_max)
    return std::nullopt;
  return error{error_code::invalid_request, "lease is " + std::to_string(lease.count()) + " s; 1 to " +
                                                std::to_string(limits::lease_max.count()) + " is allowed"};
}

inline error turn_in_progress(std::int64_t number) {
  return {error_code::turn_in_progress, "turn " + std::to_string(number) + " is running"};
}

inline void answer_all(waiting_turn& waiting, const result<granted_turn>& with) {
  waiting.answer.deliver(with);
  for (auto& repeat : waiting.repeats)
    repeat.deliver(with);
}

} // namespace colloquy::actors
