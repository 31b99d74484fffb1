#include "gateway/page_cursor.hpp"

#include <charconv>

namespace colloquy::gateway {

// The kind, then the number in base 16, behind a mark that changes if the form ever does.
std::string to_cursor(char kind, std::int64_t at) {
  char digits[17] = {};
  const auto written = std::to_chars(digits, digits + sizeof digits, at, 16);
  return std::string("1") + kind + std::string(digits, written.ptr);
}

std::optional<std::int64_t> from_cursor(char kind, std::string_view text) {
  std::int64_t at = 0;
  if (text.size() < 3 || text[0] != '1' || text[1] != kind)
    return std::nullopt;
  const auto digits = text.substr(2);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), at, 16);
  if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() || at < 0 || to_cursor(kind, at) != text)
    return std::nullopt;
  return at;
}

} // namespace colloquy::gateway
