#include "messages/nearest_name.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace colloquy {
namespace {

/// How many single-character edits lie between two names.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t k = 0; k <= b.size(); ++k)
    row[k] = k;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t k = 1; k <= b.size(); ++k) {
      const std::size_t above = row[k];
      row[k] = std::min({row[k] + 1, row[k - 1] + 1, diagonal + (a[i - 1] == b[k - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::size_t alike_at_first(std::string_view a, std::string_view b) {
  const auto size = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + size, b.begin()).first - a.begin());
}

} // namespace

std::string_view nearest_name(std::string_view wrong, std::span<const std::string_view> names) {
  constexpr std::size_t bytes_max = 32; // longer ones are near to nothing, and comparing costs their length
  constexpr std::size_t edits_max = 3;
  std::string_view nearest;
  std::size_t edits_least = edits_max + 1, alike_most = 0;
  if (wrong.size() > bytes_max)
    return nearest;
  for (auto name : names) {
    const auto edits = edit_distance(wrong, name);
    const auto alike = alike_at_first(wrong, name);
    if (edits * 2 <= name.size() && (edits < edits_least || (edits == edits_least && alike > alike_most))) {
      edits_least = edits;
      alike_most = alike;
      nearest = name;
    }
  }
  return nearest;
}

} // namespace colloquy
