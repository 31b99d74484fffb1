// For messages about misspelled names.
#pragma once

#include <span>
#include <string_view>

namespace colloquy {

/// The name that was most likely meant: at most three single-character edits away, and at most half of its length;
/// of several, the one that begins like it for longer. "" if none is near enough.
std::string_view nearest_name(std::string_view wrong, std::span<const std::string_view> names);

} // namespace colloquy
