// The turn that runs: its lease, its end, the parts of its reply; and looking at those that were. See session.hpp.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_status.hpp"
#include "actors/session_turns.hpp"
#include "db/session_queries.hpp"
#include "messages/turn_ended_interface.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
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
  auto reservation = reserve(limits::event_overhead_bytes);
  if (!reservation)
    return reply(answer, result<turn_record>(reservation.failure()));
  known_->last_turn->lease_expires_at = environment_->now() + request.lease;
  auto writing = new_draft(std::move(reservation).value()); // so that it outlives a clean restart
  writing.write->turns.push_back(*known_->last_turn);
  writing.write->bytes = limits::event_overhead_bytes;
  const auto number = send_draft(std::move(writing));
  extend_life();
  when_accepted(number, [answer, turn = turn_record(*known_->last_turn)](const error* problem) mutable {
    reply(answer, problem ? result<turn_record>(*problem) : result<turn_record>(std::move(turn)));
  });
}

void session::serve(promise_of<end_turn>& answer, end_turn& request, const caf::actor_addr& asker) {
  const auto refuse = [&](error why) { reply(answer, result<turn_record>(std::move(why))); };
  const bool counted = request.outcome == turn_status::completed || request.outcome == turn_status::failed;
  // Its holder may give it up before it dies.
  const bool is_given_up = request.outcome == turn_status::lost && asker && doing_ && doing_->holder == asker;
  if (!counted && !is_given_up && request.outcome != turn_status::cancelled)
    return refuse({error_code::invalid_request, "a turn ends as completed, failed or cancelled"});
  if (auto problem = check_usage(request.usage.value_or(token_usage{}), known_->record.total_tokens))
    return refuse(*problem);
  if (auto problem = check_reason(request.reason))
    return refuse(*problem);
  if (!request.events.empty() && request.outcome != turn_status::completed)
    return refuse({error_code::invalid_request, "only a completed turn has last messages"});
  if (request.outcome == turn_status::cancelled &&
      leave_queue(request.turn, {error_code::turn_lost, "it was cancelled while it waited for its turn"})) {
    turn_record waited;
    waited.id = request.turn;
    waited.status = turn_status::cancelled;
    waited.ended_at = environment_->now();
    remember_cancelled(waited);
    return reply(answer, result<turn_record>(waited));
  }
  if (const auto* waited = is_running(request.turn) ? nullptr : find_cancelled(request.turn)) // it may have come back
    return reply(answer, request.outcome == turn_status::cancelled ? result<turn_record>(*waited) : turn_is_lost);
  const auto give = [answer](const turn_record& turn) {
    return [answer, turn](const error* problem) mutable {
      reply(answer, problem ? result<turn_record>(*problem) : result<turn_record>(std::move(turn)));
    };
  };
  if (known_->last_turn && known_->last_turn->id == request.turn && known_->last_turn->status == request.outcome)
    return when_accepted_again(give(*known_->last_turn));
  if (!is_running(request.turn)) {
    if (known_->last_turn && known_->last_turn->id == request.turn)
      return refuse(turn_is_lost);
    // An older one: asked again, perhaps.
    if (const auto* older = undurable_turn(request.turn))
      return older->status == request.outcome ? when_accepted_again(give(*older)) : refuse(turn_is_lost);
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
  when_accepted(number, give(*known_->last_turn));
  start_next();
}

/// Ends it from inside: by policy, by time, with its holder, with the session's own status.
void session::end_running(turn_status how, bool starts_next) {
  if (!turn_runs())
    return;
  if (how == turn_status::rolled_back)
    hide(known_->last_turn->id);
  // It must be written down whatever the budget says: without it nobody else's turn could start.
  write_end(new_draft(reserve_if_possible(status_event_bytes)), how, std::nullopt, {});
  if (starts_next)
    start_next();
}

std::uint64_t session::write_end(draft writing, turn_status how, const std::optional<token_usage>& usage,
                                 const std::string& reason) {
  auto& turn = *known_->last_turn;
  log_about(spdlog::level::debug, subject_of(turn), "turn {} ends: {}", turn.number, to_string(how));
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
    known_->record.updated_at = *turn.ended_at;
  }
  forget_deltas();
  if (auto holder = caf::actor_cast<caf::actor>(std::exchange(doing().holder, {})))
    caf::anon_send(holder, turn_ended{key_, turn, reason});
  doing().counted.reset();
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
  if (doing_->granting && !doing_->granting->is_let_go && doing_->granting->whose.request.id == turn) {
    let_go(*doing_->granting);
    answer_all(doing_->granting->whose, result<granted_turn>(why));
    return true;
  }
  return false;
}

/// So that the same cancel again gets the same answer. As many as may wait are remembered, while the session is busy.
void session::remember_cancelled(const turn_record& waited) {
  auto& all = doing().cancelled_in_queue;
  all.push_back(waited);
  if (all.size() > environment_->turns_queued_max)
    all.pop_front();
}

const turn_record* session::find_cancelled(turn_id turn) const {
  if (!doing_)
    return nullptr;
  const auto& all = doing_->cancelled_in_queue;
  const auto at = std::find_if(all.begin(), all.end(), [turn](const turn_record& each) { return each.id == turn; });
  return at == all.end() ? nullptr : &*at;
}

void session::refuse_queue(const error& why) {
  if (!doing_)
    return;
  if (doing_->granting && !doing_->granting->is_let_go) {
    let_go(*doing_->granting);
    answer_all(doing_->granting->whose, result<granted_turn>(why));
  }
  for (auto& waiting : std::exchange(doing_->turn_queue, {}))
    answer_all(waiting, result<granted_turn>(why));
}

void session::end_if_overdue() {
  if (phase_ != phase::awake || !turn_runs() || !known_->last_turn->lease_expires_at ||
      *known_->last_turn->lease_expires_at > environment_->now())
    return;
  log_about(spdlog::level::info, subject(), "the turn is lost: its lease ran out");
  end_running(turn_status::lost);
}

void session::check_turns(time_point now) {
  end_if_overdue();
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
    answer_all(each, result<granted_turn>(turn_in_progress(known_->last_turn)));
}

// --- parts of a reply ------------------------------------------------------------------------------------------------

void session::serve(promise_of<post_delta>& answer, post_delta& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<delta_passed>(std::move(why))); };
  if (!is_running(request.turn))
    return refuse(turn_is_lost);
  if (auto problem = check_delta(request))
    return refuse(*problem);
  auto& text = doing().delta_text;
  const auto part = std::make_shared<const std::string>(std::move(request.text));
  // One that comes later gets the text so far first.
  const auto listeners = pass_delta(request.turn, part, std::make_shared<const std::string>(std::move(request.data)));
  text += *part;
  doing().delta_shared.reset();
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
  doing_->delta_shared.reset();
  doing_->delta_cut = false;
}

// --- looking at them -------------------------------------------------------------------------------------------------

void session::serve(promise_of<list_turns>& answer, list_turns& request, const caf::actor_addr&) {
  if (request.limit < 1 || request.limit > limits::page_events_max)
    return reply(answer, result<turn_page>(error{error_code::invalid_request,
                                                 "limit is " + std::to_string(request.limit) + "; 1 to " +
                                                     std::to_string(limits::page_events_max) + " is allowed"}));
  // Those who wait stand where their numbers will be, if all before them get their turns.
  const auto last = known_->last_turn ? known_->last_turn->number : 0;
  const auto first = waiting_turns(request.before.value_or(std::numeric_limits<std::int64_t>::max()));
  const auto before = std::min(request.before.value_or(last + 1), last + 1);
  if (first.size() >= request.limit) {
    turn_page page;
    page.turns.assign(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(request.limit));
    page.next_before = last + 1 + static_cast<std::int64_t>(first.size() - request.limit);
    return reply(answer, result<turn_page>(std::move(page)));
  }
  // What is accepted and perhaps not there when the database looks, in its newest state.
  std::map<std::int64_t, turn_record, std::greater<>> newest;
  if (doing_)
    for (const auto& write : doing_->undurable)
      for (const auto& turn : write->turns)
        if (turn.number < before)
          newest[turn.number] = turn;
  ask_database(db::read_turns(key_, before, request.limit), "read_turns",
               [answer, first, newest, limit = request.limit](const db::unit_outcome& outcome) mutable {
                 auto found = db::decode_turns(outcome);
                 if (!found)
                   return reply(answer, result<turn_page>(found.failure()));
                 for (auto& turn : *found)
                   newest.try_emplace(turn.number, std::move(turn));
                 turn_page page;
                 page.turns = std::move(first);
                 for (auto& [number, turn] : newest)
                   page.turns.push_back(std::move(turn));
                 if (page.turns.size() > limit)
                   page.turns.resize(limit);
                 if (page.turns.size() == limit && page.turns.back().number != 1)
                   page.next_before = page.turns.back().number;
                 reply(answer, result<turn_page>(std::move(page)));
               });
}

/// Newest first: those whose numbers will be less than `before`.
std::vector<turn_record> session::waiting_turns(std::int64_t before) const {
  std::vector<turn_record> all;
  if (!doing_)
    return all;
  auto number = known_->last_turn ? known_->last_turn->number : 0;
  const auto add = [&](const waiting_turn& waiting) {
    if (++number >= before)
      return;
    turn_record turn;
    turn.id = *waiting.request.id;
    turn.status = turn_status::queued;
    turn.trace_id = waiting.request.trace_id;
    all.push_back(std::move(turn));
  };
  if (doing_->granting && !doing_->granting->is_let_go)
    add(doing_->granting->whose);
  std::for_each(doing_->turn_queue.begin(), doing_->turn_queue.end(), add);
  std::reverse(all.begin(), all.end());
  return all;
}

/// In its newest state, if that is not durable yet.
const db::turn_row* session::undurable_turn(turn_id turn) const {
  if (doing_)
    for (auto write = doing_->undurable.rbegin(); write != doing_->undurable.rend(); ++write)
      for (const auto& each : (*write)->turns)
        if (each.id == turn)
          return &each;
  return nullptr;
}

} // namespace colloquy::actors
