#pragma once

namespace colloquy::cli {

/// The whole program. Gives the exit code (exit_code.hpp).
int run_program(int argc, const char* const* argv);

} // namespace colloquy::cli
