#include "bench/load/load_progress.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace colloquy::load {
namespace {

constexpr std::size_t bar_columns = 20;

} // namespace

std::string progress_text(const std::string& name, const course_view& seen, double per_s) {
  auto text = name + ": " + std::string(seen.phase);
  if (seen.share <= 0)
    return text;
  const double share = std::clamp(seen.share, 0.0, 1.0);
  const auto columns = static_cast<std::size_t>(share * bar_columns);
  char rest[96];
  std::snprintf(rest, sizeof rest, "] %3d %%  %.0f/s  p99 %.2f ms", static_cast<int>(share * 100), per_s,
                std::chrono::duration<double, std::milli>(seen.p99).count());
  return text + " [" + std::string(columns, '#') + std::string(bar_columns - columns, '.') + rest;
}

load_progress::load_progress(std::string name)
  : name_(std::move(name))
  , is_terminal_(::isatty(STDERR_FILENO) == 1)
  , drawn_at_(std::chrono::steady_clock::now()) {}

void load_progress::draw(const course_view& seen) {
  if (!is_terminal_)
    return;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> since = now - std::exchange(drawn_at_, now);
  const auto done = seen.done - std::min(seen.done, std::exchange(done_before_, seen.done));
  const auto text = progress_text(name_, seen, since.count() > 0 ? static_cast<double>(done) / since.count() : 0);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void load_progress::clear() {
  if (!std::exchange(drawn_, false))
    return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

} // namespace colloquy::load
