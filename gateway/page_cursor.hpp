// Cursors of pages that are cut by a number: an offset, or a turn's number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// `kind` tells the lists apart, so that one's cursor is refused by another.
/// `at` is 0 or more: what a page ended with.
std::string to_cursor(char kind, std::int64_t at);
std::optional<std::int64_t> from_cursor(char kind, std::string_view text);

} // namespace colloquy::gateway
