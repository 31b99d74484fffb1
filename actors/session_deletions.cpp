// Events that are not shown any more, while the log keeps them. See session.hpp.
//
// The database knows which: what the session keeps of it is that there are some, and those that the database may not
// yet have heard of. What is in memory of the log is dropped with a deletion, so that nothing has to be looked up for
// what memory has.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error late_deletion{error_code::deadline_exceeded,
                          "the deletion was not durable within the time allowed; it may still become so", 1000ms};

} // namespace

void session::serve(promise_of<delete_events>& answer, delete_events& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<events_deleted>(std::move(why))); };
  if (auto problem = why_not_writable())
    return refuse(*problem);
  auto ranges = what_to_delete(request);
  if (!ranges)
    return refuse(ranges.failure());
  if (ranges->empty())
    return reply(answer, result<events_deleted>(events_deleted{}));
  const auto bytes = limits::event_overhead_bytes + ranges->size() * sizeof(event_range);
  auto reservation = reserve(bytes);
  if (!reservation)
    return refuse(reservation.failure());
  const events_deleted reached{ranges->back().last};
  auto writing = new_draft(std::move(reservation).value());
  writing.write->deleted = *ranges;
  writing.write->bytes = bytes;
  const auto number = send_draft(std::move(writing));
  delete_ranges(*ranges);
  extend_life();
  when_durable(
      number,
      [answer, reached](const error* problem) mutable {
        reply(answer, problem ? result<events_deleted>(*problem) : result<events_deleted>(reached));
      },
      late_deletion);
}

/// Nothing of a turn that runs, or of what came meanwhile: its history has been handed over, and it may be rolled back.
result<std::vector<event_range>> session::what_to_delete(const delete_events& request) const {
  const auto next = known_->record.next_offset;
  auto ranges = request.ranges;
  if (request.from) {
    if (!ranges.empty())
      return error{error_code::invalid_request, "a deletion names ranges, or where it begins, not both"};
    if (*request.from < 0)
      return error{error_code::invalid_request, "from is " + std::to_string(*request.from) + "; 0 or more is allowed"};
    if (*request.from >= next)
      return ranges;
    ranges.push_back({*request.from, next - 1});
  }
  if (ranges.empty() || ranges.size() > limits::deleted_ranges_max)
    return error{error_code::invalid_request, std::to_string(ranges.size()) + " ranges to be deleted; 1 to " +
                                                  std::to_string(limits::deleted_ranges_max) + " are allowed"};
  for (const auto& range : ranges) {
    if (range.first < 0 || range.last < range.first)
      return error{error_code::invalid_request,
                   "events " + std::to_string(range.first) + " to " + std::to_string(range.last) + " are no range"};
    if (range.last >= next)
      return error{error_code::not_found, "the session has no event at offset " + std::to_string(range.last)};
  }
  const bool is_starting = doing_ && doing_->granting;
  const auto least = is_starting ? 0 : turn_runs() ? known_->last_turn->first_offset : next;
  for (const auto& range : ranges)
    if (range.last >= least)
      return error{error_code::turn_in_progress,
                   is_starting ? "a turn is just being started; what it is given cannot be deleted now"
                               : "offset " + std::to_string(range.last) + " lies in or behind turn " +
                                     std::to_string(known_->last_turn->number) + ", which is running"};
  return ranges;
}

void session::delete_ranges(const std::vector<event_range>& ranges) {
  known_->has_deleted = true;
  forget_what_was_shown();
  auto& all = doing().deleted;
  all.insert(all.end(), ranges.begin(), ranges.end());
  if (ranges.size() > 1 || all.size() <= 1)
    return;
  // One by one from either end is what is mostly done: so that the list stays short.
  auto& before = all[all.size() - 2];
  const auto& last = all.back();
  if (last.first <= before.last + 1 && before.first <= last.last + 1) {
    before = {std::min(before.first, last.first), std::max(before.last, last.last)};
    all.pop_back();
  }
}

bool session::is_deleted(event_offset offset) const {
  return doing_ && std::any_of(doing_->deleted.begin(), doing_->deleted.end(),
                               [offset](const event_range& range) { return range.has(offset); });
}

/// Once they are durable the database leaves them out, and nothing in memory is from before.
void session::forget_durable_deletions() {
  const auto deletes = [](const auto& write) { return !write->deleted.empty(); };
  if (!doing_->deleted.empty() && doing_->reads_under_way == 0 &&
      std::none_of(doing_->undurable.begin(), doing_->undurable.end(), deletes))
    doing_->deleted.clear();
}

/// To those who have been sent some of it: the others never will be.
void session::tell_deleted(const std::vector<event_range>& ranges) {
  static const auto none = std::make_shared<const std::vector<event>>();
  for (const auto& range : ranges)
    for (auto at = doing_->listeners.begin(); at != doing_->listeners.end();) {
      auto& to = (at++)->second; // it goes if it is too far behind
      if (to.sent >= range.first)
        send_events(to, none, limits::event_overhead_bytes, to.sent, range);
    }
}

} // namespace colloquy::actors
