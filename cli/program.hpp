#pragma once

#include "cli/bench_arguments.hpp"

namespace colloquy::cli {

/// The whole program. Gives the exit code (exit_code.hpp). `bench` is the load bench, which lies on top of this room.
int run_program(int argc, const char* const* argv, const bench_command& bench);

} // namespace colloquy::cli
