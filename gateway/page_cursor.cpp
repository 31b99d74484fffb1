#include "gateway/page_cursor.hpp"

#include "messages/text_checks.hpp"

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

std::string to_name_cursor(char kind, std::string_view name) {
  if (name.empty())
    return {};
  constexpr std::string_view digits = "0123456789abcdef";
  auto text = std::string("1") + kind;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::optional<std::string> from_name_cursor(char kind, std::string_view text) {
  std::string name;
  for (std::size_t at = 2; at + 1 < text.size(); at += 2) {
    unsigned byte = 0;
    const auto* end = text.data() + at + 2;
    if (const auto read = std::from_chars(text.data() + at, end, byte, 16); read.ec != std::errc{} || read.ptr != end)
      return std::nullopt;
    name += static_cast<char>(byte);
  }
  // Written anew it must be the same: so neither another kind nor another way to write it is taken.
  if (name.empty() || !is_storable_text(name) || to_name_cursor(kind, name) != text)
    return std::nullopt;
  return name;
}

} // namespace colloquy::gateway
