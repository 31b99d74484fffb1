#include "messages/cron_rule.hpp"

#include "messages/json_scan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace colloquy {
namespace {

using namespace std::chrono;

constexpr std::string_view blanks = " \t";
constexpr std::array<std::string_view, 12> month_names{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> weekday_names{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

// The calendar repeats itself after so many days.
constexpr days calendar_cycle{146'097};

struct field_kind {
  std::string_view name;
  int least;
  int most;
  std::span<const std::string_view> names{}; ///< of `least` and what follows
};
constexpr std::array<field_kind, 5> field_kinds{{{"minute", 0, 59},
                                                 {"hour", 0, 23},
                                                 {"day of the month", 1, 31},
                                                 {"month", 1, 12, month_names},
                                                 {"day of the week", 0, 7, weekday_names}}};

bool is_alike(std::string_view a, std::string_view name) {
  return std::equal(a.begin(), a.end(), name.begin(), name.end(),
                    [](char x, char y) { return (x >= 'a' && x <= 'z' ? x - 'a' + 'A' : x) == y; });
}

std::optional<int> read_number(std::string_view text, int least, int most) {
  int value = 0;
  const auto* end = text.data() + text.size();
  const auto [at, problem] = std::from_chars(text.data(), end, value);
  if (text.empty() || at != end || problem != std::errc{} || value < least || value > most)
    return std::nullopt;
  return value;
}

std::optional<int> read_value(std::string_view text, const field_kind& kind) {
  for (std::size_t i = 0; i < kind.names.size(); ++i)
    if (is_alike(text, kind.names[i]))
      return kind.least + static_cast<int>(i);
  return read_number(text, kind.least, kind.most);
}

/// What is before the separator, and what is behind it, if there is one.
std::pair<std::string_view, std::optional<std::string_view>> cut(std::string_view text, char separator) {
  const auto at = text.find(separator);
  if (at == std::string_view::npos)
    return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

/// One part of a list as bits. None: it is wrong.
std::optional<std::uint64_t> read_part(std::string_view text, const field_kind& kind) {
  const auto [range, step_text] = cut(text, '/');
  const auto step = step_text ? read_number(*step_text, 1, kind.most) : 1;
  if (!step)
    return std::nullopt;
  std::optional<int> from = kind.least, to = kind.most;
  if (range != "*") {
    const auto [first, last] = cut(range, '-');
    from = read_value(first, kind);
    to = last ? read_value(*last, kind) : (step_text ? kind.most : from);
  }
  if (!from || !to || *from > *to)
    return std::nullopt;
  std::uint64_t bits = 0;
  for (int value = *from; value <= *to; value += *step)
    bits |= std::uint64_t{1} << value;
  return bits;
}

std::optional<std::uint64_t> read_field(std::string_view text, const field_kind& kind) {
  std::uint64_t bits = 0;
  for (std::optional<std::string_view> left = text; left;) {
    const auto [part, rest] = cut(*left, ',');
    const auto read = read_part(part, kind);
    if (!read)
      return std::nullopt;
    bits |= *read;
    left = rest;
  }
  return bits;
}

std::vector<std::string_view> split_at_blanks(std::string_view text) {
  std::vector<std::string_view> fields;
  for (auto begin = text.find_first_not_of(blanks); begin != std::string_view::npos;
       begin = text.find_first_not_of(blanks, begin)) {
    const auto end = std::min(text.find_first_of(blanks, begin), text.size());
    fields.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return fields;
}

error wrong_field(std::string_view text, const field_kind& kind) {
  std::string why = "the " + std::string(kind.name) + " of a cron rule is " + quoted(text) + "; allowed are " +
                    std::to_string(kind.least) + " to " + std::to_string(kind.most);
  if (!kind.names.empty())
    why += ", " + std::string(kind.names.front()) + " to " + std::string(kind.names.back());
  return {error_code::invalid_request, why + ", ranges a-b with a <= b, steps /n, lists with commas, and *"};
}

bool has_bit(std::uint64_t bits, unsigned bit) {
  return (bits >> bit & 1) != 0;
}

} // namespace

result<cron_rule> cron_rule::parse(std::string_view text) {
  const auto fields = split_at_blanks(text);
  if (fields.size() != field_kinds.size())
    return error{error_code::invalid_request,
                 "a cron rule has five fields: minute, hour, day of the month, month, day of the week; " +
                     quoted(text) + " has " + std::to_string(fields.size())};
  std::array<std::uint64_t, field_kinds.size()> bits{};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto read = read_field(fields[i], field_kinds[i]);
    if (!read)
      return wrong_field(fields[i], field_kinds[i]);
    bits[i] = *read;
  }
  cron_rule rule;
  rule.minutes_ = bits[0];
  rule.hours_ = bits[1];
  rule.days_ = bits[2];
  rule.months_ = bits[3];
  rule.weekdays_ = bits[4] | (has_bit(bits[4], 7) ? 1 : 0);
  rule.is_either_day_ = !fields[2].starts_with('*') && !fields[4].starts_with('*');
  if (!rule.ticks_ever())
    return error{error_code::invalid_request,
                 "the cron rule " + quoted(text) + " never ticks: none of its months has such a day"};
  return rule;
}

/// Every day that there is falls on each day of the week at some time, the 29th of February too.
bool cron_rule::ticks_ever() const {
  constexpr std::array<unsigned, 12> days_of_months{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (unsigned month = 1; month <= 12; ++month)
    for (unsigned day = 1; day <= days_of_months.at(month - 1); ++day)
      if (has_bit(months_, month) && (is_either_day_ || has_bit(days_, day)))
        return true;
  return false;
}

bool cron_rule::ticks_on(sys_days day) const {
  const year_month_day date(day);
  if (!has_bit(months_, static_cast<unsigned>(date.month())))
    return false;
  const bool is_day = has_bit(days_, static_cast<unsigned>(date.day()));
  const bool is_weekday = has_bit(weekdays_, weekday(day).c_encoding());
  return is_either_day_ ? is_day || is_weekday : is_day && is_weekday;
}

std::optional<timestamp> cron_rule::next_after(timestamp time) const {
  const auto first = floor<minutes>(time) + minutes{1};
  const auto today = floor<days>(first);
  for (auto day = today; day <= today + calendar_cycle; day += days{1}) {
    if (const year_month_day date(day); !has_bit(months_, static_cast<unsigned>(date.month()))) {
      day = sys_days(date.year() / date.month() / last); // the loop goes on with the next month
      continue;
    }
    if (!ticks_on(day))
      continue;
    for (auto at = std::max<sys_time<minutes>>(first, day); at < day + days{1}; at += minutes{1}) {
      const hh_mm_ss clock(at - day);
      if (!has_bit(hours_, static_cast<unsigned>(clock.hours().count())))
        at = sys_time<minutes>(day + clock.hours() + minutes{59});
      else if (has_bit(minutes_, static_cast<unsigned>(clock.minutes().count())))
        return time_point_cast<timestamp::duration>(at);
    }
  }
  return std::nullopt;
}

} // namespace colloquy
