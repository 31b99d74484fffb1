// Log lines that are about a conversation. Each names tenant and session, and turn and trace id where there is a turn:
// at the line's end for a log of plain text, and as fields for a log that keeps them apart (cli/logging).
//
// A line goes to spdlog's default logger, as every other one does, so that a host that embeds Colloquy finds it where
// its own are. What a conversation says is never logged, and neither is who takes part in it.
#pragma once

#include "messages/ids.hpp"
#include "messages/session.hpp"

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>
#include <utility>

namespace colloquy::actors {

/// What a line is about. It refers to what it was made of.
struct log_subject {
  const session_key& session;
  turn_id turn{};              ///< nil: none
  std::string_view trace_id{}; ///< "": none
};

/// The line that this thread is just writing, for a formatter that keeps its parts apart.
struct log_line {
  std::string_view text; ///< without the ids
  const log_subject& about;
};

/// None while a line is written that is about no conversation. Valid until the formatter returns.
const log_line* current_log_line() noexcept;

/// "tenant=... session=... turn=... trace_id=...", what there is of them. Whatever could be taken for something else in
/// a line (a blank, a quote, a line's end) is written as \xHH.
std::string to_text(const log_subject& about);

void write_log_line(spdlog::level::level_enum level, const log_subject& about, std::string_view text);

/// Costs nothing but a look at the level if the line is not logged. Does not throw: spdlog reports what fails in it.
template <class... Arguments>
void log_about(spdlog::level::level_enum level, const log_subject& about, fmt::format_string<Arguments...> format,
               Arguments&&... arguments) {
  if (spdlog::should_log(level))
    write_log_line(level, about, fmt::format(format, std::forward<Arguments>(arguments)...));
}

} // namespace colloquy::actors
