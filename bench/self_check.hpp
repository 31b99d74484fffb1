// That the bench itself works, in a few seconds and on any machine.
#pragma once

#include "bench/measure.hpp"

namespace colloquy::bench {

/// Small enough for a test, and with counts that do not divide evenly.
bench_options self_check_options();

/// Throws bench_failure if the histogram is wrong.
void check_histogram();
/// Throws bench_failure unless the report can be read by a program and holds figures. Asserts no speed.
void check_report(const measured& run, const bench_options& options);

} // namespace colloquy::bench
