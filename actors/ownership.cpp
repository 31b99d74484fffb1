#include "actors/ownership.hpp"

#include "db/session_queries.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto end_again_after = 250ms;

std::optional<std::chrono::milliseconds> since(const std::optional<pool_time>& then, pool_time now) {
  if (!then)
    return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - *then);
}

} // namespace

ownership::ownership(caf::actor_config& config, supervisor_actor supervisor, ownership_listener listener,
                     ownership_options options, ownership_work work)
  : ownership_internal::base(config)
  , supervisor_(std::move(supervisor))
  , listener_(std::move(listener))
  , options_(std::move(options))
  , work_(std::move(work)) {}

ownership::behavior_type ownership::make_behavior() {
  delayed_send(this, options_.interval, ownership_tick{});
  enter();
  return {[this](const writer_fenced& fenced) {
            if (is_registered_ && fenced.process == process_)
              renew();
          },
          [this](get_ownership_status) { return result<ownership_status>(status()); },
          [this](const give_up& wanted) { return add_give_up(wanted); }, [this](ownership_tick) { on_tick(); },
          [this](giving_up_tick) { go_on_giving_up(); }};
}

void ownership::on_exit() {
  for (auto& each : std::exchange(give_ups_, {}))
    each.answer.deliver(result<given_up>(error{error_code::internal, "what keeps the shards of this process ended"}));
  supervisor_ = nullptr;
  listener_ = nullptr;
}

// --- asking ----------------------------------------------------------------------------------------------------------

void ownership::run(db::unit work, const purpose& what, std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(work)};
  unit.purpose = what.name;
  unit.deadline = clock().now() + what.timeout;
  unit.idempotent = what.idempotent;
  request(supervisor_, what.timeout + pool_answer_margin, std::move(unit)).then(then, [then](const caf::error&) {
    then({{}, db::db_failure{db::failure_kind::connection_lost, "", "the pool does not answer"}});
  });
}

ownership::asked ownership::remember() {
  return {process_, clock().now(), taking_};
}

bool ownership::is_current(const asked& when) const {
  return when.process == process_ && !giving_up_;
}

void ownership::on_tick() {
  if (giving_up_)
    return;
  delayed_send(this, options_.interval, ownership_tick{});
  if (is_registered_)
    renew();
  else
    enter();
}

// --- registering and renewing ----------------------------------------------------------------------------------------

void ownership::enter() {
  if (std::exchange(entering_, true))
    return;
  run(work_.enter(process_, options_.place), {"register_process", options_.request_timeout, false},
      [this, when = remember()](const db::unit_outcome& outcome) {
        entering_ = false;
        if (is_current(when))
          on_entered(when, outcome);
      });
}

void ownership::on_entered(const asked& when, const db::unit_outcome& outcome) {
  if (outcome.failure) {
    process_ = process_id::make();
    return failed(when, db::to_error(*outcome.failure));
  }
  spdlog::info("this process is {} to the database", process_.to_string());
  is_registered_ = true;
  succeeded(when);
  take();
}

void ownership::renew() {
  if (giving_up_)
    return;
  if (std::exchange(renewing_, true)) {
    look_again_ = true;
    return;
  }
  run(work_.renew(process_), {"renew_process", options_.renewal_timeout, true},
      [this, when = remember()](const db::unit_outcome& outcome) {
        renewing_ = false;
        if (is_current(when))
          on_renewed(when, outcome);
        if (std::exchange(look_again_, false) && is_registered_)
          renew();
      });
}

void ownership::on_renewed(const asked& when, const db::unit_outcome& outcome) {
  const auto renewal = work_.decode_renewal(outcome);
  if (!renewal)
    return failed(when, renewal.failure());
  if (!*renewal)
    return lose();
  succeeded(when);
  adopt(when, **renewal);
  take();
}

void ownership::adopt(const asked& when, const db::shard_set& owned) {
  // Beside a taking nobody knows which of the two came first. (None has begun meanwhile: they do behind renewals.)
  // Otherwise this is how a taking shows whose answer was lost.
  if (!when.was_taking && (owned != owned_ || !is_announced_))
    announce(owned, {});
}

void ownership::lose() {
  spdlog::warn("another process has taken over from {}, which owned {} shards", process_.to_string(), owned_.count());
  send(listener_, ownership_lost{process_});
  process_ = process_id::make();
  is_registered_ = is_announced_ = look_again_ = false;
  owned_.reset();
  enter();
}

// --- taking ----------------------------------------------------------------------------------------------------------

void ownership::take() {
  if (taking_ || owned_.all())
    return;
  taking_ = true;
  run(work_.read_others(process_), {"read_processes", options_.request_timeout, true},
      [this, when = remember()](const db::unit_outcome& outcome) { on_others(when, outcome); });
}

void ownership::on_others(const asked& when, const db::unit_outcome& outcome) {
  const auto others = work_.decode_others(outcome);
  if (!others)
    return end_taking(when, others.failure().message);
  if (!is_current(when))
    return end_taking(when, "");
  std::vector<process_id> dead;
  for (const auto& other : *others)
    if (other.process != process_ && (other.process == options_.former || options_.has_ended(other.place)))
      dead.push_back(other.process);
  // Not again by itself: the second answer would not tell what the first one took.
  run(work_.take(process_, dead), {"take_shards", options_.request_timeout, false},
      [this, when](const db::unit_outcome& taken) { on_taken(when, taken); });
}

void ownership::on_taken(const asked& when, const db::unit_outcome& outcome) {
  auto taken = work_.decode_taken(outcome);
  if (!taken)
    return end_taking(when, taken.failure().message);
  if (is_current(when) && (taken->taken.any() || !is_announced_))
    announce(owned_ | taken->taken, std::move(taken->previous));
  end_taking(when, "");
}

void ownership::end_taking(const asked& when, std::string problem) {
  taking_ = false;
  if (!is_current(when)) {
    if (is_registered_ && !giving_up_)
      take(); // which had to wait for this one
    return;
  }
  if (!problem.empty() && taking_problem_.empty())
    spdlog::warn("free shards cannot be taken: {}", problem);
  taking_problem_ = std::move(problem);
}

void ownership::announce(const db::shard_set& owned, std::vector<std::optional<process_id>> previous) {
  shards_owned told{process_, owned, owned & ~owned_, std::move(previous)};
  spdlog::info("this process owns {} shards, {} of them new", owned.count(), told.newly.count());
  owned_ = owned;
  is_announced_ = true;
  send(listener_, std::move(told));
}

// --- how it goes -----------------------------------------------------------------------------------------------------

void ownership::succeeded(const asked& when) {
  last_renewal_ = when.at;
  if (failing_since_)
    spdlog::info("the database keeps the shards of this process again");
  failing_since_.reset();
  problem_.clear();
}

void ownership::failed(const asked& when, const error& why) {
  problem_ = why.message;
  if (failing_since_)
    return; // told once
  failing_since_ = when.at;
  spdlog::warn("the shards of this process are not renewed, which is tried again every {} ms: {}",
               options_.interval.count(), why.message);
}

ownership_status ownership::status() {
  const auto now = clock().now();
  ownership_status out;
  out.process = process_;
  out.is_registered = is_registered_;
  out.shards_owned = owned_.count();
  out.renewed_ago = since(last_renewal_, now);
  out.failing_for = since(failing_since_, now);
  out.problem = problem_.empty() ? taking_problem_ : problem_;
  return out;
}

// --- giving up -------------------------------------------------------------------------------------------------------

// What is under way is not waited for: whatever an ended process still takes is free.

ownership::promise ownership::add_give_up(const give_up& wanted) {
  auto answer = make_response_promise<result<given_up>>();
  if (is_over_) {
    answer.deliver(result<given_up>(given_up{}));
  } else if (give_ups_.size() >= options_.give_ups_max) {
    answer.deliver(
        result<given_up>(error{error_code::overloaded, "too many wait until the shards are given up", 1000ms}));
  } else {
    const auto now = clock().now();
    const auto deadline = wanted.deadline.value_or(now + options_.request_timeout);
    give_ups_.push_back({answer, deadline});
    if (deadline > now)
      delayed_send(this, deadline - now, giving_up_tick{});
    giving_up_ = true;
    go_on_giving_up();
  }
  return answer;
}

void ownership::go_on_giving_up() {
  try_to_end();
  const auto now = clock().now();
  const auto late =
      std::stable_partition(give_ups_.begin(), give_ups_.end(), [&](const auto& each) { return each.deadline > now; });
  for (auto at = late; at != give_ups_.end(); ++at)
    at->answer.deliver(
        result<given_up>(error{error_code::deadline_exceeded, "the shards were not given up within the time allowed" +
                                                                  (problem_.empty() ? problem_ : ": " + problem_)}));
  give_ups_.erase(late, give_ups_.end());
}

void ownership::try_to_end() {
  if (is_over_ || ending_)
    return;
  if (!is_registered_)
    return finish();
  ending_ = true;
  run(work_.end(process_), {"end_process", options_.renewal_timeout, true},
      [this, when = remember()](const db::unit_outcome& outcome) {
        ending_ = false;
        if (!outcome.failure)
          return finish();
        failed(when, db::to_error(*outcome.failure));
        delayed_send(this, end_again_after, giving_up_tick{});
      });
}

void ownership::finish() {
  is_over_ = true;
  is_registered_ = false;
  owned_.reset();
  failing_since_.reset();
  problem_.clear();
  for (auto& each : std::exchange(give_ups_, {}))
    each.answer.deliver(result<given_up>(given_up{}));
}

} // namespace colloquy::actors
