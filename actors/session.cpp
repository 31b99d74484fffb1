#include "actors/session.hpp"

#include "actors/session_checks.hpp"
#include "db/session_queries.hpp"

#include <utility>

namespace colloquy::actors {

using namespace std::chrono_literals;

session::session(caf::actor_config& config, session_key key, origin from, writer_actor writer,
                 std::shared_ptr<const session_environment> environment)
  : session_internal::base(config)
  , key_(std::move(key))
  , writer_(std::move(writer))
  , environment_(std::move(environment))
  , phase_(from == origin::stored ? phase::waking : phase::making) {}

session::behavior_type session::make_behavior() {
  if (phase_ == phase::waking)
    wake();
  return {[this](const written& news) { on_written(news); },
          [this](const creation_outcome& outcome) { on_creation(outcome); },
          [this](const write_refused& refusal) { on_refused(refusal); },
          [this](create_session& request) { return make(request); },
          [this](get_session& request) { return handle<session_record>(request, &session::do_get); },
          [this](append_events& request) { return handle<appended>(request, &session::do_append); },
          [this](start_turn& request) { return handle<granted_turn>(request, &session::do_begin_turn); },
          [this](end_turn& request) { return handle<turn_record>(request, &session::do_finish_turn); },
          [this](go_to_sleep) { return sleep(); },
          [this](const resend_undurable& request) { return resend(request); },
          [this](session_tick) { on_tick(); }};
}

void session::on_exit() {
  fail({error_code::internal, "the session's actor ended; ask again"});
  writer_ = nullptr;
  environment_ = nullptr;
}

void session::do_get(record_promise& answer, get_session&) {
  answer.deliver(result<session_record>(record_));
}

session::record_promise session::make(create_session& request) {
  auto answer = make_response_promise<result<session_record>>();
  if (phase_ != phase::making || making_) {
    answer.deliver(result<session_record>(error{error_code::internal, "the session is made already"}));
    return answer;
  }
  if (auto problem = check_creation(request)) {
    answer.deliver(result<session_record>(*problem));
    finish(*problem);
    return answer;
  }
  const auto bytes = creation_bytes(request);
  auto reservation = byte_reservation::take(environment_->budget, bytes);
  if (!reservation) {
    const error full{error_code::overloaded, "too much is accepted and not yet durable", 20ms};
    answer.deliver(result<session_record>(full));
    finish(full);
    return answer;
  }
  record_.key = key_;
  record_.log = log_id{key_.id.bytes}; // a session's own log; forks will have others
  record_.user_id = std::move(request.user_id);
  record_.agent_id = std::move(request.agent_id);
  record_.external_id = std::move(request.external_id);
  if (request.title && !request.title->empty()) // an empty one is none
    record_.title = std::move(request.title);
  record_.metadata = std::move(request.metadata);
  record_.created_at = record_.updated_at = environment_->now();
  if (request.expires_in)
    record_.expires_at = record_.created_at + *request.expires_in;

  auto write = new_write(std::move(reservation));
  write->bytes = bytes;
  write->row = std::make_shared<const session_record>(record_);
  making_ = creation{answer, clock().now() + environment_->request_timeout};
  send_write(std::move(write));
  schedule_tick();
  return answer;
}

void session::wake() {
  run_unit query{db::read_session(key_)};
  query.tenant = key_.tenant.text();
  query.purpose = "read_session";
  query.deadline = clock().now() + environment_->request_timeout;
  query.idempotent = true;
  request(environment_->supervisor, environment_->request_timeout + pool_answer_margin, std::move(query))
      .then(
          [this](const db::unit_outcome& outcome) { on_stored(outcome); },
          [this](const caf::error&) {
            finish({error_code::database_unavailable, "the session could not be read within the time allowed", 1000ms});
          });
}

void session::on_stored(const db::unit_outcome& outcome) {
  auto stored = db::decode_session(key_, outcome);
  if (!stored && making_ && stored.failure().code == error_code::not_found)
    return finish(name_is_taken()); // the batch that had the row committed, so only this can have kept it out
  if (!stored)
    return finish(stored.failure()); // a later request may find it
  const bool was_making = making_.has_value();
  record_ = std::move(stored->record);
  last_turn_ = std::move(stored->last_turn);
  if (was_making)
    std::exchange(making_, std::nullopt)->answer.deliver(result<session_record>(record_));
  phase_ = phase::awake;
  if (last_turn_ && last_turn_->status == turn_status::running)
    close_lost_turn();
  run_waiting();
}

void session::on_creation(const creation_outcome& outcome) {
  if (phase_ != phase::making)
    return;
  undurable_.clear();
  undurable_bytes_ = 0;
  if (!outcome.certain) // the batch committed, but whether with our row the lost answer would have said
    return wake();
  finish(name_is_taken());
}

error session::name_is_taken() const {
  return {error_code::conflict, "external_id \"" + record_.external_id.value_or("") + "\" is taken"};
}

void session::on_refused(const write_refused& refusal) {
  send(writer_, forget_refusal{id()});
  if (phase_ != phase::making)
    return fail(refusal.why);
  undurable_.clear(); // nobody knows of the session, so there is nothing to be kept
  undurable_bytes_ = 0;
  finish(refusal.why);
}

void session::finish(error why) {
  fail(std::move(why));
  send(environment_->owner, session_finished{key_});
}

void session::fail(error why) {
  if (std::exchange(phase_, phase::failed) == phase::failed)
    return;
  failure_ = std::move(why);
  if (making_)
    std::exchange(making_, std::nullopt)->answer.deliver(result<session_record>(*failure_));
  for (auto& waiter : durable_waiters_)
    waiter.answer.deliver(result<appended>(*failure_));
  durable_waiters_.clear();
  run_waiting();
}

void session::run_waiting() {
  auto work = std::exchange(waiting_, {});
  for (auto& request : work)
    request();
}

void session::schedule_tick() {
  if (!std::exchange(tick_scheduled_, true))
    delayed_send(this, 250ms, session_tick{});
}

void session::on_tick() {
  tick_scheduled_ = false;
  const auto now = clock().now();
  if (making_ && making_->deadline <= now) {
    // The row may still be made; the id is known to nobody, so it harms nothing and expires.
    std::exchange(making_, std::nullopt)
        ->answer.deliver(result<session_record>(
            error{error_code::deadline_exceeded, "the session was not durable within the time allowed", 1000ms}));
  }
  std::erase_if(durable_waiters_, [now](durable_waiter& waiter) {
    if (waiter.deadline > now)
      return false;
    waiter.answer.deliver(result<appended>(error{
        error_code::deadline_exceeded, "not durable within the time allowed; the events stay accepted at offset " +
                                           std::to_string(waiter.reached.first_offset) + " and after"}));
    return true;
  });
  if (making_ || !durable_waiters_.empty())
    schedule_tick();
}

sleep_answer session::sleep() {
  const bool turn_runs = last_turn_ && last_turn_->status == turn_status::running;
  const bool settled = phase_ == phase::awake || phase_ == phase::failed;
  const bool busy = !settled || !undurable_.empty() || !durable_waiters_.empty() || turn_runs;
  if (!busy)
    quit();
  return {!busy};
}

} // namespace colloquy::actors
