// A run for people and for programs.
#pragma once

#include "bench/measure.hpp"

#include <string>

namespace colloquy::bench {

std::string to_text(const measured& run, const bench_options& options);
/// One line, without its end.
std::string to_json(const measured& run, const bench_options& options);

} // namespace colloquy::bench
