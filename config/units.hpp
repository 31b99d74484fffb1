// Numbers with units as people write them: "30s", "64KiB". Whole numbers only, so that what is read is exact.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::config {

inline constexpr std::string_view duration_units = "ms, s, min or h";
inline constexpr std::string_view size_units = "B, KiB, MiB or GiB";

/// Digits only; nothing if there is anything else or it does not fit 64 bits.
std::optional<std::uint64_t> parse_whole_number(std::string_view text);

/// Digits and one of duration_units; a bare number is nothing, for its unit would be a guess.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Digits and one of size_units; the result is in bytes.
std::optional<std::size_t> parse_size(std::string_view text);

/// In the largest unit that is exact; reads back as the same value.
std::string format_duration(std::chrono::milliseconds duration);
std::string format_size(std::size_t bytes);

} // namespace colloquy::config
