// Events and turns of a log that was elsewhere, written into this one with their own times. See session.hpp.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_set>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr timestamp earliest = std::chrono::sys_days{std::chrono::year{2000} / 1 / 1};
constexpr auto ahead_max = 1min; // of clocks that differ

error wrong(std::string what) {
  return {error_code::invalid_request, std::move(what)};
}

bool is_counted(const turn_record& turn) {
  return turn.status == turn_status::completed || turn.status == turn_status::failed;
}

std::int64_t tokens_of(const turn_record& turn) {
  return is_counted(turn) && turn.usage ? turn.usage->input_tokens + turn.usage->output_tokens : 0;
}

std::optional<error> check_times(const imported_log& log, timestamp now) {
  const auto is_possible = [&](timestamp at) { return at >= earliest && at <= now + ahead_max; };
  const auto has_possible = [&](const turn_record& turn) {
    return is_possible(turn.started_at) && is_possible(*turn.ended_at);
  };
  if (std::all_of(log.created_at.begin(), log.created_at.end(), is_possible) &&
      std::all_of(log.ended_turns.begin(), log.ended_turns.end(), has_possible))
    return std::nullopt;
  return wrong("times of an import lie between 2000 and now");
}

std::optional<error> check_ended(const imported_log& log) {
  if (log.ended_turns.size() > limits::events_per_append_max)
    return wrong(std::to_string(log.ended_turns.size()) + " turns in one append; at most " +
                 std::to_string(limits::events_per_append_max) + " are allowed");
  std::unordered_set<turn_id> ids;
  for (const auto& turn : log.ended_turns) {
    if (turn.status == turn_status::queued || turn.status == turn_status::running || !turn.ended_at)
      return wrong("a turn of an import has ended; turn " + turn.id.to_string() + " has not");
    if (turn.id.is_nil() || !ids.insert(turn.id).second)
      return wrong("turns of an import have ids, each another one");
    if (auto problem = check_trace_id(turn.trace_id))
      return problem;
  }
  return std::nullopt;
}

/// Each and their sum, as when turns end one after the other.
std::optional<error> check_usages(const imported_log& log, std::int64_t total_tokens) {
  for (const auto& turn : log.ended_turns) {
    if (auto problem = check_usage(turn.usage.value_or(token_usage{}), total_tokens))
      return problem;
    total_tokens += tokens_of(turn);
  }
  return std::nullopt;
}

std::optional<error> check_authors(const imported_log& log) {
  const auto is_allowed = [](const std::string& author) {
    return is_storable_text(author) && author.size() <= event_field_bytes_max;
  };
  if (std::all_of(log.authors.begin(), log.authors.end(), is_allowed))
    return std::nullopt;
  return wrong("an author must be valid UTF-8 without NUL, at most " + std::to_string(event_field_bytes_max) +
               " bytes");
}

} // namespace

/// That the ids of turns are new to the tenant is not looked at: they are chosen to be.
std::optional<error> session::why_not_imported(const append_events& request) const {
  const auto& log = *request.imported;
  const auto count = request.events.size();
  if (log.created_at.size() != count || log.turns.size() != count || log.authors.size() != count)
    return wrong("an import has a time, a turn and an author for each of its events");
  if (request.turn)
    return wrong("an import names the turns of its events one by one");
  if (turn_runs() || (doing_ && (doing_->granting || !doing_->turn_queue.empty())))
    return wrong("a turn runs in the session, or waits to; an import needs it to be at rest");
  for (auto problem : {check_ended(log), check_authors(log)})
    if (problem)
      return problem;
  if (known_->last_turn && std::any_of(log.ended_turns.begin(), log.ended_turns.end(),
                                       [&](const turn_record& turn) { return turn.id == known_->last_turn->id; }))
    return wrong("turn " + known_->last_turn->id.to_string() + " is there already");
  if (auto problem = check_times(log, environment_->now()))
    return problem;
  return check_usages(log, known_->record.total_tokens);
}

void session::add_imported(draft& to, append_events& request) {
  const auto& log = *request.imported;
  auto& record = known_->record;
  const auto first_offset = record.next_offset;
  to.events.reserve(request.events.size());
  for (std::size_t i = 0; i < request.events.size(); ++i) {
    request.events[i].author = log.authors[i];
    add_event(to, std::move(request.events[i]), log.turns[i]);
    to.events.back().created_at = log.created_at[i];
  }
  for (const auto& ended : log.ended_turns) {
    db::turn_row turn{ended};
    turn.number = known_->last_turn ? known_->last_turn->number + 1 : 1;
    turn.lease_expires_at.reset();
    turn.first_offset = first_offset; // of one whose events are not shown any more, as after a rollback
    const auto is_its = [&](const event& entry) { return entry.turn == turn.id; };
    if (const auto first = std::find_if(to.events.begin(), to.events.end(), is_its); first != to.events.end())
      turn.first_offset = first->offset;
    turn.messages = std::count_if(to.events.begin(), to.events.end(), [&](const event& entry) {
      return is_its(entry) && entry.kind == event_kind::message;
    });
    to.write->turns_counted += is_counted(turn) ? 1 : 0;
    to.write->tokens_counted += tokens_of(turn);
    to.write->bytes += limits::event_overhead_bytes;
    if (turn.status == turn_status::rolled_back && turn.messages > 0)
      hide(turn.id);
    known_->last_turn = turn;
    to.write->turns.push_back(std::move(turn));
  }
  record.turn_count += to.write->turns_counted;
  record.total_tokens += to.write->tokens_counted;
  if (to.write->turns_counted > 0)
    record.updated_at = environment_->now();
}

} // namespace colloquy::actors
