// Subscribers of a session as event streams over HTTP, and when all of them have heard an event.
#pragma once

#include "bench/load/http_exchanges.hpp"
#include "bench/load/load_client.hpp"

namespace colloquy::load {

/// A connection each. Of a session, at most one event may be under way at a time. A stream that ends gives `heard` -1.
void listen_over_http(http_exchanges& exchanges, const http_exchanges::request& wanted, std::size_t listeners,
                      std::function<void(event_offset)> heard, answer<listeners_ready> then);

} // namespace colloquy::load
