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
  std::size_t page = 32;      ///< how many are read next; grows
  std::int64_t messages = -1; ///< in the log, up to where the history ends; -1: not known yet
};

} // namespace colloquy::actors
