#include "config/nearest.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace colloquy::config {

namespace {

// Names are short; a longer one is no misspelling, and the comparison is quadratic.
constexpr std::size_t length_max = 100;

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const auto changed = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

} // namespace

std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& known) {
  if (wrong.size() > length_max)
    return std::nullopt;
  std::optional<std::string> found;
  std::size_t limit = std::max<std::size_t>(2, wrong.size() / 3);
  for (const auto& each : known) {
    const auto distance = edit_distance(wrong, each);
    // A name so short that all of it may change is near to nothing.
    if (distance < each.size() && (distance < limit || (!found && distance == limit))) {
      limit = distance;
      found = each;
    }
  }
  return found;
}

} // namespace colloquy::config
