// Erasures: their steps in turn, those who wait for them, and what somebody else has begun.
#include "actors/sweeper.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {

using namespace std::chrono_literals;

sweeper::promise sweeper::add_erasure(const run_erasure& wanted) {
  auto answer = make_response_promise<result<erased>>();
  const auto found = erasures_.find(wanted.session);
  if (waiters_ >= options_.erasures_max || (found == erasures_.end() && erasures_.size() >= options_.erasures_max)) {
    answer.deliver(result<erased>(error{error_code::overloaded,
                                        "too many sessions are being erased; this one is too, when there is room",
                                        std::chrono::milliseconds{1000}}));
    return answer;
  }
  auto& each = found == erasures_.end() ? begin_erasure(wanted.session) : found->second;
  each.waiters.push_back({answer, wanted.deadline.value_or(clock().now() + options_.request_timeout)});
  ++waiters_;
  if (each.state == erasure_state::delayed)
    make_ready(wanted.session, each); // a new asker is a new reason to try
  run_steps();
  return answer;
}

sweeper::erasure& sweeper::begin_erasure(const session_key& session) {
  auto& each = erasures_[session];
  each.number = ++erasures_begun_;
  make_ready(session, each);
  return each;
}

void sweeper::make_ready(const session_key& session, erasure& each) {
  each.state = erasure_state::ready;
  ready_.push_back(session);
}

void sweeper::run_steps() {
  while (steps_ < options_.erasure_steps_max && !ready_.empty()) {
    const auto session = std::move(ready_.front());
    ready_.pop_front();
    step(session, erasures_.at(session));
  }
}

void sweeper::step(const session_key& session, erasure& each) {
  each.state = erasure_state::stepping;
  ++steps_;
  run(work_.erase_step(session), "erase_step", session.tenant.text(),
      [this, session, number = each.number](const db::unit_outcome& outcome) {
        --steps_;
        on_step(session, number, outcome);
        run_steps();
      });
}

void sweeper::on_step(const session_key& session, std::uint64_t number, const db::unit_outcome& outcome) {
  const auto at = erasures_.find(session);
  if (at == erasures_.end() || at->second.number != number)
    return; // dropped meanwhile
  auto& each = at->second;
  const auto progress = work_.decode_erasure(outcome);
  if (!progress && progress.failure().code != error_code::not_found) {
    each.may_have_begun |= outcome.failure && outcome.failure->kind == db::failure_kind::connection_lost;
    return on_step_failed(each, progress.failure());
  }
  note("erase_step", nullptr);
  each.delay = 0ms;
  if (progress) {
    each.may_have_begun = true;
    each.so_far = progress->so_far;
    if (!progress->is_done)
      return make_ready(session, each); // behind the others
  }
  if (each.may_have_begun) // it was done by the step whose answer was lost, or by another process
    each.so_far.sessions = std::max<std::int64_t>(each.so_far.sessions, 1);
  answer(each, each.may_have_begun ? result<erased>(each.so_far) : result<erased>(progress.failure()));
  erasures_.erase(at);
}

void sweeper::on_step_failed(erasure& each, const error& why) {
  note("erase_step", &why);
  if (may_pass(why)) {
    each.delay = std::clamp(each.delay * 2, options_.erasure_delay_first, options_.erasure_delay_max);
  } else {
    each.delay = options_.erasure_delay_max;
    answer(each, error{error_code::internal, why.message});
  }
  each.state = erasure_state::delayed;
  each.due = clock().now() + each.delay;
}

void sweeper::answer(erasure& each, const result<erased>& what) {
  for (auto& waiter : std::exchange(each.waiters, {})) {
    waiter.answer.deliver(what);
    --waiters_;
  }
}

void sweeper::expire_waiters(time_point now) {
  if (waiters_ == 0)
    return;
  for (auto& [session, each] : erasures_) {
    const auto late = std::stable_partition(each.waiters.begin(), each.waiters.end(),
                                            [&](const auto& waiter) { return waiter.deadline > now; });
    for (auto at = late; at != each.waiters.end(); ++at) {
      at->answer.deliver(result<erased>(error{error_code::deadline_exceeded,
                                              "the session is hidden, and is being erased for longer than the time "
                                              "allowed; that goes on"}));
      --waiters_;
    }
    each.waiters.erase(late, each.waiters.end());
  }
}

void sweeper::read_begun() {
  if (erasures_.size() >= options_.erasures_max || std::exchange(reading_begun_, true))
    return;
  const auto limit = longer_by(begun_left_);
  ask<std::vector<session_key>>(work_.read_erasures(limit), "read_erasures", work_.decode_erasures,
                                [this, limit](result<std::vector<session_key>>& keys) {
                                  reading_begun_ = false;
                                  if (keys)
                                    on_begun({limit, keys->size()}, *keys);
                                });
}

void sweeper::on_begun(page of, const std::vector<session_key>& keys) {
  for (const auto& session : keys)
    if (owned_.test(work_.shard_of(session.id)) && erasures_.size() < options_.erasures_max &&
        !erasures_.contains(session))
      begin_erasure(session);
  begun_left_ = of.is_full() ? of.found : 0; // all of them are in hand now, or another process'
  run_steps();
}

void sweeper::drop_foreign() {
  const auto is_foreign = [this](const auto& each) {
    return each.second.waiters.empty() && !owned_.test(work_.shard_of(each.first.id));
  };
  if (std::erase_if(erasures_, is_foreign) > 0)
    std::erase_if(ready_, [this](const auto& session) { return !erasures_.contains(session); });
}

} // namespace colloquy::actors
