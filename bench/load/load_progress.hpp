// How far a measurement is, as a line on the terminal.
#pragma once

#include "bench/load/load_course.hpp"

#include <chrono>
#include <string>

namespace colloquy::load {

/// Draws on standard error if that is a terminal, else does nothing. The line goes with it.
class load_progress {
public:
  explicit load_progress(std::string name);
  load_progress(const load_progress&) = delete;
  load_progress& operator=(const load_progress&) = delete;
  ~load_progress() { clear(); }

  void draw(const course_view& seen);
  void clear();

private:
  const std::string name_;
  const bool is_terminal_;
  bool drawn_ = false;
  std::size_t done_before_ = 0;
  std::chrono::steady_clock::time_point drawn_at_;
};

/// "append durable, 1000 sessions: measuring [####....]  41 %   72,345/s  p99 12.3 ms".
std::string progress_text(const std::string& name, const course_view& seen, double per_s);

} // namespace colloquy::load
