// Asking for a turn: the queue, the four policies, and handing it over. See session.hpp.
#include "actors/session_draft.hpp"
#include "actors/session_history.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_status.hpp"
#include "actors/session_turns.hpp"
#include "db/session_queries.hpp"

#include <algorithm>
#include <iterator>
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

error too_many_wait(std::size_t max) {
  return {error_code::overloaded, "more than " + std::to_string(max) + " requests wait for their turn", 1000ms};
}

error too_many_run(std::int64_t max) {
  return {error_code::quota_exceeded,
          "the tenant has turns running in this process, as many as its quota of " + std::to_string(max) + " allows",
          1000ms};
}

bool cuts_in_of(const waiting_turn& waiting) {
  return cuts_in(waiting.request.policy);
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
  if (joins_twin(waiting))
    return;
  const auto repeat = *waiting.request.repeat;
  const requester by{access::writes, waiting.request.as_user};
  recall("turn", repeat, by, [this, waiting = std::move(waiting)](recalled found) mutable {
    if (!found)
      return reply(waiting.answer, result<granted_turn>(found.failure()));
    if (*found)
      return repeat_turn(waiting.answer, waiting.request, **found);
    if (!joins_twin(waiting))
      enqueue(std::move(waiting));
  });
}

/// While the first request of that key waits, this one waits with it.
bool session::joins_twin(waiting_turn& waiting) {
  const auto& repeat = *waiting.request.repeat;
  const auto is_twin = [&](const waiting_turn& other) {
    return other.request.repeat && other.request.repeat->key == repeat.key &&
           other.request.repeat->scope == repeat.scope;
  };
  waiting_turn* twin = nullptr;
  if (doing_ && doing_->granting && !doing_->granting->is_let_go && is_twin(doing_->granting->whose))
    twin = &doing_->granting->whose;
  if (doing_ && !twin)
    if (auto at = std::find_if(doing_->turn_queue.begin(), doing_->turn_queue.end(), is_twin);
        at != doing_->turn_queue.end())
      twin = &*at;
  if (!twin)
    return false;
  if (twin->request.repeat->fingerprint != repeat.fingerprint) {
    reply(waiting.answer,
          result<granted_turn>(error{error_code::idempotency_mismatch,
                                     "idempotency key \"" + repeat.key + "\" waits with another request"}));
  } else if (twin->repeats.size() >= environment_->turns_queued_max) {
    reply(waiting.answer, result<granted_turn>(too_many_wait(environment_->turns_queued_max)));
  } else {
    if (waiting.asker)
      monitor_once(waiting.asker);
    twin->repeats.push_back({waiting.answer, waiting.asker, waiting.request.as_user});
  }
  return true;
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
  const auto* turn =
      known_->last_turn && known_->last_turn->id == known.turn ? &*known_->last_turn : undurable_turn(known.turn);
  if (turn)
    return when_accepted_again([answer, with_history, turn = turn_record(*turn)](const error* problem) mutable {
      problem ? reply(answer, result<granted_turn>(*problem)) : with_history(turn);
    });
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

void session::take(close_session&) {
  auto answer = make_response_promise<session_closed>();
  is_closing_ = true;
  if (doing_) {
    if (auto granting = std::exchange(doing_->granting, std::nullopt))
      doing_->turn_queue.push_front(std::move(granting->whose));
    refuse_queue(*why_no_turn());
  }
  answer.deliver(session_closed{});
}

/// Why nobody's turn may start now.
std::optional<error> session::why_no_turn() const {
  if (is_closing_)
    return shutting_down;
  if (is_overdue())
    return error{error_code::session_expired, "the session has expired"};
  return why_not_writable();
}

/// Why somebody may not wait for the turn that is taken.
std::optional<error> session::why_not_waiting(const start_turn& request) const {
  const auto& queue = doing_->turn_queue;
  const auto max = environment_->turns_queued_max;
  if (cuts_in(request.policy)) { // only while a turn is handed over
    const auto before = std::count_if(queue.begin(), queue.end(), cuts_in_of);
    return static_cast<std::size_t>(before) >= max ? std::optional(too_many_wait(max)) : std::nullopt;
  }
  if (request.policy == turn_policy::reject || request.wait == 0s)
    return turn_in_progress(known_->last_turn);
  return queue.size() >= max ? std::optional(too_many_wait(max)) : std::nullopt;
}

/// Older ones than the last are not looked for: ids are chosen to be new.
bool session::is_known_turn(turn_id turn) const {
  const auto is_it = [&](const waiting_turn& waiting) { return waiting.request.id == turn; };
  return (known_->last_turn && known_->last_turn->id == turn) ||
         (doing_->granting && !doing_->granting->is_let_go && is_it(doing_->granting->whose)) ||
         std::any_of(doing_->turn_queue.begin(), doing_->turn_queue.end(), is_it);
}

void session::enqueue(waiting_turn waiting) {
  const auto refuse = [&](error why) { answer_all(waiting, result<granted_turn>(std::move(why))); };
  auto& request = waiting.request;
  auto& queue = doing().turn_queue;
  const bool is_taken = turn_runs() || doing().granting;
  if (auto problem = why_no_turn())
    return refuse(*problem);
  if (request.id && (request.id->is_nil() || is_known_turn(*request.id)))
    return refuse({error_code::conflict, "the turn's id is taken"});
  if (is_taken)
    if (auto problem = why_not_waiting(request))
      return refuse(*problem);
  // What could be refused when the turn starts is refused now, and what waits with it counts from now on.
  auto room = admit(request.events, request.reservation, status_event_bytes);
  if (!room)
    return refuse(room.failure());
  request.reservation = std::move(room).value();
  if (!request.id)
    request.id = turn_id::make();
  if (is_taken && waiting.asker)
    monitor_once(waiting.asker);
  const auto policy = request.policy;
  if (cuts_in(policy)) { // in front of those who wait, behind others that cut in
    // Its turn is next, but others that cut in may come first, and their histories are read: also that has an end.
    waiting.deadline = std::max(waiting.deadline, clock().now() + environment_->request_timeout);
    schedule_tick(waiting.deadline);
    queue.insert(std::find_if_not(queue.begin(), queue.end(), cuts_in_of), std::move(waiting));
    if (turn_runs())
      return end_running(cut_as(policy));
  } else {
    if (is_taken)
      schedule_tick(waiting.deadline);
    queue.push_back(std::move(waiting));
  }
  start_next();
}

// --- handing it over -------------------------------------------------------------------------------------------------

/// The history is read first, because a turn that cannot be handed over must not begin. Those whose time has come while
/// their tenant runs as many turns as it may are refused, also if they have waited for it.
void session::start_next() {
  if (phase_ != phase::awake || !doing_ || turn_runs() || doing_->granting || doing_->turn_queue.empty())
    return;
  if (auto problem = why_no_turn())
    return refuse_queue(*problem);
  auto counted = counted_turn::begin(tenant_);
  if (!counted)
    return refuse_queue(too_many_run(tenant_->running_turns_max));
  doing_->granting = granting_turn{std::move(doing_->turn_queue.front())};
  doing_->granting->counted = std::move(counted);
  doing_->turn_queue.pop_front();
  auto reading = std::make_shared<history_reading>();
  reading->token_budget = doing_->granting->whose.request.token_budget;
  reading->before = known_->record.next_offset; // what is written meanwhile comes by granting_turn.since
  reading->done = [this](result<history_page> history) { on_history(std::move(history)); };
  read_newest(std::move(reading));
}

void session::on_history(result<history_page> history) {
  if (!doing_ || !doing_->granting)
    return; // the session has come to its end, and has said so
  auto granting = std::move(*doing_->granting);
  doing_->granting.reset();
  auto& whose = granting.whose;
  if (granting.is_let_go || !keep_askers(whose, has_ended)) {
    granting.counted.reset();
    return start_next();
  }
  auto problem = history ? why_no_turn() : history.failure();
  if (!problem)
    return grant(std::move(granting), std::move(history).value());
  granting.counted.reset();
  answer_all(whose, result<granted_turn>(*problem));
  start_next();
}

void session::grant(granting_turn granting, history_page history) {
  auto& whose = granting.whose;
  auto& request = whose.request;
  auto reservation = admit(request.events, request.reservation, status_event_bytes);
  if (!reservation) {
    granting.counted.reset();
    answer_all(whose, result<granted_turn>(reservation.failure()));
    return start_next();
  }
  const auto now = environment_->now();
  db::turn_row turn;
  turn.id = *request.id;
  turn.number = known_->last_turn ? known_->last_turn->number + 1 : 1;
  turn.trace_id = request.trace_id;
  turn.started_at = now;
  turn.lease_expires_at = now + request.lease;
  turn.granted_by = environment_->process;
  turn.first_offset = known_->record.next_offset;
  known_->last_turn = turn;
  doing().counted = std::move(granting.counted);
  forget_deltas();
  log_about(spdlog::level::debug, subject(), "turn {} begins", turn.number);

  auto writing = new_draft(std::move(reservation).value());
  add_status(writing, turn_status_json(turn, {}), turn.id, turn.trace_id);
  add_events(writing, request.events, turn.id, request.as_user);
  writing.write->turns.push_back(*known_->last_turn); // with what it has written
  if (request.repeat) {
    auto key = new_key("turn", *request.repeat);
    key.turn = turn.id;
    remember(writing, std::move(key));
  }
  history = with_newest(std::move(history), request.token_budget, granting.since, writing.events);
  if (request.ends_with_caller && whose.asker) {
    doing().holder = whose.asker;
    monitor_once(whose.asker);
  }
  const auto number = send_draft(std::move(writing));
  extend_life();
  schedule_tick(clock().now() + request.lease);
  when_accepted(number, [this, whose = std::move(whose), granted = granted_turn{turn, std::move(history)}](
                            const error* problem) mutable { hand_over(whose, std::move(granted), problem); });
  // One that cuts in may have come while this one's history was read.
  if (turn_runs() && !doing().turn_queue.empty() && cuts_in_of(doing().turn_queue.front()))
    end_running(cut_as(doing().turn_queue.front().request.policy));
}

/// What was said while the history was read, and what the turn begins with, count as the newest of it.
history_page session::with_newest(history_page history, std::optional<std::int64_t> token_budget,
                                  const event_blocks& since, const std::vector<event>& own) const {
  std::vector<event> real; // without results that were made up: they are made up again
  for (auto& entry : history.messages)
    if (real.empty() || entry.offset > real.back().offset)
      real.push_back(std::move(entry));
  const auto add = [&](const std::vector<event>& events) {
    std::copy_if(events.begin(), events.end(), std::back_inserter(real),
                 [](const event& entry) { return entry.kind == event_kind::message; });
  };
  for (const auto& block : since)
    add(*block);
  add(own);
  if (real.empty())
    return history;

  history_limits bounds;
  bounds.token_budget = token_budget;
  if (!token_budget)
    bounds.messages_max = static_cast<std::int64_t>(limits::page_default);
  std::optional<event> first;
  if (real.front().role == message_role::system &&
      (history.trimmed == 0 || real.front().messages == 1 ||
       (doing_->first_message && *doing_->first_message && (*doing_->first_message)->offset == real.front().offset)))
    first = real.front();
  history_window window(bounds, known_->last_turn->id, std::move(first), environment_->count_tokens);
  const auto all = history.trimmed + static_cast<std::int64_t>(real.size());
  for (auto entry = real.rbegin(); entry != real.rend() && window.wants_more(); ++entry)
    window.add(std::move(*entry));
  auto chosen = std::move(window).finish();
  history.messages = std::move(chosen.messages);
  history.trimmed = all - chosen.kept;
  history.has_more = history.trimmed > 0;
  history.next = history.messages.empty() ? -1 : history.messages.front().offset;
  return history;
}

/// An answer that reaches nobody is no turn: it is cancelled at once.
void session::hand_over(waiting_turn& whose, granted_turn granted, const error* problem) {
  const bool is_delivered = !problem && keep_askers(whose, has_ended);
  const auto turn = granted.turn.id;
  answer_all(whose, problem ? result<granted_turn>(*problem) : result<granted_turn>(std::move(granted)));
  if (!is_delivered && phase_ == phase::awake && is_running(turn))
    end_running(turn_status::cancelled);
}

} // namespace colloquy::actors
