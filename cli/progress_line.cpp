#include "cli/progress_line.hpp"

#include <algorithm>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace colloquy::cli {
namespace {

constexpr std::size_t bar_columns = 24;
constexpr std::size_t width_otherwise = 80;

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3)
    text.insert(at - 3, ",");
  return text;
}

const char* name_of(replay_phase phase) {
  switch (phase) {
  case replay_phase::appending:
    return "appending";
  case replay_phase::flushing:
    return "flushing";
  case replay_phase::verifying:
    return "verifying";
  }
  return "";
}

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return width_otherwise;
  return size.ws_col;
}

} // namespace

std::string progress_text(replay_phase phase, std::optional<double> part, std::uint64_t messages, double messages_per_s,
                          std::size_t width) {
  std::string text = name_of(phase);
  if (part) {
    const double done = std::clamp(*part, 0.0, 1.0);
    const auto columns = static_cast<std::size_t>(done * bar_columns);
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(done * 100));
    text += " [" + std::string(columns, '#') + std::string(bar_columns - columns, '.') + "] " + percent;
  }
  if (phase != replay_phase::flushing)
    text += "  " + with_commas(messages) + " messages  " +
            with_commas(static_cast<std::uint64_t>(std::max(messages_per_s, 0.0))) + "/s";
  return text.substr(0, width);
}

progress_line::progress_line()
  : is_terminal_(::isatty(STDERR_FILENO) == 1)
  , phase_begun_(std::chrono::steady_clock::now()) {}

void progress_line::draw(const replay_progress& progress, std::optional<std::uint64_t> conversations_total) {
  if (!is_terminal_)
    return;
  const auto now = std::chrono::steady_clock::now();
  const auto phase = progress.phase.load();
  if (phase != phase_) {
    phase_ = phase;
    phase_begun_ = now;
  }
  const std::chrono::duration<double> elapsed = now - phase_begun_;
  const auto messages = progress.messages.load();
  std::optional<double> part;
  if (conversations_total && *conversations_total > 0)
    part = static_cast<double>(progress.conversations.load()) / static_cast<double>(*conversations_total);
  const double speed = elapsed.count() > 0.2 ? static_cast<double>(messages) / elapsed.count() : 0;
  // The last column stays free: a full line would make some terminals scroll.
  const auto text = progress_text(phase, part, messages, speed, terminal_width() - 1);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void progress_line::clear() {
  if (!drawn_)
    return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

} // namespace colloquy::cli
