// A history that a session is putting together, page by page. Inside of session_*.cpp only.
#pragma once

#include "actors/session.hpp"
#include "messages/history_window.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace colloquy::actors {

struct session::history_reading {
  std::optional<std::int64_t> token_budget{}; ///< none: the last limits::page_default messages
  std::optional<event_offset> before{};       ///< strictly less; none: the end of the log
  std::function<void(result<history_page>)> done;

  std::optional<history_window> window{};
  std::size_t page = 32;                ///< how many are read next; grows
  bool is_whole = false;                ///< it ends where the log does
  std::int64_t messages = -1;           ///< in the log, up to `through`; -1: not known yet
  event_offset through = -1;            ///< where the history ends
  std::optional<std::int64_t> hidden{}; ///< of `messages`; none: the database must count
};

} // namespace colloquy::actors
