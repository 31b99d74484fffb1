#include "config/units.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace colloquy::config {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first, so that formatting takes the first that divides.
constexpr std::array<unit, 4> durations{{{"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<unit, 4> sizes{{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const unit> units, std::uint64_t max) {
  const auto digits = text.substr(0, text.find_first_not_of("0123456789"));
  const auto number = parse_whole_number(digits);
  if (!number)
    return std::nullopt;
  for (const auto& each : units) {
    if (each.name == text.substr(digits.size()))
      return *number <= max / each.factor ? std::optional{*number * each.factor} : std::nullopt;
  }
  return std::nullopt;
}

std::string format(std::uint64_t number, std::span<const unit> units) {
  for (const auto& each : units) {
    if (number != 0 && number % each.factor == 0)
      return std::to_string(number / each.factor) + std::string(each.name);
  }
  return "0" + std::string(units.back().name);
}

} // namespace

std::optional<std::uint64_t> parse_whole_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stopped, fault] = std::from_chars(text.data(), end, number);
  if (fault != std::errc{} || stopped != end)
    return std::nullopt;
  return number;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  using rep = std::chrono::milliseconds::rep;
  if (const auto parsed = parse(text, durations, static_cast<std::uint64_t>(std::numeric_limits<rep>::max())))
    return std::chrono::milliseconds{static_cast<rep>(*parsed)};
  return std::nullopt;
}

std::optional<std::size_t> parse_size(std::string_view text) {
  return parse(text, sizes, std::numeric_limits<std::size_t>::max());
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format(static_cast<std::uint64_t>(duration.count()), durations);
}

std::string format_size(std::size_t bytes) {
  return format(bytes, sizes);
}

} // namespace colloquy::config
