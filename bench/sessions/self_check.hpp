// Whether the sessions' bench works: tiny runs, counts and reports, no speed.
#pragma once

#include "bench/sessions/measurements.hpp"

namespace colloquy::bench {

idle_options idle_self_check_options();
history_options history_self_check_options();

/// Throw bench_failure.
void check_report(const idle_figures& found, const idle_options& options);
void check_report(const history_figures& found, const history_options& options);

} // namespace colloquy::bench
