// A line on the terminal that shows how far a replay is.
#pragma once

#include "cli/replay_progress.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace colloquy::cli {

/// "appending [####......]  41%  120,000 messages  43,000/s", no wider than `width`. `part` is 0 to 1; without it there
/// is no bar.
std::string progress_text(replay_phase phase, std::optional<double> part, std::uint64_t messages, double messages_per_s,
                          std::size_t width);

/// Draws on standard error if that is a terminal, else does nothing. Not thread-safe. The line goes with it.
class progress_line {
public:
  progress_line();
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  ~progress_line() { clear(); }

  /// `conversations_total`: of this phase, where known.
  void draw(const replay_progress& progress, std::optional<std::uint64_t> conversations_total);
  /// Before something else is written to standard error.
  void clear();

private:
  const bool is_terminal_;
  bool drawn_ = false;
  replay_phase phase_ = replay_phase::appending;
  std::chrono::steady_clock::time_point phase_begun_;
};

} // namespace colloquy::cli
