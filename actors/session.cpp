// From waking to sleeping. See session.hpp for the rules.
#include "actors/session.hpp"

#include "actors/session_checks.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// What was under way is forgotten when nothing has been for this long; deadlines are looked at as often at most.
constexpr auto tick_max = 1000ms;

const error no_such_session{error_code::not_found, "no such session"};
const error disowned{error_code::not_owner, "another process owns this session", 1000ms};

} // namespace

session::session(caf::actor_config& config, session_key key, origin from, writer_actor writer,
                 std::shared_ptr<const session_environment> environment)
  : session_actor::base(config)
  , key_(std::move(key))
  , writer_(std::move(writer))
  , environment_(std::move(environment))
  , phase_(from == origin::stored ? phase::waking : phase::making) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
}

session::behavior_type session::make_behavior() {
  if (phase_ == phase::waking)
    wake();
  return {[this](session_call& call) { std::visit([this](auto& what) { take(what); }, call.what); }};
}

void session::on_exit() {
  fail({error_code::internal, "the session's actor ended; ask again", 100ms});
  if (environment_->owner)
    send(environment_->owner, session_ended{key_, id()});
  environment_->tails->forget(known_.record.log);
  doing_.reset();
  writer_ = nullptr;
  environment_ = nullptr;
}

session_activity& session::doing() {
  if (!doing_) {
    doing_ = std::make_unique<session_activity>();
    schedule_tick(clock().now() + tick_max);
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
  if (phase_ == phase::failed || phase_ == phase::erasing)
    return reply(answer, result<typename Request::reply>(phase_ == phase::failed ? *failure_ : no_such_session));
  constexpr bool is_owners = std::is_same_v<Request, update_session> || std::is_same_v<Request, erase_session> ||
                             std::is_same_v<Request, fork_session> || std::is_same_v<Request, set_participant>;
  constexpr bool is_reading = std::is_same_v<Request, get_session> || std::is_same_v<Request, read_events> ||
                              std::is_same_v<Request, read_history> || std::is_same_v<Request, list_turns> ||
                              std::is_same_v<Request, subscribe_events>;
  const auto needed = is_owners ? access::owns : is_reading ? access::reads : access::writes;
  auto problem = why_not(needed, request.as_user);
  if (!problem && is_overdue() && !std::is_same_v<Request, erase_session>)
    problem = error{error_code::session_expired, "the session has expired"};
  if (problem)
    return reply(answer, result<typename Request::reply>(*problem));
  serve(answer, request, asker);
}

/// Who may not even see a session learns nothing of it.
std::optional<error> session::why_not(access needed, const std::optional<std::string>& as_user) const {
  if (!as_user || *as_user == known_.record.user_id)
    return std::nullopt;
  const auto found = std::find_if(known_.participants.begin(), known_.participants.end(),
                                  [&](const auto& each) { return each.user_id == *as_user; });
  if (found == known_.participants.end())
    return no_such_session;
  if (needed == access::owns)
    return error{error_code::forbidden, "only the session's owner may do this"};
  if (needed == access::writes && found->role == participant_role::reader)
    return error{error_code::forbidden, "the session is shared for reading only"};
  return std::nullopt;
}

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
  make(std::move(request.wanted), request.parent, std::move(request.key), limits::event_overhead_bytes,
       std::move(answer));
}

void session::make(session_record wanted, std::optional<db::log_parent> parent, std::optional<db::remembered_key> key,
                   std::size_t bytes, promise_of<create_session> answer) {
  if (phase_ != phase::making || last_number_ > 0)
    return reply(answer, result<session_record>(error{error_code::internal, "the session is made already"}));
  auto reservation = byte_reservation::take(environment_->budget, bytes);
  if (!reservation) {
    const error full{error_code::overloaded, "too much is accepted and not yet durable", 20ms};
    reply(answer, result<session_record>(full));
    return finish(full);
  }
  auto& record = known_.record = std::move(wanted);
  record.key = key_;
  record.log = log_id{key_.id.bytes};
  record.created_at = record.updated_at = environment_->now();
  if (record.expires_in)
    record.expires_at = record.created_at + *record.expires_in;
  if (parent) {
    record.fork_offset = parent->offset;
    record.durable_offset = parent->offset;
    record.next_offset = parent->offset + 1;
    known_.messages = parent->messages;
  }
  known_.knows_all_keys = true;

  auto write = std::make_shared<db::session_write>();
  write->session = key_;
  write->log = record.log;
  write->number = ++last_number_;
  write->row = std::make_shared<const session_record>(record);
  write->parent = parent;
  write->key = std::move(key);
  write->bytes = bytes;
  write->keeps = std::move(reservation);
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
  return {error_code::conflict, "external_id \"" + known_.record.external_id.value_or("") + "\" is taken"};
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
  if (!stored && stored.failure().code == error_code::not_found && remake()) {
    replay_waiting();
    return close_lost_turn(false);
  }
  if (!stored)
    return finish(stored.failure()); // a later request may find it
  known_.record = std::move(stored->record);
  known_.messages = stored->messages;
  known_.last_turn = std::move(stored->last_turn);
  known_.participants = std::move(stored->participants);
  const bool lease_goes_on =
      turn_runs() && (stored->granter_ended_cleanly || known_.last_turn->granted_by == environment_->process);
  replay_waiting();
  close_lost_turn(lease_goes_on);
}

void session::close_lost_turn(bool lease_goes_on) {
  wake_up();
  if (turn_runs() && !lease_goes_on)
    end_running(turn_status::lost);
}

void session::wake_up() {
  phase_ = phase::awake;
  if (doing_ && doing_->making)
    std::exchange(doing_->making, std::nullopt)->answer.deliver(result<session_record>(known_.record));
  if (turn_runs() && known_.last_turn->lease_expires_at)
    schedule_tick(clock().now() + tick_max);
  run_waiting();
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
      spdlog::warn("session {} of tenant {}: {} writes were accepted and are lost to this process, which does not own "
                   "it any more",
                   key_.id.to_string(), key_.tenant.text(), doing_->undurable.size());
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
  answer_waiters(doing_->durable_waiters, last_number_, failure_.get());
  answer_waiters(doing_->journaled_waiters, last_number_, failure_.get());
  if (auto granting = std::exchange(doing_->granting, std::nullopt))
    doing_->turn_queue.push_front(std::move(granting->whose));
  refuse_queue(*failure_);
  for (auto& reader : std::exchange(doing_->readers, {}))
    reply(reader.answer, result<event_page>(*failure_));
  end_all_listening(*failure_);
  learns_keys_ = false;
  run_waiting();
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
  if (!stays)
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
    answer_readers(now);
  }
  if (phase_ == phase::awake)
    check_turns(now);
  if (is_busy())
    schedule_tick(now + std::min<std::chrono::milliseconds>(tick_max, 250ms));
  else
    doing_.reset();
}

void session::monitor_once(const caf::actor_addr& who) {
  demonitor(who); // there is one monitor for all that is awaited of it
  monitor(who);
}

void session::on_down(const caf::down_msg& down) {
  if (!doing_)
    return;
  auto& queue = doing_->turn_queue;
  std::erase_if(queue, [&](const waiting_turn& waiting) { return waiting.asker == down.source; });
  if (doing_->granting && doing_->granting->whose.asker == down.source)
    doing_->granting->whose.deadline = time_point::min(); // let go when its history has come
  if (doing_->holder && doing_->holder == down.source && turn_runs())
    end_running(turn_status::lost);
  for (auto at = doing_->listeners.begin(); at != doing_->listeners.end();)
    at = at->second.subscriber.address() == down.source ? doing_->listeners.erase(at) : std::next(at);
}

// Every request that callers make comes by here.
template void session::take(get_session&);
template void session::take(update_session&);
template void session::take(erase_session&);
template void session::take(fork_session&);
template void session::take(set_participant&);
template void session::take(append_events&);
template void session::take(read_events&);
template void session::take(read_history&);
template void session::take(start_turn&);
template void session::take(renew_turn&);
template void session::take(end_turn&);
template void session::take(post_delta&);
template void session::take(list_turns&);
template void session::take(subscribe_events&);

} // namespace colloquy::actors
