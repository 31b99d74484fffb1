#include "gateway/json_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace colloquy::gateway {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

/// What stands for a character that may not stand in a string itself; 0: it may.
char short_escape(char c) {
  switch (c) {
  case '"':
  case '\\':
    return c;
  case '\n':
    return 'n';
  case '\r':
    return 'r';
  case '\t':
    return 't';
  default:
    return 0;
  }
}

} // namespace

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  std::size_t from = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\')
      continue;
    to.append(text, from, at - from);
    from = at + 1;
    to += '\\';
    if (const char escape = short_escape(text[at])) {
      to += escape;
    } else {
      to += "u00";
      to += digits[byte >> 4];
      to += digits[byte & 15];
    }
  }
  to.append(text, from, text.size() - from);
  to += '"';
}

json_writer& json_writer::value(double number) {
  if (!std::isfinite(number))
    return null();
  std::array<char, 40> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), number);
  return raw(std::string_view(text.data(), static_cast<std::size_t>(written.ptr - text.data())));
}

json_writer& json_writer::members_of(std::string_view object) {
  const auto open = object.find('{'), close = object.rfind('}');
  if (open == std::string_view::npos || close == std::string_view::npos || close <= open)
    return *this;
  const auto inside = object.substr(open + 1, close - open - 1);
  if (inside.find_first_not_of(" \t\r\n") != std::string_view::npos)
    raw(inside);
  return *this;
}

} // namespace colloquy::gateway
