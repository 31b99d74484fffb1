#include "gateway/url.hpp"

#include "messages/hex.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

constexpr std::string_view upper_digits = "0123456789ABCDEF"; // as RFC 3986 would have them

/// Most names and values stand for themselves.
bool is_plain(std::string_view text, bool plus_is_space) {
  return std::none_of(text.begin(), text.end(), [&](char c) { return c == '%' || (c == '+' && plus_is_space); });
}

} // namespace

bool percent_decode(std::string_view text, std::string& into, bool plus_is_space) {
  if (is_plain(text, plus_is_space)) {
    into = text;
    return true;
  }
  into.clear();
  into.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      if (text.size() - at < 3)
        return false;
      const int high = hex::value(text[at + 1]), low = hex::value(text[at + 2]);
      if (high < 0 || low < 0)
        return false;
      into += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      into += text[at] == '+' && plus_is_space ? ' ' : text[at];
    }
  }
  return true;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty())
      continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto& [name, value] = pairs.emplace_back();
    if (!percent_decode(pair.substr(0, equals), name, true) ||
        !percent_decode(pair.substr(std::min(equals + 1, pair.size())), value, true))
      return std::nullopt;
  }
  return pairs;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                          c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (is_plain) {
      out += c;
    } else {
      out += '%';
      out += upper_digits[byte >> 4];
      out += upper_digits[byte & 15];
    }
  }
  return out;
}

} // namespace colloquy::gateway
