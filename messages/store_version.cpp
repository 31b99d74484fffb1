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

version_part split(std::string_view part) noexcept {
  const auto end = std::min(part.find_first_not_of("0123456789"), part.size());
  auto number = part.substr(0, end);
  if (!number.empty())
    number.remove_prefix(std::min(number.find_first_not_of('0'), number.size() - 1));
  return {number, part.substr(end)};
}

std::strong_ordering compare_parts(std::string_view of_a, std::string_view of_b) noexcept {
  const auto a = split(of_a), b = split(of_b);
  if (const auto order = a.number.size() <=> b.number.size(); order != 0)
    return order;
  if (const auto order = a.number.compare(b.number); order != 0)
    return order <=> 0;
  if (!a.number.empty() && a.rest.empty() != b.rest.empty())
    return a.rest.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  return a.rest.compare(b.rest) <=> 0;
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
    const auto part = split(take_part(version, has_more));
    out += part.number;
    out += part.rest;
    out += has_more ? "." : "";
  }
  return out;
}

} // namespace colloquy
