// Cron rules: their syntax, and when they tick.
#include "messages/cron_rule.hpp"

#include "tests/support/catch.hpp"

#include <functional>
#include <random>

using namespace colloquy;
using namespace std::chrono;
using colloquy::test::ContainsSubstring;

namespace {

timestamp at(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0) {
  return sys_days(std::chrono::year(year) / month / day) + hours(hour) + minutes(minute) + seconds(second);
}

cron_rule rule(const std::string& text) {
  const auto parsed = cron_rule::parse(text);
  INFO(text);
  if (!parsed)
    FAIL(parsed.failure().message);
  return *parsed;
}

std::string refused(const std::string& text) {
  const auto parsed = cron_rule::parse(text);
  INFO(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.failure().code == error_code::invalid_request);
  return parsed.failure().message;
}

} // namespace

TEST_CASE("a rule ticks at the next minute that fits, strictly after a time") {
  const auto now = at(2024, 2, 28, 23, 59, 30);
  CHECK(rule("* * * * *").next_after(now) == at(2024, 2, 29));
  CHECK(rule("* * * * *").next_after(at(2024, 2, 29)) == at(2024, 2, 29, 0, 1));
  CHECK(rule("*/15 * * * *").next_after(at(2024, 1, 1, 10, 15)) == at(2024, 1, 1, 10, 30));
  CHECK(rule("0 3 * * *").next_after(at(2024, 1, 1, 3, 0)) == at(2024, 1, 2, 3));
  CHECK(rule("0 3 * * *").next_after(at(2024, 1, 1, 2, 59, 59)) == at(2024, 1, 1, 3));
  CHECK(rule("0 3 * * *").next_after(at(2024, 1, 1, 2, 59, 59) + microseconds(999'999)) == at(2024, 1, 1, 3));
  CHECK(rule("30 23 31 12 *").next_after(at(2024, 12, 31, 23, 30)) == at(2025, 12, 31, 23, 30));
  CHECK(rule("5,10-12,50/5 9-17/4 * * *").next_after(at(2024, 1, 1, 9, 5)) == at(2024, 1, 1, 9, 10));
  CHECK(rule("5,10-12,50/5 9-17/4 * * *").next_after(at(2024, 1, 1, 9, 12)) == at(2024, 1, 1, 9, 50));
  CHECK(rule("5,10-12,50/5 9-17/4 * * *").next_after(at(2024, 1, 1, 9, 55)) == at(2024, 1, 1, 13, 5));
  CHECK(rule("0 0 1 1 *").next_after(at(1969, 6, 1)) == at(1970, 1, 1));
  CHECK(rule("0 0 1 1 *").next_after(at(1960, 1, 1)) == at(1961, 1, 1));
}

TEST_CASE("months and days of the week have names, in any case, and 7 is Sunday") {
  CHECK(rule("0 0 * feb MON-fri") == rule("0 0 * 2 1-5"));
  CHECK(rule("0 0 * JAN,Dec *") == rule("0 0 * 1,12 *"));
  const auto sunday = at(2024, 1, 7);
  for (const auto* text : {"0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * 7,7"})
    CHECK(rule(text).next_after(at(2024, 1, 1)) == sunday);
  CHECK(rule("0 0 * * 5-7").next_after(at(2024, 1, 6)) == sunday);
  CHECK(rule("0 0 * * 5-7").next_after(sunday) == at(2024, 1, 12));
}

TEST_CASE("days of the month and of the week: either, if both are said") {
  // The 13th, and each Friday.
  CHECK(rule("0 0 13 * FRI").next_after(at(2024, 2, 9)) == at(2024, 2, 13));
  CHECK(rule("0 0 13 * FRI").next_after(at(2024, 2, 13)) == at(2024, 2, 16));
  CHECK(rule("0 0 13 * *").next_after(at(2024, 2, 13)) == at(2024, 3, 13));
  CHECK(rule("0 0 * * FRI").next_after(at(2024, 2, 9)) == at(2024, 2, 16));
  // Both, if one begins with *: odd days that are a Friday.
  CHECK(rule("0 0 */2 * FRI").next_after(at(2024, 2, 9)) == at(2024, 2, 23));
}

TEST_CASE("a tick may be far away; a rule that never ticks is refused") {
  CHECK(rule("0 0 29 2 *").next_after(at(2024, 2, 29)) == at(2028, 2, 29));
  CHECK(rule("0 0 29 2 *").next_after(at(2096, 2, 29)) == at(2104, 2, 29));
  CHECK(rule("0 0 29 2 */7").next_after(at(2024, 3, 1)) == at(2032, 2, 29)); // one that is a Sunday
  for (const auto* text : {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30-31 FEB */2"})
    CHECK_THAT(refused(text), ContainsSubstring("never ticks"));
  CHECK(rule("0 0 31 2 MON").next_after(at(2024, 1, 1)) == at(2024, 2, 5)); // either day
}

TEST_CASE("blanks between fields may be many") {
  CHECK(rule("  0\t 3  * *   * ") == rule("0 3 * * *"));
}

TEST_CASE("what is no rule is refused, with the field") {
  for (const auto* text : {"", " ", "* * * *", "* * * * * *", "@daily"})
    CHECK_THAT(refused(text), ContainsSubstring("five fields"));
  for (const auto* minute : {"60", "-1", "1-",  "-",  "5-1", "*/0", "*/60",  "*/x",   "*/",  "1,,2",        ",1",
                             "1,", "a",  "1.5", "+1", "**",  "*-5", "1-2-3", "1/2/3", "0x1", "99999999999", "JAN"})
    CHECK_THAT(refused(std::string(minute) + " * * * *"), ContainsSubstring("minute of a cron rule"));
  CHECK_THAT(refused("* 24 * * *"), ContainsSubstring("hour of a cron rule is '24'; allowed are 0 to 23"));
  for (const auto* day : {"0", "32"})
    CHECK_THAT(refused("* * " + std::string(day) + " * *"), ContainsSubstring("day of the month"));
  for (const auto* month : {"0", "13", "JANUARY", "MON"})
    CHECK_THAT(refused("* * * " + std::string(month) + " *"), ContainsSubstring("JAN to DEC"));
  for (const auto* weekday : {"8", "FRI-MON", "SUNDAY", "L", "#1"})
    CHECK_THAT(refused("* * * * " + std::string(weekday)), ContainsSubstring("SUN to SAT"));
}

namespace {

struct said {
  std::string text;
  std::function<bool(unsigned)> holds;
  bool begins_with_star() const { return text.front() == '*'; }
};

const std::vector<said> minutes_said{
    {"*", [](unsigned) { return true; }},
    {"0", [](unsigned m) { return m == 0; }},
    {"*/7", [](unsigned m) { return m % 7 == 0; }},
    {"59", [](unsigned m) { return m == 59; }},
    {"3-30/9,1", [](unsigned m) { return m == 1 || (m >= 3 && m <= 30 && m % 9 == 3); }}};
const std::vector<said> hours_said{{"*", [](unsigned) { return true; }},
                                   {"0", [](unsigned h) { return h == 0; }},
                                   {"9-11,23", [](unsigned h) { return (h >= 9 && h <= 11) || h == 23; }},
                                   {"20/2", [](unsigned h) { return h == 20 || h == 22; }}};
const std::vector<said> days_said{{"*", [](unsigned) { return true; }},
                                  {"1", [](unsigned d) { return d == 1; }},
                                  {"*/2", [](unsigned d) { return d % 2 == 1; }},
                                  {"29-31", [](unsigned d) { return d >= 29; }}};
const std::vector<said> months_said{{"*", [](unsigned) { return true; }},
                                    {"2", [](unsigned m) { return m == 2; }},
                                    {"JAN-MAR,dec", [](unsigned m) { return m <= 3 || m == 12; }}};
const std::vector<said> weekdays_said{{"*", [](unsigned) { return true; }},
                                      {"7", [](unsigned w) { return w == 0; }},
                                      {"MON-FRI", [](unsigned w) { return w >= 1 && w <= 5; }},
                                      {"*/3", [](unsigned w) { return w % 3 == 0; }}};

} // namespace

TEST_CASE("the next tick is the first minute that fits, found the slow way") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](const std::vector<said>& from) { return from[random() % from.size()]; };
  for (int i = 0; i < 25; ++i) {
    const auto minute = pick(minutes_said), hour = pick(hours_said), day = pick(days_said), month = pick(months_said),
               weekday_said = pick(weekdays_said);
    const auto text = minute.text + " " + hour.text + " " + day.text + " " + month.text + " " + weekday_said.text;
    const auto fits = [&](sys_time<minutes> when) {
      const auto midnight = floor<days>(when);
      const year_month_day date(midnight);
      const auto in_day = static_cast<unsigned>((when - midnight).count());
      const bool is_day = day.holds(static_cast<unsigned>(date.day()));
      const bool is_weekday = weekday_said.holds(weekday(midnight).c_encoding());
      const bool is_either = !day.begins_with_star() && !weekday_said.begins_with_star();
      return minute.holds(in_day % 60) && hour.holds(in_day / 60) && month.holds(static_cast<unsigned>(date.month())) &&
             (is_either ? is_day || is_weekday : is_day && is_weekday);
    };
    const auto from = at(2023, 6, 1) + minutes(random() % (366 * 1440)) + seconds(random() % 2 * 30);
    auto expected = floor<minutes>(from) + minutes(1);
    while (!fits(expected))
      expected += minutes(1);
    INFO(text << " after " << to_rfc3339(from));
    CHECK(rule(text).next_after(from) == timestamp(expected));
  }
}
