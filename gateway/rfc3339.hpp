// Times as callers write them.
#pragma once

#include "messages/clock.hpp"

#include <optional>
#include <string_view>

namespace colloquy::gateway {

/// RFC 3339: 2026-01-31T12:00:00Z, with a fraction of up to nine digits (what is finer than microseconds is cut), and
/// Z or an offset. None if it is not that, is no date, or is outside of the years 1 to 9999.
std::optional<timestamp> parse_rfc3339(std::string_view text) noexcept;

} // namespace colloquy::gateway
