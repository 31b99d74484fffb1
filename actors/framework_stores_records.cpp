#include "actors/framework_stores_records.hpp"

#include "messages/cron_rule.hpp"
#include "messages/document_fields.hpp"

#include <charconv>
#include <chrono>

namespace colloquy::actors {
namespace {

using namespace std::chrono;

/// Takes so many digits off the front.
std::optional<int> take_digits(std::string_view& from, std::size_t count) {
  int value = 0;
  const auto* end = from.data() + count;
  if (from.size() < count || from.find_first_not_of("0123456789") < count ||
      std::from_chars(from.data(), end, value).ptr != end)
    return std::nullopt;
  from.remove_prefix(count);
  return value;
}

bool take(std::string_view& from, std::string_view any_of) {
  if (from.empty() || any_of.find(from.front()) == std::string_view::npos)
    return false;
  from.remove_prefix(1);
  return true;
}

/// "" is UTC.
std::optional<minutes> read_zone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z")
    return minutes{0};
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take(text, "+-"))
    return std::nullopt;
  const auto hour = take_digits(text, 2);
  take(text, ":");
  const auto minute = take_digits(text, 2);
  if (!hour || !minute || !text.empty())
    return std::nullopt;
  return sign * (hours{*hour} + minutes{*minute});
}

/// Six digits of what is behind the point.
microseconds take_fraction(std::string_view& from) {
  std::int64_t value = 0;
  int digits = 0;
  for (; !from.empty() && from.front() >= '0' && from.front() <= '9'; from.remove_prefix(1), ++digits)
    if (digits < 6)
      value = value * 10 + (from.front() - '0');
  for (; digits < 6; ++digits)
    value *= 10;
  return microseconds{value};
}

} // namespace

std::optional<timestamp> read_time(std::string_view text) {
  const auto year_number = take_digits(text, 4);
  const bool has_month = take(text, "-");
  const auto month_number = take_digits(text, 2);
  const bool has_day = take(text, "-");
  const auto day_number = take_digits(text, 2);
  const bool has_time = take(text, "Tt ");
  const auto hour = take_digits(text, 2);
  const bool has_minute = take(text, ":");
  const auto minute = take_digits(text, 2);
  if (!year_number || !has_month || !month_number || !has_day || !day_number || !has_time || !hour || !has_minute ||
      !minute)
    return std::nullopt;
  const auto second = take(text, ":") ? take_digits(text, 2) : 0;
  const auto fraction = take(text, ".") ? take_fraction(text) : microseconds{0};
  const auto zone = read_zone(text);
  const year_month_day date{year{*year_number}, month{static_cast<unsigned>(*month_number)},
                            day{static_cast<unsigned>(*day_number)}};
  if (!second || !zone || !date.ok() || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  return sys_days(date) + hours{*hour} + minutes{*minute} + seconds{*second} + fraction - *zone;
}

customer_record to_customer(const tagged_thing& thing) {
  const document_fields fields(thing.document);
  customer_record made;
  made.id = fields.text("id").value_or("");
  made.creation_utc = fields.text("creation_utc").value_or("");
  made.name = fields.text("name").value_or("");
  if (auto extra = fields.json("extra"); extra.starts_with('{'))
    made.extra = std::move(extra);
  made.tags = thing.tags;
  return made;
}

context_variable_record to_variable(const tagged_thing& thing) {
  const document_fields fields(thing.document);
  context_variable_record made;
  made.id = fields.text("id").value_or("");
  made.creation_utc = fields.text("creation_utc").value_or("");
  made.name = fields.text("name").value_or("");
  made.description = fields.text("description");
  made.tool_id = fields.text("tool_id");
  made.freshness_rules = fields.text("freshness_rules");
  made.tags = thing.tags;
  return made;
}

context_value_record to_value(const std::string& document, const std::optional<std::string>& freshness_rules,
                              timestamp now) {
  const document_fields fields(document);
  context_value_record made;
  made.key = fields.text("key").value_or("");
  made.data = fields.json("data");
  if (made.data.empty())
    made.data = "null";
  made.last_modified = fields.text("last_modified").value_or("");
  if (!freshness_rules)
    return made;
  const auto changed = read_time(made.last_modified);
  const auto rule = cron_rule::parse(*freshness_rules); // one that another program wrote may be none
  const auto tick = changed && rule ? rule->next_after(*changed) : std::nullopt;
  made.is_stale = !changed || (tick && *tick <= now);
  return made;
}

} // namespace colloquy::actors
