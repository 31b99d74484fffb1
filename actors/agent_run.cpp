#include "actors/agent_run.hpp"

#include "actors/log_line.hpp"
#include "messages/text_checks.hpp"

#include <caf/actor_cast.hpp>
#include <caf/sec.hpp>

#include <algorithm>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_margin = 5s;    // who is asked answers at its own limit; this guards against one that is gone
constexpr auto retry_default = 250ms; // of an end that could not be written now

const error turn_is_over{error_code::turn_lost, "the turn does not run any more"};

/// Why a turn ends, as the log can keep it.
std::string fit_for_log(const std::string& reason) {
  if (!is_storable_text(reason))
    return "the reason is no text";
  if (count_characters(reason) <= limits::title_chars_max)
    return reason;
  std::size_t characters = 0;
  std::size_t at = 0;
  for (; at < reason.size(); ++at)
    if ((static_cast<unsigned char>(reason[at]) & 0xC0) != 0x80 && characters++ == limits::title_chars_max - 1)
      break;
  return reason.substr(0, at) + "\u2026";
}

/// Another try may succeed: nothing is wrong with what was asked.
bool may_pass(const error& refusal) {
  return refusal.code == error_code::overloaded || refusal.code == error_code::database_unavailable ||
         refusal.code == error_code::not_owner;
}

error of_caf(const caf::error& failed, const char* whom) {
  if (failed == caf::sec::request_timeout)
    return {error_code::deadline_exceeded, std::string(whom) + " did not answer in time"};
  return {error_code::internal, std::string(whom) + " has ended"};
}

std::optional<error> why_ended(const turn_ended& ended) {
  if (ended.turn.status == turn_status::completed)
    return std::nullopt;
  return error{error_code::turn_lost, "the turn is " + std::string(to_string(ended.turn.status)) +
                                          (ended.reason.empty() ? "" : ": " + ended.reason)};
}

} // namespace

agent_run::agent_run(caf::actor_config& config, directory_actor directory, agents_service agents,
                     agents_options options)
  : agent_run_actor::base(config)
  , directory_(std::move(directory))
  , agents_(std::move(agents))
  , options_(std::move(options)) {
  set_down_handler([this](const caf::down_msg& down) {
    if (agent_ && down.source == agent_.address())
      on_agent_gone();
  });
}

agent_run::behavior_type agent_run::make_behavior() {
  return {[this](write_delta& wanted) {
            post_delta delta;
            delta.text = std::move(wanted.text);
            delta.data = std::move(wanted.data);
            return pass_on<write_delta>(std::move(delta));
          },
          [this](write_events& wanted) {
            append_events append;
            append.reservation = reserve(wanted.events);
            append.events = std::move(wanted.events);
            return pass_on<write_events>(std::move(append));
          },
          [this](start_agent_turn& wanted) { return start(wanted); },
          [this](const turn_ended& ended) { on_ended(ended); },
          [this](const stop_run& told) { stop(told.why); },
          [this](run_tick) { on_tick(); }};
}

void agent_run::on_exit() {
  if (answer_)
    refuse({error_code::internal, "what ran the agent's turn has ended"});
  directory_ = nullptr;
  agents_ = nullptr;
  agent_ = nullptr;
}

/// `then` is given a result, whatever becomes of the request.
template <class Request, class Then>
void agent_run::ask(Request wanted, std::chrono::milliseconds limit, Then then) {
  using outcome = result<typename Request::reply>;
  request(directory_, limit + answer_margin, std::move(wanted))
      .then([then](outcome& answer) mutable { then(answer); },
            [then](const caf::error& failed) mutable {
              outcome answer{of_caf(failed, "the directory")};
              then(answer);
            });
}

// --- from the asking to the agent ------------------------------------------------------------------------------------

promise_of<start_agent_turn> agent_run::start(start_agent_turn& wanted) {
  auto answer = make_response_promise<result<agent_turn>>();
  if (wanted_.session.tenant != tenant_id{} || answer_) {
    reply(answer, result<agent_turn>(error{error_code::internal, "a run is for one turn"}));
    return answer;
  }
  answer_ = answer;
  wanted_ = std::move(wanted);
  wait_until_ = clock().now() + std::clamp<std::chrono::seconds>(wanted_.wait, 0s, limits::turn_wait_max);
  if (wanted_.agent) {
    look_up_agent();
    return answer;
  }
  get_session look{wanted_.session, wanted_.as_user};
  ask(std::move(look), options_.request_timeout, [this](result<session_record>& found) {
    if (phase_ != phase::asking)
      return;
    if (!found)
      return refuse(found.failure());
    if (!found->agent_id)
      return refuse({error_code::invalid_request, "the session has no agent_id, and the request names no agent"});
    wanted_.agent = *found->agent_id;
    look_up_agent();
  });
  return answer;
}

/// Before the turn begins: what nobody can answer is not written down.
void agent_run::look_up_agent() {
  request(agents_, options_.request_timeout, find_agent{wanted_.session.tenant, *wanted_.agent})
      .then(
          [this](result<agent_known>& known) {
            if (phase_ == phase::asking)
              known ? ask_for_turn() : refuse(known.failure());
          },
          [this](const caf::error& failed) { refuse(of_caf(failed, "the agents actor")); });
}

void agent_run::ask_for_turn() {
  if (!wanted_.id)
    wanted_.id = turn_id::make();
  start_turn turn;
  turn.session = wanted_.session;
  turn.events = std::move(wanted_.events);
  turn.trace_id = wanted_.trace_id;
  turn.reservation = std::move(wanted_.reservation);
  turn.policy = wanted_.policy;
  turn.lease = options_.lease;
  turn.wait = wanted_.wait;
  turn.token_budget = wanted_.token_budget;
  turn.id = wanted_.id;
  turn.as_user = wanted_.as_user;
  turn.repeat = wanted_.repeat;
  turn.ends_with_caller = true;
  ask(std::move(turn), limits::turn_wait_max + 2 * options_.request_timeout, [this](result<granted_turn>& granted) {
    if (phase_ == phase::asking)
      granted ? on_granted(*granted) : refuse(granted.failure());
  });
}

void agent_run::on_granted(granted_turn& granted) {
  turn_ = std::move(granted.turn);
  if (turn_.id != *wanted_.id) // the request came before; this is the turn that it got then
    return finish(turn_, std::nullopt);
  if (ended_) // it may be over before it is handed over
    return finish(ended_->turn, why_ended(*ended_));
  history_ = std::make_shared<const history_page>(std::move(granted.history));
  phase_ = phase::waiting;
  renew_later();
  take_place place{wanted_.session.tenant, *wanted_.agent, wait_until_};
  request(agents_, std::chrono::milliseconds(limits::turn_wait_max) + answer_margin, std::move(place))
      .then([this](result<agent_place>& given) { on_place(given); },
            [this](const caf::error& failed) {
              result<agent_place> none{of_caf(failed, "the agents actor")};
              on_place(none);
            });
}

void agent_run::on_place(const result<agent_place>& place) {
  if (phase_ != phase::waiting)
    return;
  if (place)
    begin_work(*place);
  else if (place.failure().code == shutting_down.code)
    lose(place.failure());
  else
    fail(place.failure());
}

void agent_run::begin_work(const agent_place& place) {
  phase_ = phase::working;
  agent_ = place.agent;
  monitor(agent_);
  work_until_ = clock().now() + place.time;
  delayed_send(this, place.time, run_tick{});
  run_turn work;
  work.agent = *wanted_.agent;
  work.session = wanted_.session;
  work.turn = turn_;
  work.history = std::move(history_);
  work.desk = caf::actor_cast<turn_desk_actor>(this);
  work.time = place.time;
  work.as_user = wanted_.as_user;
  request(agent_, place.time + options_.cancel_grace + answer_margin, std::move(work))
      .then([this](result<agent_reply>& reply) { on_reply(reply); }, [this](const caf::error&) { on_agent_gone(); });
}

// --- while it is at work ---------------------------------------------------------------------------------------------

template <class Request, class Forwarded>
promise_of<Request> agent_run::pass_on(Forwarded forwarded) {
  using outcome = result<typename Request::reply>;
  auto answer = make_response_promise<outcome>();
  if (phase_ != phase::working) {
    reply(answer, outcome(turn_is_over));
  } else if (writes_ >= options_.writes_max) {
    reply(answer, outcome(error{error_code::overloaded,
                                "more than " + std::to_string(options_.writes_max) +
                                    " writes of this turn are under way; wait for an answer",
                                retry_default}));
  } else {
    ++writes_;
    forwarded.session = wanted_.session;
    forwarded.turn = turn_.id;
    ask(std::move(forwarded), options_.request_timeout, [this, answer](outcome& given) {
      --writes_;
      reply(answer, std::move(given));
    });
  }
  return answer;
}

/// Null if the budget has not that much left, or there is none: then the session looks for itself.
std::shared_ptr<const byte_reservation> agent_run::reserve(const std::vector<event_input>& events) const {
  if (!options_.budget)
    return nullptr;
  std::size_t bytes = 0;
  for (const auto& each : events)
    bytes += each.cost_bytes();
  return byte_reservation::take(options_.budget, bytes);
}

void agent_run::renew_later() {
  const auto pause = std::chrono::milliseconds(options_.lease) / 3;
  renew_at_ = clock().now() + pause;
  delayed_send(this, pause, run_tick{});
}

void agent_run::renew() {
  renew_later();
  ask(renew_turn{wanted_.session, turn_.id, options_.lease, {}}, options_.request_timeout,
      [this](const result<turn_record>& renewed) {
        if (renewed || may_pass(renewed.failure()) || (phase_ != phase::waiting && phase_ != phase::working))
          return;
        if (renewed.failure().code != error_code::internal && renewed.failure().code != error_code::deadline_exceeded)
          on_ended({wanted_.session, lost_turn(), renewed.failure().message});
      });
}

turn_record agent_run::lost_turn() const {
  auto turn = turn_;
  turn.status = turn_status::lost;
  turn.lease_expires_at.reset();
  return turn;
}

void agent_run::on_tick() {
  const auto now = clock().now();
  if (phase_ == phase::leaving && now >= leave_at_)
    return quit();
  if (phase_ == phase::working && now >= work_until_)
    return lose({error_code::deadline_exceeded, "the agent was not done in its time"});
  if (phase_ == phase::ending && end_again_ && now >= end_again_at_)
    return end(*std::exchange(end_again_, std::nullopt), why_);
  if (phase_ != phase::asking && phase_ != phase::leaving && now >= renew_at_)
    renew();
}

void agent_run::on_agent_gone() {
  agent_ = nullptr;
  if (phase_ == phase::working)
    lose({error_code::internal, "the agent ended while it was at work"});
  else if (phase_ == phase::leaving)
    quit();
}

// --- the turn's end --------------------------------------------------------------------------------------------------

void agent_run::on_reply(result<agent_reply>& given) {
  if (phase_ != phase::working)
    return on_agent_gone(); // it is free, and that is all there is to know
  agent_ = nullptr;
  if (!given)
    return fail(given.failure());
  end_turn wanted;
  wanted.outcome = turn_status::completed;
  wanted.usage = given->usage;
  wanted.reservation = reserve(given->messages);
  messages_ = given->messages;
  wanted.events = std::move(given->messages);
  end(std::move(wanted), {});
}

void agent_run::fail(error why) {
  end_turn wanted;
  wanted.outcome = turn_status::failed;
  wanted.reason = fit_for_log(why.message);
  end(std::move(wanted), std::move(why));
}

void agent_run::lose(error why) {
  log_about(spdlog::level::info, {wanted_.session, turn_.id, turn_.trace_id}, "the turn is lost: {}", why.message);
  if (agent_)
    send(agent_, cancel_run{wanted_.session, turn_.id, why});
  end_turn wanted;
  wanted.outcome = turn_status::lost;
  wanted.reason = fit_for_log(why.message);
  end(std::move(wanted), std::move(why));
}

/// `why`: what who asked is told, unless it is completed.
void agent_run::end(end_turn wanted, error why) {
  if (phase_ != phase::ending)
    end_until_ = clock().now() + options_.lease;
  phase_ = phase::ending;
  why_ = std::move(why);
  wanted.session = wanted_.session;
  wanted.turn = turn_.id;
  ask(wanted, options_.request_timeout, [this, wanted](result<turn_record>& ended) {
    if (phase_ != phase::ending)
      return;
    if (!ended)
      return on_end_refused(wanted, ended.failure());
    finish(std::move(*ended), wanted.outcome == turn_status::completed ? std::nullopt : std::optional(why_));
  });
}

void agent_run::on_end_refused(const end_turn& wanted, const error& refusal) {
  if (ended_) // somebody else was faster, or the answer was lost
    return finish(ended_->turn, why_ended(*ended_));
  const bool is_completing = wanted.outcome == turn_status::completed;
  if (is_completing && (refusal.code == error_code::invalid_request || refusal.code == error_code::payload_too_large))
    return fail({refusal.code, "the agent's reply was refused: " + refusal.message});
  if (may_pass(refusal) && clock().now() < end_until_) { // what the agent has done is worth another try
    const auto pause = std::max<std::chrono::milliseconds>(refusal.retry_after.value_or(retry_default), retry_default);
    end_again_ = wanted;
    end_again_at_ = clock().now() + pause;
    delayed_send(this, pause, run_tick{});
    return;
  }
  finish(lost_turn(), is_completing ? refusal : why_); // if it is not over already, it is lost with this run
}

void agent_run::on_ended(const turn_ended& ended) {
  if (!wanted_.id || ended.turn.id != *wanted_.id || ended_)
    return;
  ended_ = ended;
  if (phase_ != phase::waiting && phase_ != phase::working)
    return; // an answer is on its way, and is more
  if (agent_)
    send(agent_, cancel_run{wanted_.session, turn_.id, why_ended(ended).value_or(turn_is_over)});
  finish(ended.turn, why_ended(ended));
}

void agent_run::stop(const error& why) {
  is_stopping_ = true;
  if (phase_ == phase::asking)
    refuse(why);
  else if (phase_ == phase::waiting || phase_ == phase::working)
    lose(why);
  else if (phase_ == phase::ending && end_again_)
    finish(lost_turn(), why);
  else if (phase_ == phase::leaving)
    quit();
}

void agent_run::finish(turn_record turn, std::optional<error> why) {
  phase_ = phase::leaving;
  history_.reset();
  if (answer_) {
    agent_turn told;
    told.turn = std::move(turn);
    if (told.turn.status == turn_status::completed)
      told.messages = std::move(messages_);
    told.why = std::move(why);
    reply(*std::exchange(answer_, std::nullopt), result<agent_turn>(std::move(told)));
  }
  if (!agent_ || is_stopping_)
    return quit();
  leave_at_ = clock().now() + options_.cancel_grace;
  delayed_send(this, options_.cancel_grace, run_tick{});
}

/// No turn has begun, as far as is known; one that has is cancelled or lost with this.
void agent_run::refuse(error why) {
  phase_ = phase::leaving;
  if (answer_)
    reply(*std::exchange(answer_, std::nullopt), result<agent_turn>(std::move(why)));
  quit();
}

} // namespace colloquy::actors
