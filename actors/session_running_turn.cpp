// The turn that runs: its lease, its end, the parts of its reply; and looking at those that were. See session.hpp.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_status.hpp"
#include "actors/session_turns.hpp"
#include "db/session_queries.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error turn_is_lost{error_code::turn_lost, "the turn does not run any more"};

} // namespace

void session::serve(promise_of<renew_turn>& answer, renew_turn& request, const caf::actor_addr&) {
  if (auto problem = check_lease(request.lease))
    return reply(answer, result<turn_record>(*problem));
  if (!is_running(request.turn))
    return reply(answer, result<turn_record>(turn_is_lost));
  auto reservation = byte_reservation::take(environment_->budget, limits::event_overhead_bytes);
  if (!reservation)
    return reply(answer,
                 result<turn_record>(error{error_code::overloaded, "too much is accepted and not yet durable", 20ms}));
  known_->last_turn->lease_expires_at = environment_->now() + request.lease;
  auto writing = new_draft(std::move(reservation)); // so that it outlives a clean restart
  writing.write->turns.push_back(*known_->last_turn);
  writing.write->bytes = limits::event_overhead_bytes;
  const auto number = send_draft(std::move(writing));
  extend_life();
  when_accepted(number, [answer, turn = turn_record(*known_->last_turn)](const error* problem) mutable {
    reply(answer, problem ? result<turn_record>(*problem) : result<turn_record>(std::move(turn)));
  });
}

void session::serve(promise_of<end_turn>& answer, end_turn& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<turn_record>(std::move(why))); };
  const bool counted = request.outcome == turn_status::completed || request.outcome == turn_status::failed;
  if (!counted && request.outcome != turn_status::cancelled)
    return refuse({error_code::invalid_request, "a turn ends as completed, failed or cancelled"});
  if (auto problem = check_usage(request.usage.value_or(token_usage{}), known_->record.total_tokens))
    return refuse(*problem);
  if (auto problem = check_reason(request.reason))
    return refuse(*problem);
  if (request.outcome == turn_status::cancelled &&
      leave_queue(request.turn, {error_code::turn_lost, "it was cancelled while it waited for its turn"})) {
    turn_record waited;
    waited.id = request.turn;
    waited.status = turn_status::cancelled;
    waited.ended_at = environment_->now();
    return reply(answer, result<turn_record>(waited));
  }
  if (known_->last_turn && known_->last_turn->id == request.turn && known_->last_turn->status == request.outcome)
    return reply(answer, result<turn_record>(*known_->last_turn)); // asked again
  if (!is_running(request.turn)) {
    if (known_->last_turn && known_->last_turn->id == request.turn)
      return refuse(turn_is_lost);
    // An older one: asked again, perhaps.
    return ask_database(db::read_turn(key_, request.turn), "read_turn",
                        [answer, wanted = request.outcome](const db::unit_outcome& outcome) mutable {
                          auto found = db::decode_turns(outcome);
                          if (!found)
                            reply(answer, result<turn_record>(found.failure()));
                          else if (found->empty() || found->front().status != wanted)
                            reply(answer, result<turn_record>(turn_is_lost));
                          else
                            reply(answer, result<turn_record>(found->front()));
                        });
  }
  auto reservation = admit(request.events, request.reservation, status_event_bytes);
  if (!reservation)
    return refuse(reservation.failure());
  auto writing = new_draft(std::move(reservation).value());
  add_events(writing, request.events, request.turn, request.as_user);
  const auto usage = counted ? std::optional(request.usage.value_or(token_usage{})) : std::nullopt;
  const auto number = write_end(std::move(writing), request.outcome, usage, request.reason);
  extend_life();
  when_accepted(number, [answer, turn = turn_record(*known_->last_turn)](const error* problem) mutable {
    reply(answer, problem ? result<turn_record>(*problem) : result<turn_record>(std::move(turn)));
  });
  start_next();
}

/// Ends it from inside: by policy, by time, with its holder, with the session's own status.
void session::end_running(turn_status how, bool starts_next) {
  if (!turn_runs())
    return;
  if (how == turn_status::rolled_back) {
    doing().hidden_turns.push_back(known_->last_turn->id);
    doing().hidden_messages.reset();
    environment_->tails->forget(known_->record.log); // who reads it later must not need to know of this
  }
  // It must be written down whatever the budget says: without it nobody else's turn could start.
  auto reservation = byte_reservation::take(environment_->budget, status_event_bytes);
  write_end(new_draft(std::move(reservation)), how, std::nullopt, {});
  if (starts_next)
    start_next();
}

std::uint64_t session::write_end(draft writing, turn_status how, const std::optional<token_usage>& usage,
                                 const std::string& reason) {
  auto& turn = *known_->last_turn;
  turn.status = how;
  turn.ended_at = environment_->now();
  turn.lease_expires_at.reset();
  turn.usage = usage;
  add_turn(writing, turn, reason);
  if (how == turn_status::completed || how == turn_status::failed) {
    const auto tokens = usage ? usage->input_tokens + usage->output_tokens : 0;
    writing.write->turns_counted = 1;
    writing.write->tokens_counted = tokens;
    ++known_->record.turn_count;
    known_->record.total_tokens += tokens;
  }
  forget_deltas();
  doing().holder = {};
  return send_draft(std::move(writing));
}

/// Also of one whose turn is just being granted.
bool session::leave_queue(turn_id turn, const error& why) {
  if (!doing_ || turn.is_nil())
    return false;
  for (auto at = doing_->turn_queue.begin(); at != doing_->turn_queue.end(); ++at)
    if (at->request.id == turn) {
      auto waiting = std::move(*at);
      doing_->turn_queue.erase(at);
      answer_all(waiting, result<granted_turn>(why));
      return true;
    }
  if (doing_->granting && doing_->granting->whose.request.id == turn) {
    answer_all(doing_->granting->whose, result<granted_turn>(why));
    doing_->granting->whose.repeats.clear();
    doing_->granting->whose.answer = {};
    doing_->granting->whose.deadline = time_point::min();
    return true;
  }
  return false;
}

void session::refuse_queue(const error& why) {
  if (!doing_)
    return;
  for (auto& waiting : std::exchange(doing_->turn_queue, {}))
    answer_all(waiting, result<granted_turn>(why));
}

void session::check_turns(time_point now) {
  if (turn_runs() && known_->last_turn->lease_expires_at &&
      *known_->last_turn->lease_expires_at <= environment_->now()) {
    spdlog::info("turn {} of session {} of tenant {} is lost: its lease ran out", known_->last_turn->number,
                 key_.id.to_string(), key_.tenant.text());
    end_running(turn_status::lost);
  }
  if (!doing_)
    return;
  auto& queue = doing_->turn_queue;
  std::vector<waiting_turn> late;
  for (auto at = queue.begin(); at != queue.end();) {
    if (at->deadline <= now) {
      late.push_back(std::move(*at));
      at = queue.erase(at);
    } else {
      ++at;
    }
  }
  for (auto& each : late)
    answer_all(each, result<granted_turn>(turn_in_progress(turn_runs() ? known_->last_turn->number : 0)));
}

// --- parts of a reply ------------------------------------------------------------------------------------------------

void session::serve(promise_of<post_delta>& answer, post_delta& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<delta_passed>(std::move(why))); };
  if (!is_running(request.turn))
    return refuse(turn_is_lost);
  if (auto problem = check_delta(request))
    return refuse(*problem);
  auto& text = doing().delta_text;
  const auto listeners = pass_delta(request); // one that comes later gets the text so far first
  text += request.text;
  if (text.size() > limits::deltas_kept_bytes_max) {
    auto cut = text.size() - limits::deltas_kept_bytes_max;
    while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) // not within a character
      ++cut;
    text.erase(0, cut);
    doing().delta_cut = true;
  }
  reply(answer, result<delta_passed>(delta_passed{listeners}));
}

void session::forget_deltas() {
  if (!doing_)
    return;
  doing_->delta_text.clear();
  doing_->delta_cut = false;
}

// --- looking at them -------------------------------------------------------------------------------------------------

void session::serve(promise_of<list_turns>& answer, list_turns& request, const caf::actor_addr&) {
  if (request.limit < 1 || request.limit > limits::page_events_max)
    return reply(answer, result<turn_page>(error{error_code::invalid_request,
                                                 "limit is " + std::to_string(request.limit) + "; 1 to " +
                                                     std::to_string(limits::page_events_max) + " is allowed"}));
  const auto before = request.before.value_or(std::numeric_limits<std::int64_t>::max());
  ask_database(db::read_turns(key_, before, request.limit), "read_turns",
               [this, answer, before, limit = request.limit](const db::unit_outcome& outcome) mutable {
                 auto found = db::decode_turns(outcome);
                 if (!found)
                   return reply(answer, result<turn_page>(found.failure()));
                 turn_page page;
                 page.turns = std::move(found).value();
                 // What is accepted and not yet there: at most the last turn in a newer state.
                 if (known_->last_turn && known_->last_turn->number < before) {
                   if (!page.turns.empty() && page.turns.front().number == known_->last_turn->number)
                     page.turns.front() = *known_->last_turn;
                   else if (page.turns.empty() || page.turns.front().number < known_->last_turn->number)
                     page.turns.insert(page.turns.begin(), *known_->last_turn);
                 }
                 if (page.turns.size() > limit)
                   page.turns.resize(limit);
                 if (page.turns.size() == limit && page.turns.back().number > 1)
                   page.next_before = page.turns.back().number;
                 reply(answer, result<turn_page>(std::move(page)));
               });
}

} // namespace colloquy::actors
