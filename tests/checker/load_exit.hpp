// How the load ends when there is nothing to check: as CTest's SKIP_RETURN_CODE has it.
#pragma once

namespace colloquy::checker {

inline constexpr int exit_no_journal = 77;

} // namespace colloquy::checker
