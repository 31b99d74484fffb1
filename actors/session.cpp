#include "actors/session.hpp"

#include "db/session_queries.hpp"
#include "messages/content.hpp"
#include "messages/text_checks.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

std::optional<error> check_name(const char* field, const std::optional<std::string>& value) {
  if (!value)
    return std::nullopt;
  if (!is_storable_text(*value))
    return error{error_code::invalid_request, std::string(field) + " must be valid UTF-8 without NUL"};
  const auto characters = count_characters(*value);
  if (characters < 1 || characters > limits::name_chars_max)
    return error{error_code::invalid_request, std::string(field) + " has " + std::to_string(characters) +
                                                  " characters; 1 to " + std::to_string(limits::name_chars_max) +
                                                  " are allowed"};
  return std::nullopt;
}

std::optional<error> check_creation(const create_session& request) {
  for (auto problem : {check_name("user_id", request.user_id), check_name("agent_id", request.agent_id),
                       check_name("external_id", request.external_id)})
    if (problem)
      return problem;
  if (request.title &&
      (!is_storable_text(*request.title) || count_characters(*request.title) > limits::title_chars_max))
    return error{error_code::invalid_request, "title must be valid UTF-8 without NUL, at most " +
                                                  std::to_string(limits::title_chars_max) + " characters"};
  if (request.metadata.size() > limits::metadata_bytes_max)
    return error{error_code::payload_too_large, "metadata has " + std::to_string(request.metadata.size()) +
                                                    " bytes; at most " + std::to_string(limits::metadata_bytes_max) +
                                                    " are allowed"};
  if (auto checked = check_json(request.metadata); !checked)
    return error{error_code::invalid_request, "metadata: " + checked.failure().message};
  if (auto members = split_object(request.metadata); !members)
    return error{error_code::invalid_request, "metadata must be a JSON object"};
  if (request.expires_in && (*request.expires_in < 1s || *request.expires_in > std::chrono::years{10}))
    return error{error_code::invalid_request, "expires_in must be 1 second to 10 years, or none for never"};
  return std::nullopt;
}

} // namespace

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
          [this](const write_refused& refusal) {
            send(writer_, forget_refusal{key_.id});
            fail(refusal.why);
          },
          [this](create_session& request) { return make(request); },
          [this](get_session& request) { return handle<session_record>(request, &session::do_get); },
          [this](append_events& request) { return handle<appended>(request, &session::do_append); },
          [this](start_turn& request) { return handle<turn_record>(request, &session::do_begin_turn); },
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
  record_.key = key_;
  record_.log = log_id{key_.id.bytes}; // a session's own log; forks will have others
  record_.user_id = std::move(request.user_id);
  record_.agent_id = std::move(request.agent_id);
  record_.external_id = std::move(request.external_id);
  record_.title = std::move(request.title);
  record_.metadata = std::move(request.metadata);
  record_.created_at = record_.updated_at = environment_->now();
  if (request.expires_in)
    record_.expires_at = record_.created_at + *request.expires_in;

  auto write = new_write(nullptr);
  write->row = std::make_shared<const session_record>(record_);
  making_ = creation{answer, clock().now() + environment_->request_timeout};
  send_write(std::move(write));
  schedule_tick();
  return answer;
}

void session::wake() {
  request(environment_->supervisor, environment_->request_timeout, run_unit{db::read_session(key_)})
      .then(
          [this](const db::unit_outcome& outcome) { on_stored(outcome); },
          [this](const caf::error&) {
            finish({error_code::database_unavailable, "the session could not be read within the time allowed", 1000ms});
          });
}

void session::on_stored(const db::unit_outcome& outcome) {
  auto stored = db::decode_session(key_, outcome);
  if (!stored) {
    finish(stored.failure()); // a later request may find it
    return;
  }
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
  if (!making_)
    return;
  undurable_.clear();
  if (!outcome.certain) // the batch committed, but whether with our row the lost answer would have said
    return wake();
  finish({error_code::conflict, "external_id \"" + record_.external_id.value_or("") + "\" is taken"});
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
