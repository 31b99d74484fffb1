// Reading what an export wrote.
#pragma once

#include "gateway/call_reader.hpp"
#include "messages/log_requests.hpp"
#include "messages/session_requests.hpp"
#include "messages/turn_requests.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// A session to be made, with its log in pieces that can be appended.
struct session_to_import {
  std::string exported_id;
  create_session wanted; ///< without its tenant
  session_status status = session_status::active;
  std::vector<participant> participants{};
  struct piece {
    std::vector<event_input> events{};
    imported_log log{};
  };
  std::vector<piece> pieces{};
  std::vector<event_range> deleted{}; ///< of the events, counted from 0 as they stand there
  std::size_t events = 0;
  std::size_t turns = 0;
};

struct import_reading {
  std::vector<session_to_import> sessions{};
  std::vector<mistake> mistakes{};
  std::size_t mistake_count = 0;
  bool is_too_large = false;
};

inline constexpr std::size_t imported_sessions_max = 1000;

/// All of it, or every mistake; a pointer begins with the number of the line, from 1. New ids for turns; a turn that
/// ran is lost at `now`, one that waited is left out, and so is one that left nothing in the log.
import_reading read_import(std::string_view body, const size_limits& limits, timestamp now);

} // namespace colloquy::gateway
