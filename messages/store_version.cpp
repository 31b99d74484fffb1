#include "messages/store_version.hpp"

#include <algorithm>

namespace colloquy {
namespace {

/// Cuts the first part off. Undefined once there is none left.
std::string_view take_part(std::string_view& left, bool& has_more) noexcept {
  const auto dot = left.find('.');
  const auto part = left.substr(0, dot);
  has_more = dot != std::string_view::npos;
  left.remove_prefix(has_more ? dot + 1 : left.size());
  return part;
}

struct version_part {
  std::string_view number; ///< without leading zeros; "" if it begins with none
  std::string_view rest;
};

/// Cuts off the digits that the text begins with; of them what is behind leading zeros.
std::string_view take_number(std::string_view& left) noexcept {
  const auto end = std::min(left.find_first_not_of("0123456789"), left.size());
  auto number = left.substr(0, end);
  if (!number.empty())
    number.remove_prefix(std::min(number.find_first_not_of('0'), number.size() - 1));
  left.remove_prefix(end);
  return number;
}

version_part split(std::string_view part) noexcept {
  const auto number = take_number(part);
  return {number, part};
}

std::strong_ordering compare_numbers(std::string_view a, std::string_view b) noexcept {
  const auto order = a.size() <=> b.size();
  return order != 0 ? order : a.compare(b) <=> 0;
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// By code point, but digits that stand at the same place by the number that they are.
std::strong_ordering compare_texts(std::string_view a, std::string_view b) noexcept {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      if (const auto order = compare_numbers(take_number(a), take_number(b)); order != 0)
        return order;
      continue;
    }
    if (a.front() != b.front())
      return static_cast<unsigned char>(a.front()) <=> static_cast<unsigned char>(b.front());
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() <=> b.size();
}

std::strong_ordering compare_parts(std::string_view of_a, std::string_view of_b) noexcept {
  const auto a = split(of_a), b = split(of_b);
  if (const auto order = compare_numbers(a.number, b.number); order != 0)
    return order;
  if (!a.number.empty() && a.rest.empty() != b.rest.empty())
    return a.rest.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  return compare_texts(a.rest, b.rest);
}

} // namespace

std::strong_ordering compare_versions(std::string_view a, std::string_view b) noexcept {
  bool a_has_more = true, b_has_more = true;
  while (a_has_more && b_has_more)
    if (const auto order = compare_parts(take_part(a, a_has_more), take_part(b, b_has_more)); order != 0)
      return order;
  return a_has_more <=> b_has_more;
}

std::string normal_version(std::string_view version) {
  std::string out;
  for (bool has_more = true; has_more;) {
    auto part = take_part(version, has_more);
    while (!part.empty()) {
      out += take_number(part);
      const auto text = part.substr(0, part.find_first_of("0123456789"));
      out += text;
      part.remove_prefix(text.size());
    }
    out += has_more ? "." : "";
  }
  return out;
}

} // namespace colloquy
