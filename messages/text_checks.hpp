// What PostgreSQL's text can hold: valid UTF-8 without NUL.
#pragma once

#include <cstddef>
#include <string_view>

namespace colloquy {

/// Valid UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF) and no NUL.
bool is_storable_text(std::string_view text) noexcept;

/// Characters (code points) of a valid UTF-8 text.
std::size_t count_characters(std::string_view text) noexcept;

} // namespace colloquy
