// What a journal has of a session that the database has not: written again, where it continues the log. See
// session.hpp.
//
// Before anything else is done with the session: its requests wait, and a turn that the crash left running is closed
// behind it.
#include "actors/session_draft.hpp"

#include <utility>

namespace colloquy::actors {

void session::take(replay_writes& request) {
  auto answer = make_response_promise<result<replayed>>();
  if (phase_ == phase::failed || phase_ == phase::erasing)
    return reply(answer, *failure_);
  if (phase_ == phase::awake)
    return reply(answer, replay(request));
  doing().replaying = replaying_session{std::move(answer), std::move(request)};
}

/// Of one that is waking: when its row has been read, or there is none.
void session::replay_waiting() {
  if (!doing_ || !doing_->replaying)
    return;
  auto waiting = std::move(*doing_->replaying);
  doing_->replaying.reset();
  reply(waiting.answer, replay(waiting.records, waiting.first));
}

/// A session whose making was accepted and not yet durable.
bool session::remake() {
  if (!doing_ || !doing_->replaying || doing_->replaying->records.writes.empty())
    return false;
  const auto& first = *doing_->replaying->records.writes.front();
  if (!first.row)
    return false;
  known_->record = *first.row;
  known_->messages = first.parent ? first.parent->messages : 0;
  write_again(first);
  doing_->replaying->first = 1;
  return true;
}

replayed session::replay(const replay_writes& records, std::size_t first) {
  replayed outcome;
  for (auto place = first; place < records.writes.size(); ++place) {
    const auto& write = records.writes[place];
    if (is_there(*write)) {
      ++outcome.durable_already;
    } else if (continues(*write)) {
      write_again(*write);
      ++outcome.written;
    } else {
      outcome.unfitting.push_back(place);
    }
  }
  if (outcome.written + outcome.unfitting.size() > 0)
    log_about(spdlog::level::info, subject(),
              "{} writes of the journal were durable, {} are written again, {} do not fit", outcome.durable_already,
              outcome.written, outcome.unfitting.size());
  return outcome;
}

/// A write is durable as a whole or not at all, so its events tell.
bool session::is_there(const db::session_write& write) const {
  if (write.row)
    return true;
  if (write.events)
    return write.events->back().offset < known_->record.next_offset;
  if (write.changed)
    return write.changed->version < known_->record.version;
  if (!write.turns.empty()) // a renewal: worth nothing once its turn has ended
    return !is_running(write.turns.back().id);
  return false; // what may be done twice
}

bool session::continues(const db::session_write& write) const {
  return !write.events || write.events->front().offset == known_->record.next_offset;
}

void session::write_again(const db::session_write& write) {
  auto again = new_draft(byte_reservation::take(environment_->budget, write.bytes)); // it was accepted: no bound counts
  auto& copy = *again.write;
  const auto number = copy.number;
  auto keeps = std::move(copy.keeps);
  copy = write;
  copy.number = number;
  copy.keeps = std::move(keeps);
  auto& record = known_->record;
  if (write.changed) {
    const auto next = record.next_offset;
    const auto durable = record.durable_offset;
    const auto turns = record.turn_count;
    const auto tokens = record.total_tokens;
    record = *write.changed;
    record.next_offset = next;
    record.durable_offset = durable;
    record.turn_count = turns;
    record.total_tokens = tokens;
  }
  record.turn_count += write.turns_counted;
  record.total_tokens += write.tokens_counted;
  if (!write.turns.empty())
    known_->last_turn = write.turns.back();
  if (write.events) {
    record.next_offset = write.events->back().offset + 1;
    known_->messages = write.events->back().messages;
    environment_->tails->append(record.log, write.events);
  }
  if (write.key)
    known_->knows_all_keys = false;
  send_write(std::move(again.write));
}

} // namespace colloquy::actors
