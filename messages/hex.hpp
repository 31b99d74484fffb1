// Hexadecimal digits, by table: ids are read and written with every request.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace colloquy::hex {

inline constexpr std::string_view digits = "0123456789abcdef";

namespace detail {
constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 16; ++i)
    values[static_cast<unsigned char>(digits[static_cast<std::size_t>(i)])] = static_cast<std::int8_t>(i);
  for (int i = 10; i < 16; ++i)
    values[static_cast<std::size_t>('A' + i - 10)] = static_cast<std::int8_t>(i);
  return values;
}
inline constexpr auto values = make_values();
} // namespace detail

/// 0 to 15, or -1: no hexadecimal digit of either case.
constexpr int value(char c) noexcept {
  return detail::values[static_cast<unsigned char>(c)];
}

} // namespace colloquy::hex
