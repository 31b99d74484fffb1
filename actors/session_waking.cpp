// How a session begins: made, or woken. See session.hpp for the rules.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_labels.hpp"
#include "db/session_queries.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {

using namespace std::chrono_literals;

// --- making ----------------------------------------------------------------------------------------------------------

void session::take(create_session& request) {
  auto answer = make_response_promise<result<session_record>>();
  if (auto problem = check_creation(request)) {
    reply(answer, result<session_record>(*problem));
    return finish(*problem);
  }
  const auto bytes = creation_bytes(request);
  session_record wanted;
  wanted.user_id = std::move(request.user_id);
  wanted.agent_id = std::move(request.agent_id);
  wanted.external_id = std::move(request.external_id);
  if (request.title && !request.title->empty()) // an empty one is none
    wanted.title = std::move(request.title);
  wanted.metadata = std::move(request.metadata);
  wanted.expires_in = request.expires_in;
  wanted.labels = as_set(std::move(request.labels));
  wanted.mode = request.mode;
  wanted.consumption_offsets = std::move(request.consumption_offsets);
  std::optional<db::remembered_key> key;
  if (request.repeat) {
    key = new_key("create", *request.repeat);
    key->made = key_.id;
  }
  make(std::move(wanted), std::nullopt, std::move(key), bytes, std::move(answer));
}

void session::take(make_fork& request) {
  auto answer = make_response_promise<result<session_record>>();
  if (request.key)
    request.key->made = key_.id;
  known_->has_deleted = request.has_deleted;
  make(std::move(request.wanted), request.parent, std::move(request.key), limits::event_overhead_bytes,
       std::move(answer));
}

void session::make(session_record wanted, std::optional<db::log_parent> parent, std::optional<db::remembered_key> key,
                   std::size_t bytes, promise_of<create_session> answer) {
  if (phase_ != phase::making || last_number_ > 0)
    return reply(answer, result<session_record>(error{error_code::internal, "the session is made already"}));
  auto reservation = reserve(bytes);
  if (!reservation) {
    reply(answer, result<session_record>(reservation.failure()));
    return finish(reservation.failure());
  }
  auto& record = known_->record = std::move(wanted);
  record.key = key_;
  record.log = log_id{key_.id.bytes};
  record.created_at = record.updated_at = environment_->now();
  if (record.expires_in)
    record.expires_at = record.created_at + *record.expires_in;
  if (parent) {
    record.fork_offset = parent->offset;
    record.durable_offset = parent->offset;
    record.next_offset = parent->offset + 1;
    known_->messages = parent->messages;
  }
  known_->knows_all_keys = true;

  auto write = std::make_shared<db::session_write>();
  write->session = key_;
  write->log = record.log;
  write->number = ++last_number_;
  write->row = std::make_shared<const session_record>(record);
  write->parent = parent;
  write->key = std::move(key);
  write->bytes = bytes;
  write->keeps = std::move(reservation).value();
  const auto deadline = clock().now() + environment_->request_timeout;
  doing().making = making_session{std::move(answer), deadline};
  schedule_tick(deadline);
  send_write(std::move(write));
}

/// What becomes of a session that is being made and whose row was not made, or perhaps not.
void session::take(creation_outcome& outcome) {
  if (phase_ != phase::making)
    return;
  doing().undurable.clear();
  doing().undurable_bytes = 0;
  if (!outcome.certain) // the batch committed, but whether with our row the lost answer would have said
    return wake();
  finish(name_is_taken());
}

error session::name_is_taken() const {
  return {error_code::conflict, "external_id \"" + known_->record.external_id.value_or("") + "\" is taken"};
}

// --- waking ----------------------------------------------------------------------------------------------------------

void session::wake() {
  ask_database(db::read_session(key_), "read_session", [this](const db::unit_outcome& outcome) { on_stored(outcome); });
}

void session::on_stored(const db::unit_outcome& outcome) {
  if (phase_ != phase::waking && phase_ != phase::making)
    return;
  auto stored = db::decode_session(key_, outcome);
  const bool is_making = doing_ && doing_->making;
  if (!stored && is_making && stored.failure().code == error_code::not_found)
    return finish(name_is_taken()); // the batch that had the row committed, so only this can have kept it out
  if (!stored && stored.failure().code == error_code::not_found && doing_ && doing_->replaying)
    return tell_what_became();
  if (!stored)
    return finish(stored.failure()); // a later request may find it
  known_->record = std::move(stored->record);
  known_->messages = stored->messages;
  known_->last_turn = std::move(stored->last_turn);
  known_->participants = std::move(stored->participants);
  known_->has_deleted = stored->has_deleted;
  const bool lease_goes_on =
      turn_runs() && (stored->granter_ended_cleanly || known_->last_turn->granted_by == environment_->process);
  if (!doing_ || !doing_->replaying)
    return wake_further(lease_goes_on);
  doing_->replaying->lease_goes_on = lease_goes_on;
  begin_replay();
}

/// It knows what is stored, and what a journal had.
void session::wake_further(bool lease_goes_on) {
  if (!lease_goes_on)
    return wake_up(false);
  known_->last_turn->messages = 0;
  count_messages_of_turn(known_->last_turn->first_offset - 1);
}

/// How many messages a turn has written is stored with its end. Of one that goes on they are counted, because a
/// rollback will need to know.
void session::count_messages_of_turn(event_offset after) {
  db::log_part part;
  part.after = after;
  part.limit = limits::page_events_max;
  part.only_messages = true;
  ask_database(db::read_log(source(), part), "read_log", [this](const db::unit_outcome& outcome) {
    if (phase_ != phase::waking && phase_ != phase::making)
      return;
    auto found = db::decode_log(outcome);
    if (!found)
      return finish(found.failure());
    if (found->empty())
      return wake_up(true);
    auto& turn = *known_->last_turn;
    turn.messages +=
        std::count_if(found->begin(), found->end(), [&](const event& each) { return each.turn == turn.id; });
    count_messages_of_turn(found->back().offset);
  });
}

/// A turn whose lease does not go on is closed before anybody is served.
void session::wake_up(bool lease_goes_on) {
  log_about(spdlog::level::debug, subject(), "{}", phase_ == phase::making ? "made" : "awake");
  phase_ = phase::awake;
  if (doing_ && doing_->making)
    std::exchange(doing_->making, std::nullopt)->answer.deliver(result<session_record>(known_->record));
  if (lease_goes_on)
    adopt_turn();
  else
    close_left_turn();
  run_waiting();
}

/// A crash left it. In an overdue session the sweeper may be writing the log's last event just now, at the same offset.
void session::close_left_turn() {
  if (!turn_runs())
    return;
  log_about(spdlog::level::info, subject(), "the turn is lost: its process ended without closing it");
  if (is_overdue())
    known_->last_turn->status = turn_status::lost;
  else
    end_running(turn_status::lost);
}

/// From now on its lease ends with a crash of this process, not of the one that granted it.
void session::adopt_turn() {
  if (!turn_runs())
    return;
  schedule_tick(clock().now() + tick_max);
  doing().counted = counted_turn::adopt(tenant_);
  if (known_->last_turn->granted_by == environment_->process)
    return;
  known_->last_turn->granted_by = environment_->process;
  // Whatever the budget says, as with a turn's end.
  auto writing = new_draft(reserve_if_possible(limits::event_overhead_bytes));
  writing.write->turns.push_back(*known_->last_turn);
  writing.write->bytes = limits::event_overhead_bytes;
  send_draft(std::move(writing));
}

void session::run_waiting() {
  if (!doing_)
    return;
  auto work = std::exchange(doing_->waiting, {});
  while (!work.empty()) {
    if (learns_keys_) { // one of them has to look something up: the others keep their order behind it
      for (auto& later : doing().waiting)
        work.push_back(std::move(later));
      doing().waiting = std::move(work);
      return;
    }
    auto request = std::move(work.front());
    work.pop_front();
    request();
  }
}

} // namespace colloquy::actors
