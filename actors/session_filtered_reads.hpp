// Reading events that a filter wants, part by part. Inside of session_*.cpp only.
#pragma once

#include "actors/session.hpp"

#include <functional>

namespace colloquy::actors {

struct session::filtered_reading {
  read_events wanted; // its `after` moves on
  time_point until;
  std::function<void(result<event_page>)> then;
  event_page found{};
  std::size_t bytes = 0;

  bool is_full() const { return found.events.size() >= wanted.limit || bytes >= limits::page_bytes_max; }
  void take(event&& entry, bool is_deleted) {
    bytes += entry.data.size();
    if (is_deleted)
      found.deleted.push_back(entry.offset);
    found.events.push_back(std::move(entry));
  }
  /// Nothing up to there is left to be read; if the page is full, only up to its last event.
  void finish(event_offset read_through) {
    found.read_through = is_full() ? found.events.back().offset : read_through;
    then(std::move(found));
  }
};

} // namespace colloquy::actors
