#include "bench/load/load_run.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace colloquy::load {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t buckets_wanted = 60;
constexpr auto bucket_min = 50ms;
constexpr auto retry_after_default = 5ms;
constexpr auto show_pause = 200ms;

/// The service says when to come again; every other failure ends the run, for then something was not done that should
/// have been.
bool is_refusal(const error& why) {
  return why.code == error_code::overloaded || why.code == error_code::quota_exceeded;
}

} // namespace

load_run::load_run(run_plan plan, load_workload& work, run_progress& progress, std::function<void()> begins,
                   std::function<void()> ends, std::function<void(std::optional<error>)> over)
  : plan_(plan)
  , work_(work)
  , progress_(progress)
  , begins_(std::move(begins))
  , ends_(std::move(ends))
  , over_(std::move(over)) {
  found_.offered = plan_.rate;
  for (auto& each : work_.parts())
    found_.parts.emplace_back(std::move(each), histogram());
  found_.bucket = std::max<std::chrono::milliseconds>(bucket_min, (plan_.warm_up + plan_.duration) /
                                                                      static_cast<std::int64_t>(buckets_wanted));
  found_.warm_up_buckets = static_cast<std::size_t>(plan_.warm_up / found_.bucket);
}

void load_run::start() {
  started_ = last_over_ = shown_at_ = steady::now();
  counted_from_ = started_ + plan_.warm_up;
  counted_until_ = counted_from_ + plan_.duration;
  tick();
}

void load_run::tick() {
  if (is_over_)
    return;
  const auto now = steady::now();
  if (!has_begun_counting_ && now >= counted_from_) {
    has_begun_counting_ = true;
    counting_since_ = now;
    begins_();
  }
  if (has_begun_counting_ && now >= counted_until_)
    stop_counting(now);
  if (under_way_ > 0 && now - last_over_ > plan_.silence_max && !failure_) {
    failure_ = error{error_code::deadline_exceeded,
                     "no operation has ended for " + std::to_string(plan_.silence_max.count()) + " ms"};
    stop_counting(now);
    under_way_ = 0; // nothing can be expected of them
  }
  if (now - shown_at_ > show_pause) {
    shown_at_ = now;
    progress_.p99_ns.store(found_.latency.percentile(0.99).count(), std::memory_order_relaxed);
  }
  if (plan_.rate)
    begin_due(now);
  else
    fill();
  end_if_done();
}

void load_run::stop(error why) {
  if (!failure_)
    failure_ = std::move(why);
  stop_counting(steady::now());
  end_if_done();
}

void load_run::fill() {
  if (is_filling_ || plan_.rate) // an operation may end before its beginning returns
    return;
  is_filling_ = true;
  while (!has_stopped_ && under_way_ < plan_.concurrency && !work_.is_exhausted() && steady::now() >= resume_at_)
    begin_one(steady::now());
  is_filling_ = false;
}

void load_run::begin_due(steady::time_point now) {
  const std::chrono::duration<double> interval(1 / *plan_.rate);
  while (!has_stopped_ && !work_.is_exhausted()) {
    const auto due = started_ + std::chrono::duration_cast<steady::duration>(interval * static_cast<double>(begun_));
    if (due > now)
      return;
    if (due >= counted_from_ && has_begun_counting_)
      found_.lateness.record(steady::now() - due);
    begin_one(due);
  }
}

void load_run::begin_one(steady::time_point due) {
  ++begun_;
  ++under_way_;
  work_.perform([this, due](const error* failure, std::size_t part) { on_over(due, failure, part); });
}

void load_run::on_over(steady::time_point due, const error* failure, std::size_t part) {
  const auto now = steady::now();
  last_over_ = now;
  if (under_way_ > 0)
    --under_way_;
  if (failure == nullptr) {
    count(part, due, now);
  } else if (is_refusal(*failure)) {
    ++found_.refused[std::string(to_string(failure->code))];
    resume_at_ = now + failure->retry_after.value_or(retry_after_default);
  } else if (!failure_) {
    failure_ = *failure;
    stop_counting(now);
  }
  fill();
  end_if_done();
}

void load_run::count(std::size_t part, steady::time_point due, steady::time_point now) {
  ++found_.operations_all;
  progress_.done.store(found_.operations_all, std::memory_order_relaxed);
  const auto bucket = static_cast<std::size_t>((now - started_) / found_.bucket);
  if (bucket >= found_.done_by_bucket.size() && !has_stopped_)
    found_.done_by_bucket.resize(bucket + 1);
  if (bucket < found_.done_by_bucket.size())
    ++found_.done_by_bucket[bucket];
  if (!has_begun_counting_)
    return;
  // In the open loop what was due in time counts, however late it came; in the closed one what was done in time.
  if (due >= counted_from_ && due < counted_until_) {
    found_.latency.record(now - due);
    if (part < found_.parts.size())
      found_.parts[part].second.record(now - due);
  }
  if (has_stopped_)
    return;
  ++found_.operations;
  if (plan_.operations && found_.operations >= *plan_.operations)
    stop_counting(now);
}

void load_run::stop_counting(steady::time_point now) {
  if (std::exchange(has_stopped_, true))
    return;
  found_.time = has_begun_counting_ ? now - counting_since_ : std::chrono::nanoseconds(0);
  // To the end, also where nothing was done.
  found_.done_by_bucket.resize(
      std::max(found_.done_by_bucket.size(), static_cast<std::size_t>((now - started_) / found_.bucket) + 1));
  if (has_begun_counting_)
    ends_();
}

void load_run::end_if_done() {
  const bool has_nothing_left = work_.is_exhausted() && under_way_ == 0 && has_begun_counting_;
  if (has_nothing_left && !has_stopped_)
    stop_counting(steady::now());
  if (is_over_ || !has_stopped_ || under_way_ > 0)
    return;
  is_over_ = true;
  over_(failure_);
}

} // namespace colloquy::load
