// Asking for a turn: the queue, the four policies, and handing it over. See session.hpp.
#include "actors/session_draft.hpp"
#include "actors/session_history.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_status.hpp"
#include "actors/session_turns.hpp"
#include "db/session_queries.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

std::optional<error> check_start(const start_turn& request) {
  if (auto problem = check_trace_id(request.trace_id))
    return problem;
  if (auto problem = check_lease(request.lease))
    return problem;
  if (request.wait < 0s || request.wait > limits::turn_wait_max)
    return error{error_code::invalid_request, "wait is " + std::to_string(request.wait.count()) + " s; 0 to " +
                                                  std::to_string(limits::turn_wait_max.count()) + " is allowed"};
  return check_token_budget(request.token_budget);
}

} // namespace

// --- asking for one --------------------------------------------------------------------------------------------------

void session::serve(promise_of<start_turn>& answer, start_turn& request, const caf::actor_addr& asker) {
  if (auto problem = check_start(request))
    return reply(answer, result<granted_turn>(*problem));
  waiting_turn waiting{answer, std::move(request), asker, clock().now()};
  waiting.deadline += waiting.request.wait;
  if (!waiting.request.repeat)
    return enqueue(std::move(waiting));
  const auto repeat = *waiting.request.repeat;
  for (auto& other : doing().turn_queue) // the first one still waits: this one waits with it
    if (other.request.repeat && other.request.repeat->key == repeat.key) {
      if (other.request.repeat->fingerprint != repeat.fingerprint)
        return reply(answer,
                     result<granted_turn>(error{error_code::idempotency_mismatch,
                                                "idempotency key \"" + repeat.key + "\" waits with another request"}));
      other.repeats.push_back(answer);
      return;
    }
  recall("turn", repeat, [this, waiting](recalled found) mutable {
    if (!found)
      return reply(waiting.answer, result<granted_turn>(found.failure()));
    if (*found)
      return repeat_turn(waiting.answer, waiting.request, **found);
    enqueue(std::move(waiting));
  });
}

/// The turn that the first request got, as it is now, with the history as it is now.
void session::repeat_turn(promise_of<start_turn>& answer, start_turn& request, const db::remembered_key& known) {
  auto with_history = [this, answer, budget = request.token_budget](const turn_record& turn) mutable {
    auto reading = std::make_shared<history_reading>();
    reading->token_budget = budget;
    reading->done = [answer, turn](result<history_page> history) mutable {
      reply(answer, history ? result<granted_turn>(granted_turn{turn, std::move(history).value()})
                            : result<granted_turn>(history.failure()));
    };
    read_newest(std::move(reading));
  };
  if (known_->last_turn && known_->last_turn->id == known.turn)
    return with_history(*known_->last_turn);
  ask_database(db::read_turn(key_, known.turn), "read_turn",
               [answer, with_history](const db::unit_outcome& outcome) mutable {
                 auto found = db::decode_turns(outcome);
                 if (!found)
                   reply(answer, result<granted_turn>(found.failure()));
                 else if (found->empty())
                   reply(answer, result<granted_turn>(error{error_code::not_found, "the turn is gone"}));
                 else
                   with_history(found->front());
               });
}

void session::enqueue(waiting_turn waiting) {
  const auto refuse = [&](error why) { answer_all(waiting, result<granted_turn>(std::move(why))); };
  if (auto problem = why_not_writable())
    return refuse(*problem);
  auto& queue = doing().turn_queue;
  const bool is_taken = turn_runs() || doing().granting;
  const auto policy = waiting.request.policy;
  if (is_taken && policy == turn_policy::reject)
    return refuse(turn_in_progress(turn_runs() ? known_->last_turn->number : 0));
  if (is_taken && policy == turn_policy::enqueue && queue.size() >= environment_->turns_queued_max)
    return refuse({error_code::overloaded,
                   "more than " + std::to_string(environment_->turns_queued_max) + " requests wait for their turn",
                   1000ms});
  // What could be refused when the turn starts is refused now.
  if (auto room = admit(waiting.request.events, waiting.request.reservation, status_event_bytes); !room)
    return refuse(room.failure());
  const bool cuts_in = is_taken && (policy == turn_policy::interrupt || policy == turn_policy::rollback);
  if (is_taken && waiting.asker)
    monitor_once(waiting.asker);
  if (cuts_in) {
    queue.push_front(std::move(waiting));
    if (turn_runs())
      return end_running(policy == turn_policy::interrupt ? turn_status::interrupted : turn_status::rolled_back);
  } else {
    if (is_taken && waiting.request.wait == 0s)
      return refuse(turn_in_progress(turn_runs() ? known_->last_turn->number : 0));
    schedule_tick(waiting.deadline);
    queue.push_back(std::move(waiting));
  }
  start_next();
}

/// The history is read first, because a turn that cannot be handed over must not begin.
void session::start_next() {
  if (phase_ != phase::awake || !doing_ || turn_runs() || doing_->granting || doing_->turn_queue.empty())
    return;
  granting_turn next{std::move(doing_->turn_queue.front()), known_->record.next_offset};
  doing_->turn_queue.pop_front();
  auto reading = std::make_shared<history_reading>();
  reading->token_budget = next.whose.request.token_budget;
  reading->done = [this](result<history_page> history) {
    if (!doing_ || !doing_->granting)
      return; // the session has come to its end, and has said so
    auto whose = std::move(doing_->granting->whose);
    if (!history || whose.deadline == time_point::min()) {
      doing_->granting.reset();
      if (!history)
        answer_all(whose, result<granted_turn>(history.failure()));
      return start_next();
    }
    grant(std::move(whose), std::move(history).value());
  };
  doing_->granting = std::move(next);
  read_newest(std::move(reading));
}

void session::grant(waiting_turn whose, history_page history) {
  auto granting = std::move(*doing().granting);
  doing().granting.reset();
  auto& request = whose.request;
  auto reservation = admit(request.events, request.reservation, status_event_bytes);
  if (!reservation) {
    answer_all(whose, result<granted_turn>(reservation.failure()));
    return start_next();
  }
  const auto now = environment_->now();
  db::turn_row turn;
  turn.id = request.id.value_or(turn_id::make());
  turn.number = known_->last_turn ? known_->last_turn->number + 1 : 1;
  turn.trace_id = std::move(request.trace_id);
  turn.started_at = now;
  turn.lease_expires_at = now + request.lease;
  turn.granted_by = environment_->process;
  turn.first_offset = known_->record.next_offset;
  known_->last_turn = turn;
  forget_deltas();

  auto writing = new_draft(std::move(reservation).value());
  add_status(writing, turn_status_json(turn, {}), turn.id, turn.trace_id);
  add_events(writing, request.events, turn.id, request.as_user);
  writing.write->turns.push_back(*known_->last_turn); // with what it has written
  if (request.repeat) {
    auto key = new_key("turn", *request.repeat);
    key.turn = turn.id;
    remember(writing, std::move(key));
  }
  for (const auto& block : granting.since)
    for (const auto& entry : *block)
      if (entry.kind == event_kind::message)
        history.messages.push_back(entry);
  for (const auto& entry : writing.events)
    if (entry.kind == event_kind::message)
      history.messages.push_back(entry);
  if (request.ends_with_caller && whose.asker) {
    doing().holder = whose.asker;
    monitor_once(whose.asker);
  }
  const auto number = send_draft(std::move(writing));
  extend_life();
  schedule_tick(clock().now() + request.lease);
  when_accepted(number, [whose, turn, history](const error* problem) mutable {
    answer_all(whose, problem ? result<granted_turn>(*problem)
                              : result<granted_turn>(granted_turn{std::move(turn), std::move(history)}));
  });
  if (!doing().turn_queue.empty()) { // one that cuts in came while this one's history was read
    const auto policy = doing().turn_queue.front().request.policy;
    if (policy == turn_policy::interrupt || policy == turn_policy::rollback)
      end_running(policy == turn_policy::interrupt ? turn_status::interrupted : turn_status::rolled_back);
  }
}

} // namespace colloquy::actors
