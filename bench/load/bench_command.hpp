// `colloquy bench`.
#pragma once

#include "cli/bench_arguments.hpp"

namespace colloquy::load {

/// Measures, tells, writes the report. Gives the exit code; exit_failed too if anything that was written did not come
/// back as it was.
int run_bench(const cli::bench_arguments& arguments, const config::settings& settings);

} // namespace colloquy::load
