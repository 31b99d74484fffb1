#include "gateway/rfc3339.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

constexpr int fraction_digits_max = 9;

/// Takes digits from the front.
class cursor {
public:
  explicit cursor(std::string_view text)
    : rest_(text) {}

  std::optional<int> number(std::size_t digits) noexcept {
    if (rest_.size() < digits)
      return std::nullopt;
    int value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9')
        return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  bool skip(std::string_view any_of) noexcept {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos)
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::size_t count_digits() const noexcept { return std::min(rest_.find_first_not_of("0123456789"), rest_.size()); }
  void drop(std::size_t characters) noexcept { rest_.remove_prefix(characters); }
  bool at_end() const noexcept { return rest_.empty(); }

private:
  std::string_view rest_;
};

std::optional<std::chrono::microseconds> read_fraction(cursor& at) {
  if (!at.skip("."))
    return std::chrono::microseconds{0};
  const auto digits = at.count_digits();
  if (digits < 1 || digits > fraction_digits_max)
    return std::nullopt;
  const auto kept = std::min<std::size_t>(digits, 6);
  std::int64_t value = at.number(kept).value_or(0);
  at.drop(digits - kept);
  for (auto missing = kept; missing < 6; ++missing)
    value *= 10;
  return std::chrono::microseconds{value};
}

std::optional<std::chrono::minutes> read_offset(cursor& at) {
  if (at.skip("Zz"))
    return std::chrono::minutes{0};
  const bool is_behind = at.skip("-");
  if (!is_behind && !at.skip("+"))
    return std::nullopt;
  const auto hours = at.number(2);
  const bool has_colon = at.skip(":");
  const auto minutes = at.number(2);
  if (!hours || !has_colon || !minutes || *hours > 23 || *minutes > 59)
    return std::nullopt;
  const auto offset = std::chrono::hours{*hours} + std::chrono::minutes{*minutes};
  return is_behind ? -offset : offset;
}

} // namespace

std::optional<timestamp> parse_rfc3339(std::string_view text) noexcept {
  cursor at(text);
  const auto year = at.number(4);
  const bool dash = at.skip("-");
  const auto month = at.number(2);
  const bool second_dash = at.skip("-");
  const auto day = at.number(2);
  const bool parts = at.skip("Tt ");
  const auto hour = at.number(2);
  const bool colon = at.skip(":");
  const auto minute = at.number(2);
  const bool second_colon = at.skip(":");
  const auto second = at.number(2);
  if (!year || !dash || !month || !second_dash || !day || !parts || !hour || !colon || !minute || !second_colon ||
      !second)
    return std::nullopt;
  const auto fraction = read_fraction(at);
  const auto offset = fraction ? read_offset(at) : std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  // A leap second counts as the second after it.
  if (!offset || !at.at_end() || *year < 1 || !date.ok() || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  const auto at_utc = timestamp{std::chrono::sys_days{date}} + std::chrono::hours{*hour} +
                      std::chrono::minutes{*minute} + std::chrono::seconds{*second} + *fraction - *offset;
  const std::chrono::year_month_day in_utc{std::chrono::floor<std::chrono::days>(at_utc)};
  if (in_utc.year() < std::chrono::year{1} || in_utc.year() > std::chrono::year{9999})
    return std::nullopt;
  return at_utc;
}

} // namespace colloquy::gateway
