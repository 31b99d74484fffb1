#include "bench/load_driver.hpp"

#include <utility>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto watch_interval = 1s;
constexpr auto retry_after_default = 2ms;

} // namespace

load_driver::load_driver(caf::actor_config& config, load_plan plan)
  : load_driver_internal::base(config)
  , plan_(std::move(plan)) {}

load_driver::behavior_type load_driver::make_behavior() {
  return {[this](begin_load) {
            answer_ = make_response_promise<load_outcome_ptr>();
            begin();
            return answer_;
          },
          [this](send_due) { send_all_due(); }, [this](load_watch) { watch(); },
          [this](load_retry retry) {
            --in_flight_;
            ready_.push_front(retry.session);
            fill();
          }};
}

void load_driver::on_exit() {
  plan_.directory = nullptr;
}

void load_driver::begin() {
  started_ = progress_seen_ = steady::now();
  delayed_send(this, watch_interval, load_watch{});
  if (plan_.interval) {
    messages_ = plan_.part->messages();
    return finish_if_done();
  }
  next_.resize(plan_.part->sessions());
  for (auto session = plan_.driver; session < next_.size(); session += plan_.drivers) {
    next_[session] = plan_.part->first(session);
    messages_ += plan_.part->count(session);
    if (plan_.part->count(session) > 0)
      ready_.push_back(session);
  }
  fill();
  finish_if_done();
}

void load_driver::watch() {
  const auto now = steady::now();
  if (std::exchange(accepted_seen_, outcome_->accepted) != outcome_->accepted)
    progress_seen_ = now;
  if (now - progress_seen_ > plan_.request_timeout)
    return fail("no append was answered for " + std::to_string(plan_.request_timeout.count()) + " ms");
  delayed_send(this, watch_interval, load_watch{});
}

void load_driver::fill() {
  while (in_flight_ < plan_.concurrency && !ready_.empty() && !outcome_->failure) {
    const auto session = ready_.front();
    ready_.pop_front();
    ++in_flight_;
    send({session, next_[session]}, {});
  }
}

void load_driver::send_all_due() {
  if (!answer_.pending() || outcome_->failure)
    return;
  const auto now = steady::now();
  for (; sent_ < messages_ && !outcome_->failure; ++sent_) {
    const auto due = started_ + *plan_.interval * static_cast<std::int64_t>(sent_);
    if (due > now)
      return;
    outcome_->lateness.record(steady::now() - due);
    send(plan_.part->at(sent_), due);
  }
}

void load_driver::send(slice::place at, steady::time_point due) {
  append_events message;
  message.session = plan_.work->sessions()[at.session].key;
  message.events.push_back(plan_.work->message(at));
  message.wanted = plan_.wanted;
  message.reservation = byte_reservation::take(plan_.budget, message.events.front().cost_bytes());
  if (!message.reservation)
    return send_again_later(at.session, {error_code::overloaded, "too much is accepted and not yet durable"});
  const auto timeout = plan_.request_timeouts ? caf::duration(plan_.request_timeout) : caf::duration(caf::infinite);
  request(plan_.directory, timeout, std::move(message))
      .then([this, at, due](const result<appended>& given) { on_answer(at, due, given); },
            [this](const caf::error&) { fail("an append was not answered"); });
}

void load_driver::on_answer(slice::place at, steady::time_point due, const result<appended>& given) {
  if (!given && given.failure().code == error_code::overloaded)
    return send_again_later(at.session, given.failure());
  if (!given)
    return fail("an append was refused: " + given.failure().message);
  if (given->first_offset != at.offset)
    return fail("a message got offset " + std::to_string(given->first_offset) + " instead of " +
                std::to_string(at.offset));
  ++outcome_->accepted;
  if (plan_.interval) {
    outcome_->latency.record(steady::now() - due);
  } else {
    --in_flight_;
    const auto end = plan_.part->first(at.session) + static_cast<event_offset>(plan_.part->count(at.session));
    if (++next_[at.session] < end)
      ready_.push_back(at.session);
    fill();
  }
  finish_if_done();
}

void load_driver::send_again_later(std::size_t session, const error& why) {
  if (plan_.interval)
    return fail("the service is overloaded at the rate of the open loop: " + why.message);
  ++outcome_->retried;
  delayed_send(this, why.retry_after.value_or(retry_after_default), load_retry{session});
}

void load_driver::fail(std::string why) {
  if (!outcome_->failure)
    outcome_->failure = std::move(why);
  finish_if_done();
}

void load_driver::finish_if_done() {
  if (!answer_.pending() || (!outcome_->failure && outcome_->accepted < messages_))
    return;
  answer_.deliver(load_outcome_ptr(outcome_));
  quit();
}

} // namespace colloquy::bench
