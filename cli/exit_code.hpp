// How the program ends, for scripts that call it.
#pragma once

#include "messages/error.hpp"

namespace colloquy::cli {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_wrong_usage = 2; ///< or configuration: nothing was begun, and a repetition cannot help

constexpr int exit_code_of(const error& why) noexcept {
  return why.code == error_code::invalid_request ? exit_wrong_usage : exit_failed;
}

} // namespace colloquy::cli
