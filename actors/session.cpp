// Who may ask, when it ends, and what time brings. See session.hpp for the rules.
#include "actors/session.hpp"

#include "actors/session_pack.hpp"
#include "actors/session_turns.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error no_such_session{error_code::not_found, "no such session"};
const error disowned{error_code::not_owner, "another process owns this session", 1000ms};

/// What an expired session still answers.
template <class Request>
bool is_served_expired(const Request& request) {
  if constexpr (requires { request.even_expired; })
    return request.even_expired;
  return std::is_same_v<Request, erase_session>;
}

/// At most tick_max and a tenth from now, and at the same time as others: each time of its own wakes CAF's clock.
caf::actor_clock::time_point next_look(caf::actor_clock::time_point now) {
  constexpr caf::actor_clock::duration_type grain = tick_max / 10;
  const auto due = (now + tick_max).time_since_epoch();
  return caf::actor_clock::time_point{(due + grain - caf::actor_clock::duration_type{1}) / grain * grain};
}

} // namespace

session::session(caf::actor_config& config, session_key key, origin from, writer_actor writer,
                 std::shared_ptr<const session_environment> environment, std::shared_ptr<tenant_account> of_tenant)
  : session_actor::base(config)
  , key_(std::move(key))
  , writer_(std::move(writer))
  , environment_(std::move(environment))
  , tenant_(std::move(of_tenant))
  , phase_(from == origin::stored ? phase::waking : phase::making) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
  set_exit_handler([this](caf::exit_msg& told) {
    unfold();
    if (told.reason == caf::exit_reason::user_shutdown)
      fail(shutting_down);
    quit(std::move(told.reason));
  });
}

session::behavior_type session::make_behavior() {
  unfold();
  if (phase_ == phase::waking)
    wake();
  return {[this](session_call& call) {
    if (!known_ && std::holds_alternative<session_tick>(call.what))
      return; // an old one
    unfold();
    std::visit([this](auto& what) { take(what); }, call.what);
  }};
}

void session::on_exit() {
  unfold();
  const error ended{error_code::internal, "the session's actor ended; ask again", 100ms};
  fail(ended);
  if (doing_)
    for (auto& [number, say] : std::exchange(doing_->at_end, {}))
      say(ended);
  if (environment_->owner)
    send(environment_->owner, session_ended{key_, id()});
  environment_->tails->forget(known_->record.log);
  doing_.reset();
  writer_ = nullptr;
  environment_ = nullptr;
}

/// Idle sessions are many, so each keeps what it knows folded until somebody asks.
void session::unfold() {
  if (known_)
    return;
  known_ = std::make_unique<session_knowledge>(packed_.empty() ? session_knowledge{} : unpack(key_, packed_));
  packed_ = std::string();
  schedule_tick(next_look(clock().now()));
}

void session::fold() {
  doing_.reset();
  if (phase_ == phase::awake)
    packed_ = pack(*known_);
  known_.reset();
}

session_activity& session::doing() {
  if (!doing_) {
    doing_ = std::make_unique<session_activity>();
    schedule_tick(next_look(clock().now()));
  }
  return *doing_;
}

// --- requests --------------------------------------------------------------------------------------------------------

/// Answers now, or once the session is awake. Who asks is read first: a promise takes the sender away.
template <class Request>
void session::take(Request& request) {
  auto asker = caf::actor_cast<caf::actor_addr>(current_sender());
  auto answer = make_response_promise<result<typename Request::reply>>();
  const bool may_be_served = phase_ != phase::waking && phase_ != phase::making && !learns_keys_;
  if (may_be_served) {
    serve_now(answer, request, asker);
  } else if (doing().waiting.size() >= environment_->waiting_requests_max) {
    reply(answer, result<typename Request::reply>(
                      error{error_code::overloaded, "too many requests wait for this session to wake", 100ms}));
  } else {
    doing().waiting.push_back(
        [this, answer, asker, held = std::move(request)]() mutable { serve_now(answer, held, asker); });
  }
}

template <class Request>
void session::serve_now(promise_of<Request>& answer, Request& request, const caf::actor_addr& asker) {
  end_if_overdue(); // time may have passed it since the last tick
  constexpr bool is_owners = std::is_same_v<Request, update_session> || std::is_same_v<Request, erase_session> ||
                             std::is_same_v<Request, fork_session> || std::is_same_v<Request, set_participant> ||
                             std::is_same_v<Request, delete_events>;
  constexpr bool is_reading = std::is_same_v<Request, get_session> || std::is_same_v<Request, read_events> ||
                              std::is_same_v<Request, read_history> || std::is_same_v<Request, list_turns> ||
                              std::is_same_v<Request, subscribe_events> || std::is_same_v<Request, list_participants>;
  const auto needed = is_owners ? access::owns : is_reading ? access::reads : access::writes;
  auto problem = why_not_now(needed, request.as_user);
  if (problem && problem->code == error_code::session_expired && is_served_expired(request))
    problem.reset();
  if (problem)
    return reply(answer, result<typename Request::reply>(*problem));
  serve(answer, request, asker);
}

/// Why a request cannot be served at this moment, whatever it was when it came.
std::optional<error> session::why_not_now(access needed, const std::optional<std::string>& as_user) const {
  if (phase_ != phase::awake)
    return phase_ == phase::failed ? *failure_ : no_such_session;
  if (auto problem = why_not(needed, as_user))
    return problem;
  if (is_closing_ && needed != access::reads)
    return shutting_down;
  if (is_overdue())
    return error{error_code::session_expired, "the session has expired"};
  return std::nullopt;
}

/// Who may not even see a session learns nothing of it.
std::optional<error> session::why_not(access needed, const std::optional<std::string>& as_user) const {
  if (!as_user || *as_user == known_->record.user_id)
    return std::nullopt;
  const auto found = std::find_if(known_->participants.begin(), known_->participants.end(),
                                  [&](const auto& each) { return each.user_id == *as_user; });
  if (found == known_->participants.end())
    return no_such_session;
  if (needed == access::owns)
    return error{error_code::forbidden, "only the session's owner may do this"};
  if (needed == access::writes && found->role == participant_role::reader)
    return error{error_code::forbidden, "the session is shared for reading only"};
  return std::nullopt;
}

// --- ending ----------------------------------------------------------------------------------------------------------

void session::take(write_refused& refusal) {
  send(writer_, forget_refusal{id()});
  if (phase_ != phase::making)
    return fail(refusal.why);
  doing().undurable.clear(); // nobody knows of the session, so there is nothing to be kept
  doing().undurable_bytes = 0;
  finish(refusal.why);
}

void session::take(session_disowned&) {
  fail(disowned);
  if (doing_) {
    if (!doing_->undurable.empty())
      log_about(spdlog::level::warn, subject(),
                "{} writes were accepted and are lost to this process, which does not own the session any more",
                doing_->undurable.size());
    doing_->undurable.clear();
    doing_->undurable_bytes = 0;
  }
  send(environment_->owner, session_finished{key_});
}

void session::finish(error why) {
  fail(std::move(why));
  send(environment_->owner, session_finished{key_});
}

void session::fail(error why) {
  if (phase_ == phase::failed)
    return;
  phase_ = phase::failed;
  failure_ = std::make_unique<error>(std::move(why));
  if (!doing_)
    return;
  if (doing_->making)
    std::exchange(doing_->making, std::nullopt)->answer.deliver(result<session_record>(*failure_));
  if (doing_->replaying)
    std::exchange(doing_->replaying, std::nullopt)->answer.deliver(result<replayed>(*failure_));
  doing_->counted.reset();
  answer_waiters(doing_->durable_waiters, last_number_, failure_.get());
  answer_waiters(doing_->journaled_waiters, last_number_, failure_.get());
  refuse_queue(*failure_);
  refuse_readers(*failure_);
  end_all_listening(*failure_);
  learns_keys_ = false;
  run_waiting();
}

/// What a line of the log is about: with the turn that runs, if one does.
log_subject session::subject() const {
  if (turn_runs())
    return subject_of(*known_->last_turn);
  return {key_};
}

bool session::is_busy() const {
  if (phase_ == phase::waking || phase_ == phase::making || phase_ == phase::erasing)
    return true;
  if (phase_ == phase::awake && turn_runs())
    return true;
  return doing_ &&
         (!doing_->undurable.empty() || !doing_->durable_waiters.empty() || !doing_->journaled_waiters.empty() ||
          !doing_->waiting.empty() || !doing_->turn_queue.empty() || doing_->granting || !doing_->readers.empty() ||
          !doing_->listeners.empty() || doing_->reads_under_way > 0 || doing_->others_under_way > 0);
}

void session::take(go_to_sleep&) {
  auto answer = make_response_promise<sleep_answer>();
  const bool stays = is_busy(); // also for what the database refused, which is kept
  reply(answer, sleep_answer{!stays});
  if (stays)
    return;
  log_about(spdlog::level::debug, subject(), "asleep");
  quit();
}

// --- time passes -----------------------------------------------------------------------------------------------------

void session::schedule_tick(time_point due) {
  if (due >= ticks_at_)
    return;
  ticks_at_ = due;
  const auto now = clock().now();
  delayed_send(this, due > now ? due - now : time_point::duration{0}, session_call{session_tick{}});
}

void session::take(session_tick&) {
  const auto now = clock().now();
  if (now < ticks_at_)
    return; // an earlier one was due meanwhile, or a later one
  ticks_at_ = time_point::max();
  if (doing_ && doing_->making && doing_->making->deadline <= now) {
    // The row may still be made; the id is known to nobody, so it harms nothing and expires.
    std::exchange(doing_->making, std::nullopt)
        ->answer.deliver(result<session_record>(
            error{error_code::deadline_exceeded, "the session was not durable within the time allowed", 1000ms}));
  }
  if (doing_) {
    expire_waiters(doing_->durable_waiters, now);
    expire_waiters(doing_->journaled_waiters, now);
    answer_readers();
    forget_durable_deletions();
  }
  if (phase_ == phase::awake)
    check_turns(now);
  if (is_busy())
    schedule_tick(next_due(now));
  else
    fold();
}

/// When something's time is up; at the latest after tick_max.
session::time_point session::next_due(time_point now) const {
  auto due = next_look(now);
  if (turn_runs() && known_->last_turn->lease_expires_at)
    due = std::min(due, now + std::max<std::chrono::microseconds>(
                                  *known_->last_turn->lease_expires_at - environment_->now(), 0us));
  if (!doing_)
    return due;
  const auto consider = [&due](const auto& all) {
    for (const auto& each : all)
      due = std::min(due, each.deadline);
  };
  if (doing_->making)
    due = std::min(due, doing_->making->deadline);
  consider(doing_->durable_waiters);
  consider(doing_->journaled_waiters);
  consider(doing_->turn_queue);
  consider(doing_->readers);
  return due;
}

void session::monitor_once(const caf::actor_addr& who) {
  demonitor(who); // there is one monitor for all that is awaited of it
  monitor(who);
}

void session::on_down(const caf::down_msg& down) {
  unfold();
  if (!doing_)
    return;
  const auto is_gone = [&](const caf::actor_addr& asker) { return asker == down.source; };
  std::erase_if(doing_->turn_queue, [&](waiting_turn& waiting) { return !keep_askers(waiting, is_gone); });
  if (doing_->granting && !keep_askers(doing_->granting->whose, is_gone))
    let_go(*doing_->granting);
  if (doing_->holder && doing_->holder == down.source && turn_runs())
    end_running(turn_status::lost);
  forget_listeners_of(down.source);
}

// Every request that callers make comes by here.
template void session::take(get_session&);
template void session::take(update_session&);
template void session::take(erase_session&);
template void session::take(fork_session&);
template void session::take(set_participant&);
template void session::take(list_participants&);
template void session::take(append_events&);
template void session::take(read_events&);
template void session::take(delete_events&);
template void session::take(read_history&);
template void session::take(start_turn&);
template void session::take(renew_turn&);
template void session::take(end_turn&);
template void session::take(post_delta&);
template void session::take(list_turns&);
template void session::take(subscribe_events&);

} // namespace colloquy::actors
