// What was measured, for people and for programs.
#pragma once

#include "bench/sessions/measurements.hpp"

#include <string>

namespace colloquy::bench {

/// Bytes a session of one of memory_sample's counts.
double bytes_a_session(const idle_figures& found, std::size_t sessions, std::size_t memory_sample::*count);
/// Of medians: how many times as long the left one took.
double ratio(const histogram& left, const histogram& right);

std::string to_text(const idle_figures& found, const idle_options& options);
std::string to_text(const history_figures& found, const history_options& options);

/// One line.
std::string to_json(const idle_figures& found, const idle_options& options);
std::string to_json(const history_figures& found, const history_options& options);

} // namespace colloquy::bench
