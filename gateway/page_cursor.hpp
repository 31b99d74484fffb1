// Cursors of pages that are cut by a number (an offset, a turn's number) or by a name.
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

/// The same of a name: what a page ended with. "" if it is "": there is no next page.
std::string to_name_cursor(char kind, std::string_view name);
/// Nothing if it is none, or no text that can be stored.
std::optional<std::string> from_name_cursor(char kind, std::string_view text);

} // namespace colloquy::gateway
