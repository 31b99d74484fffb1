#include "bench/load/load_course.hpp"

#include "bench/bench_failure.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace colloquy::load {
namespace {

using namespace std::chrono_literals;

constexpr auto watch_pause = 100ms;
constexpr auto ending_max = 10s; ///< what is under way when it is interrupted
constexpr auto course_max = 24h; ///< beside the measuring itself, which ends by the clock

/// Between two looks at what is due; what it delays an operation by is in its latency and told as lateness.
constexpr auto open_tick = 50us;
constexpr auto closed_tick = 1ms;

enum class phase : std::uint8_t { preparing, measuring, reading_back };

/// Everything but the construction happens inside the place.
class course {
public:
  course(load_place& place, load_workload& work, const run_plan& plan, usage_probe probe)
    : place_(place)
    , work_(work)
    , plan_(plan)
    , probe_(std::move(probe))
    , run_(
          plan, work, progress_, [this] { before_ = probe_(); }, [this] { after_ = probe_(); },
          [this](std::optional<error> failure) { on_run_over(std::move(failure)); }) {}

  std::future<result<measurement>> outcome() { return outcome_.get_future(); }

  void begin() {
    work_.prepare([this](std::optional<error> failure) {
      if (stopped_ && !failure)
        failure = stopped_;
      if (failure)
        return over(std::move(*failure));
      phase_ = phase::measuring;
      started_ns_ = steady::now().time_since_epoch().count();
      run_.start();
    });
  }

  void tick() {
    if (phase_ == phase::measuring && !is_run_over_)
      run_.tick();
  }

  void stop(error why) {
    stopped_ = why;
    if (phase_ == phase::measuring && !is_run_over_)
      run_.stop(std::move(why));
  }

  /// From any thread.
  course_view view() const {
    course_view seen;
    seen.done = progress_.done.load(std::memory_order_relaxed);
    seen.p99 = std::chrono::nanoseconds(progress_.p99_ns.load(std::memory_order_relaxed));
    const auto at = phase_.load();
    if (at == phase::preparing)
      seen.phase = "preparing";
    else if (at == phase::reading_back)
      seen.phase = "reading back";
    if (at != phase::measuring)
      return seen;
    const std::chrono::nanoseconds time(steady::now().time_since_epoch().count() - started_ns_.load());
    seen.phase = time < plan_.warm_up ? "warming up" : "measuring";
    seen.share = std::chrono::duration<double>(time) / std::chrono::duration<double>(plan_.warm_up + plan_.duration);
    return seen;
  }

private:
  void on_run_over(std::optional<error> failure) {
    is_run_over_ = true;
    found_ = run_.take_measurement();
    found_.cpu = after_.cpu - before_.cpu;
    if (after_.allocations && before_.allocations)
      found_.allocations = *after_.allocations - *before_.allocations;
    if (failure)
      return over(std::move(*failure));
    phase_ = phase::reading_back;
    place_.client().flush_all([this](result<flushed>& answer) {
      if (!answer)
        return over(answer.failure());
      if (answer->sessions_refused > 0)
        return over(error{error_code::internal, "the database has refused a session's events"});
      work_.verify([this](result<std::size_t> events) {
        if (!events)
          return over(events.failure());
        found_.events_verified = *events;
        over(std::move(found_));
      });
    });
  }

  void over(result<measurement> how) {
    if (!std::exchange(is_told_, true))
      outcome_.set_value(std::move(how));
  }

  load_place& place_;
  load_workload& work_;
  const run_plan plan_;
  const usage_probe probe_;
  run_progress progress_;
  usage before_;
  usage after_;
  measurement found_;
  load_run run_;
  std::promise<result<measurement>> outcome_;
  std::optional<error> stopped_;
  std::atomic<phase> phase_{phase::preparing};
  std::atomic<std::int64_t> started_ns_{0};
  bool is_run_over_ = false;
  bool is_told_ = false;
};

/// Has the course look at what is due, again and again, never twice at once.
class pacer {
public:
  pacer(load_place& place, const std::shared_ptr<course>& of, std::chrono::microseconds pause)
    : thread_([&place, of, pause](const std::stop_token& stop) {
      ::prctl(PR_SET_TIMERSLACK, 1); // the kernel would add 50 us
      const auto is_asked = std::make_shared<std::atomic<bool>>(false);
      for (auto next = steady::now(); !stop.stop_requested(); std::this_thread::sleep_until(next)) {
        if (!is_asked->exchange(true))
          place.post([of, is_asked] {
            is_asked->store(false);
            of->tick();
          });
        next = std::max(next + pause, steady::now());
      }
    }) {}

private:
  std::jthread thread_;
};

} // namespace

measurement run_course(load_place& place, load_workload& work, const run_plan& plan, const usage_probe& probe,
                       const course_watch& watch) {
  const auto of = std::make_shared<course>(place, work, plan, probe);
  auto outcome = of->outcome();
  place.post([of] { of->begin(); });
  const pacer paced(place, of, plan.rate ? open_tick : closed_tick);
  const auto until = steady::now() + plan.warm_up + plan.duration + course_max;
  try {
    while (outcome.wait_for(watch_pause) != std::future_status::ready) {
      watch(of->view());
      if (steady::now() > until)
        throw bench::bench_failure("a measurement does not end");
    }
  } catch (...) {
    place.post([of] { of->stop({error_code::internal, "interrupted"}); });
    if (outcome.wait_for(ending_max) != std::future_status::ready)
      place.end();
    throw;
  }
  auto how = outcome.get();
  if (!how)
    throw bench::bench_failure(how.failure().message);
  return std::move(*how);
}

} // namespace colloquy::load
