// Rules in cron's syntax, in UTC: when the next tick is.
//
//   minute (0-59)  hour (0-23)  day of the month (1-31)  month (1-12, JAN-DEC)  day of the week (0-7, SUN-SAT)
// between blanks. A field is *, a number or name, a range a-b, each with a step as in */15, 9-17/2 or 5/20 (from 5 to
// the end), or a list of these with commas. Both 0 and 7 are Sunday. If days of the month and of the week are both
// said, a day that is either will do; a field that begins with * says nothing of that kind, and both must hold.
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace colloquy {

class cron_rule {
public:
  /// Errors: invalid_request, naming the field and what is allowed; also for a rule that never ticks, as on the 30th of
  /// February.
  static result<cron_rule> parse(std::string_view text);

  /// The first tick strictly after that time. None: there is none within the 400 years of the calendar's cycle.
  std::optional<timestamp> next_after(timestamp time) const;

  bool operator==(const cron_rule&) const = default;

private:
  bool ticks_ever() const;
  bool ticks_on(std::chrono::sys_days day) const;

  // A bit a value: bit 0 of minutes is minute 0, bit 1 of days the 1st.
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;
  bool is_either_day_ = false;
};

} // namespace colloquy
