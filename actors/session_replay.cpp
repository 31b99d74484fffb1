// What a journal has of a session that the database has not: written again, where it continues the log. See
// session.hpp.
//
// Before anything else is done with the session: its requests wait, and a turn that the crash left running is closed
// behind it. What is written again is not journaled again: its records stay where they are until it is durable.
#include "actors/session_draft.hpp"

#include "db/replay_queries.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <tuple>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Of one look into the log.
constexpr std::size_t look_up_events_max = 1000;
constexpr std::size_t look_up_bytes_max = std::size_t{4} << 20;

const error replay_is_late{error_code::deadline_exceeded,
                           "what a journal had was not durable within the time allowed; it may still become so",
                           1000ms};

/// Whether another actor goes on there.
bool begins_anew(const replay_writes& records, std::size_t place) {
  const auto& writes = records.writes;
  if (place == 0 || writes[place]->number <= writes[place - 1]->number)
    return true;
  return std::find(records.begins.begin(), records.begins.end(), place) != records.begins.end();
}

/// By place: the first offset that a later actor has given out. Whoever gave it out before lost it by that.
std::vector<event_offset> given_anew(const replay_writes& records) {
  constexpr auto none = std::numeric_limits<event_offset>::max();
  std::vector<event_offset> first(records.writes.size(), none);
  auto by_later = none, by_this = none;
  for (auto place = records.writes.size(); place-- > 0;) {
    first[place] = by_later;
    if (const auto& events = records.writes[place]->events)
      by_this = std::min(by_this, events->front().offset);
    if (begins_anew(records, place))
      by_later = std::min(by_later, std::exchange(by_this, none));
  }
  return first;
}

/// The offset behind all that it is about.
event_offset goes_so_far(const db::session_write& write) {
  auto next = write.events ? write.events->back().offset + 1 : 0;
  for (const auto& range : write.deleted)
    next = std::max(next, range.last + 1);
  return next;
}

/// But for the expiry, which a use moves without a new version.
bool says_the_same(const session_record& a, const session_record& b) {
  const auto said = [](const session_record& record) {
    return std::tie(record.title, record.metadata, record.status, record.expires_in, record.labels, record.mode,
                    record.consumption_offsets);
  };
  return said(a) == said(b);
}

} // namespace

void session::take(replay_writes& request) {
  auto answer = make_response_promise<result<replayed>>();
  if (phase_ == phase::failed)
    return reply(answer, *failure_);
  if (phase_ == phase::erasing)
    return tell_erased(std::move(answer));
  if (phase_ == phase::making || doing().replaying)
    return reply(answer, error{error_code::overloaded, "the session is just being made, or replayed", 100ms});
  doing().replaying = replaying_session{std::move(answer), std::move(request)};
  if (phase_ == phase::awake)
    begin_replay();
}

// --- what is there already -------------------------------------------------------------------------------------------

/// Of one that is awake, or that is waking and has read its row.
void session::begin_replay() {
  const auto& writes = doing_->replaying->records.writes;
  if (std::any_of(writes.begin(), writes.end(), [](const auto& write) { return write->erases; }))
    return erase_again();
  look_up_stored();
}

/// A write is durable as a whole or not at all, so its last event tells: not by its offset alone, which somebody else
/// may have given out, too.
void session::look_up_stored() {
  auto& replaying = *doing_->replaying;
  const auto& writes = replaying.records.writes;
  std::vector<const event*> asked;
  std::vector<std::size_t> places;
  std::size_t bytes = 0;
  for (; replaying.looked_up < writes.size() && asked.size() < look_up_events_max && bytes < look_up_bytes_max;
       ++replaying.looked_up) {
    const auto& events = writes[replaying.looked_up]->events;
    if (!events || events->back().offset >= known_->record.next_offset)
      continue;
    asked.push_back(&events->back());
    places.push_back(replaying.looked_up);
    bytes += events->back().data.size();
  }
  if (asked.empty())
    return finish_replay();
  ask_database(db::find_stored_events(key_.tenant, known_->record.log, asked), "find_stored_events",
               [this, places](const db::unit_outcome& outcome) {
                 if (!doing_ || !doing_->replaying)
                   return; // the session has come to its end, and whoever asked knows
                 const auto found = db::decode_stored_events(outcome);
                 if (!found && phase_ == phase::waking)
                   return finish(found.failure()); // a later request may find it
                 if (!found)
                   return reply(std::exchange(doing_->replaying, std::nullopt)->answer, found.failure());
                 for (const auto at : *found)
                   doing_->replaying->stored.insert(places.at(at));
                 look_up_stored();
               });
}

/// Of what has no events. It was answered only when it was durable, so what is in doubt and of no use any more is not
/// missed.
bool session::is_there(const db::session_write& write) const {
  const auto& record = known_->record;
  if (write.row || record.status == session_status::expired)
    return true;
  if (write.changed)
    return write.changed->version < record.version ||
           (write.changed->version == record.version && says_the_same(*write.changed, record) &&
            write.changed->expires_at <= record.expires_at);
  if (!write.turns.empty()) // a renewal: worth nothing once its turn has ended
    return !is_running(write.turns.back().id);
  return false; // what may be done twice
}

/// Whether it goes on where the session is now. Nothing comes behind an expiry.
bool session::fits(const db::session_write& write) const {
  const auto& record = known_->record;
  if (write.events && (record.status == session_status::expired || write.events->front().offset != record.next_offset))
    return false;
  if (std::any_of(write.deleted.begin(), write.deleted.end(),
                  [&](const event_range& range) { return range.last >= record.next_offset; }))
    return false;
  if (!write.changed || write.changed->version == record.version + 1)
    return true;
  return write.changed->version == record.version && (write.events || says_the_same(*write.changed, record));
}

// --- writing it again ------------------------------------------------------------------------------------------------

void session::finish_replay() {
  auto replaying = std::move(*doing_->replaying);
  doing_->replaying.reset();
  const auto turn_before = turn_runs() ? known_->last_turn->id : turn_id{};
  const bool lease_goes_on = replaying.lease_goes_on;
  rewritten again;
  auto outcome = replay(replaying, again);
  if (outcome.written + outcome.unfitting.size() > 0)
    log_about(spdlog::level::info, subject(),
              "{} writes of the journal were durable, {} are written again, {} do not fit", outcome.durable_already,
              outcome.written, outcome.unfitting.size());
  answer_when_durable(std::move(replaying), std::move(outcome), std::move(again));
  if (phase_ == phase::waking)
    wake_further(lease_goes_on && is_running(turn_before));
}

/// In their order. Behind the first that does not fit, nothing of the same actor does.
replayed session::replay(const replaying_session& of, rewritten& again) {
  const auto& writes = of.records.writes;
  const auto lost_by_then = given_anew(of.records);
  std::size_t through = 0; // what comes before the last of those that are there is there, too
  for (const auto place : of.stored)
    through = std::max(through, place);
  replayed outcome;
  event_offset next = 0;
  bool is_broken = false;
  for (std::size_t place = 0; place < writes.size(); ++place) {
    const auto& write = *writes[place];
    if (begins_anew(of.records, place) || (write.events && write.events->front().offset != next))
      is_broken = false; // an actor gives out its offsets without a gap: this one is another's
    if (write.events)
      next = write.events->back().offset + 1;
    const bool is_stored = write.events ? of.stored.contains(place) : place < through || is_there(write);
    if (is_stored) {
      ++outcome.durable_already;
    } else if (!is_broken && fits(write) && goes_so_far(write) <= lost_by_then[place]) {
      again.emplace_back(place, write_again(write));
      ++outcome.written;
    } else {
      is_broken = true;
      outcome.unfitting.push_back(place);
    }
  }
  return outcome;
}

std::uint64_t session::write_again(const db::session_write& write) {
  auto again = new_draft(reserve_if_possible(write.bytes)); // it was accepted: no bound counts
  auto& copy = *again.write;
  const auto number = copy.number;
  auto keeps = std::move(copy.keeps);
  copy = write;
  copy.number = number;
  copy.keeps = std::move(keeps);
  take_over_state(write);
  auto& work = doing();
  work.undurable_bytes += copy.bytes;
  work.undurable.push_back(again.write);
  send(writer_, persist{std::move(again.write), caf::actor_cast<write_listener>(this)});
  return number;
}

/// What the session knew when it had written it.
void session::take_over_state(const db::session_write& write) {
  auto& record = known_->record;
  if (write.changed) {
    auto changed = *write.changed;
    changed.next_offset = record.next_offset;
    changed.durable_offset = record.durable_offset;
    changed.turn_count = record.turn_count;
    changed.total_tokens = record.total_tokens;
    record = std::move(changed);
  }
  record.turn_count += write.turns_counted;
  record.total_tokens += write.tokens_counted;
  for (const auto& change : write.participants)
    change_participant(change);
  if (!write.deleted.empty())
    delete_ranges(write.deleted);
  for (std::size_t i = 0; i < write.event_count(); ++i)
    if (const auto& entry = (*write.events)[i]; entry.kind == event_kind::message && is_running(entry.turn))
      ++known_->last_turn->messages;
  for (const auto& turn : write.turns) {
    known_->last_turn = turn; // with its own count
    if (turn.status == turn_status::rolled_back)
      hide(turn.id);
  }
  if (write.events) {
    record.next_offset = write.events->back().offset + 1;
    known_->messages = write.events->back().messages;
    environment_->tails->append(record.log, write.events);
  }
  if (write.key)
    known_->knows_all_keys = false;
}

/// Who reads what a rolled-back turn wrote must not need to know of that.
void session::hide(turn_id turn) {
  doing().hidden_turns.push_back(turn);
  forget_what_was_shown();
}

void session::forget_what_was_shown() {
  auto& work = doing();
  ++work.hidings;
  work.hidden_messages.reset();
  work.first_message.reset(); // it may be one of those
  environment_->tails->forget(known_->record.log);
}

void session::change_participant(const db::participant_change& change) {
  auto& all = known_->participants; // by user
  const auto at = std::lower_bound(all.begin(), all.end(), change.user_id,
                                   [](const participant& each, const std::string& id) { return each.user_id < id; });
  const bool is_there = at != all.end() && at->user_id == change.user_id;
  if (change.role && is_there)
    at->role = *change.role;
  else if (change.role)
    all.insert(at, {change.user_id, *change.role});
  else if (is_there)
    all.erase(at);
}

/// The database may refuse some: those that are not durable then are told as unfitting.
void session::answer_when_durable(replaying_session of, replayed outcome, rewritten again) {
  if (again.empty())
    return reply(of.answer, std::move(outcome));
  const auto last = again.back().second;
  when_durable(
      last,
      [this, answer = of.answer, outcome, again](const error* problem) mutable {
        if (!problem)
          return reply(answer, std::move(outcome));
        if (problem->code != error_code::internal || !doing_ || doing_->undurable.empty())
          return reply(answer, *problem);
        const auto refused = doing_->undurable.front()->number; // it, and all behind it
        for (const auto& [place, number] : again)
          if (number >= refused) {
            --outcome.written;
            outcome.unfitting.push_back(place);
          }
        outcome.why = problem->message;
        reply(answer, std::move(outcome));
      },
      replay_is_late);
}

// --- of one that is gone ---------------------------------------------------------------------------------------------

/// It was asked for and not done: it is carried out, and nothing else that the journal has is worth anything.
void session::erase_again() {
  auto answer = std::move(std::exchange(doing_->replaying, std::nullopt)->answer);
  promise_of<erase_session> nobody;
  erase_session request{key_};
  serve(nobody, request, {});
  if (phase_ != phase::erasing)
    return reply(answer, error{error_code::overloaded, "the session cannot be erased now", 100ms});
  run_waiting();
  tell_erased(std::move(answer));
}

/// When the write that hides it is durable.
void session::tell_erased(caf::typed_response_promise<result<replayed>> answer) {
  replayed outcome;
  outcome.fate = replay_fate::is_erased;
  if (doing().undurable.empty())
    return reply(answer, std::move(outcome));
  when_durable(
      last_number_,
      [answer, outcome](const error* problem) mutable {
        reply(answer, problem ? result<replayed>(*problem) : result<replayed>(std::move(outcome)));
      },
      replay_is_late);
}

/// Of one that was to be woken and has no row. It is not made anew: who asked for it was answered only when it was
/// durable, and then it has been erased since.
void session::tell_what_became() {
  ask_database(db::find_erasure(key_), "find_erasure", [this](const db::unit_outcome& outcome) {
    if (!doing_ || !doing_->replaying)
      return; // the session has come to its end, and whoever asked knows
    const auto is_known = db::decode_erasure_found(outcome);
    if (!is_known)
      return finish(is_known.failure());
    replayed told;
    told.fate = *is_known ? replay_fate::is_erased : replay_fate::is_unknown;
    reply(std::exchange(doing_->replaying, std::nullopt)->answer, std::move(told));
    finish({error_code::not_found, "no such session"});
  });
}

} // namespace colloquy::actors
