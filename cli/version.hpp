#pragma once

#include <string_view>

namespace colloquy::cli {

/// As CMakeLists.txt says; a test compares the two.
inline constexpr std::string_view version = "0.1.0";

} // namespace colloquy::cli
