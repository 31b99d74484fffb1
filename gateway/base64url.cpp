#include "gateway/base64url.hpp"

#include <cstdint>

namespace colloquy::gateway {
namespace {

/// The six bits that a character stands for; -1 for one that stands for none.
constexpr int sextet(char c) noexcept {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == '-')
    return 62;
  return c == '_' ? 63 : -1;
}

} // namespace

std::optional<std::string> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int held = 0; // how many of the low bits are not given out yet
  for (const char c : text) {
    const int six = sextet(c);
    if (six < 0)
      return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(six);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>((bits >> held) & 0xff));
    }
    bits &= (1U << held) - 1;
  }
  if (bits != 0)
    return std::nullopt;
  return bytes;
}

} // namespace colloquy::gateway
