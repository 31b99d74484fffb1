#include "bench/append_workload.hpp"

#include "actors/scheduler.hpp"
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <sys/prctl.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto check_pause = 100ms;
constexpr std::size_t creations_in_flight = 1000;

/// Between two looks at the schedule; what it delays a message by is in its latency and told as lateness.
constexpr auto pacer_pause = 100us;

/// Wakes an open loop's driver: CAF's own delayed messages are too coarse for this.
class pacer {
public:
  explicit pacer(load_driver_actor driver)
    : thread_([driver = std::move(driver)](const std::stop_token& stop) {
      ::prctl(PR_SET_TIMERSLACK, 1); // the kernel would add 50 us
      for (auto next = steady::now(); !stop.stop_requested(); std::this_thread::sleep_until(next)) {
        caf::anon_send(driver, send_due{});
        next = std::max(next + pacer_pause, steady::now());
      }
    }) {}

private:
  std::jthread thread_;
};

} // namespace

bench_system_config::bench_system_config(const bench_options& options) {
  if (options.policy == "sparing")
    actors::use_sparing_scheduler(*this, options.threads);
  else
    set("scheduler.policy", options.policy == "stealing" ? caf::atom("stealing") : caf::atom("sharing"));
  set("scheduler.max-threads", options.threads);
}

append_workload::append_workload(const bench_options& options, const config::settings& settings,
                                 const std::string& conninfo, interruption_check check)
  : options_(options)
  , settings_(settings)
  , check_(std::move(check))
  , system_config_(options)
  , system_(system_config_) {
  auto started = actors::service::start(system_, {settings_, conninfo});
  if (!started)
    throw bench_failure("the service did not start: " + started.failure().message);
  service_ = std::move(started).value();
}

std::vector<session_record> append_workload::make_sessions() {
  std::vector<session_record> sessions;
  sessions.reserve(options_.sessions);
  caf::scoped_actor self(system_);
  while (sessions.size() < options_.sessions) {
    check_();
    const auto count = std::min(options_.sessions - sessions.size(), creations_in_flight);
    const auto ask = [&](std::size_t number) {
      create_session request;
      request.tenant = tenant_id::parse("tenant-" + std::to_string(number % options_.tenants)).value_or(tenant_id());
      request.user_id = "bench";
      return self->request(service_->directory(), settings_.request_timeout, std::move(request));
    };
    std::vector<decltype(ask(0))> asked;
    for (std::size_t i = 0; i < count; ++i)
      asked.push_back(ask(sessions.size() + i));
    for (auto& each : asked)
      each.receive(
          [&](const result<session_record>& made) {
            if (!made)
              throw bench_failure("a session was not made: " + made.failure().message);
            sessions.push_back(*made);
          },
          [](const caf::error&) { throw bench_failure("making a session was not answered in time"); });
  }
  return sessions;
}

load_plan append_workload::plan_for(const std::shared_ptr<const workload>& work,
                                    const std::shared_ptr<const slice>& part) const {
  load_plan plan;
  plan.directory = service_->directory();
  plan.budget = service_->budget();
  plan.work = work;
  plan.part = part;
  plan.concurrency = options_.concurrency;
  plan.request_timeout = settings_.request_timeout;
  plan.request_timeouts = options_.request_timeouts;
  return plan;
}

append_workload::outcome append_workload::run_closed_loop(const std::shared_ptr<const workload>& work,
                                                          const std::shared_ptr<const slice>& part) {
  std::vector<load_driver_actor> drivers;
  auto plan = plan_for(work, part);
  plan.drivers = options_.drivers;
  for (plan.driver = 0; plan.driver < plan.drivers; ++plan.driver)
    drivers.push_back(caf::actor_cast<load_driver_actor>(system_.spawn<load_driver>(plan)));
  outcome measured;
  const auto start = steady::now();
  const auto answers = run(drivers);
  flush_all();
  measured.time = steady::now() - start;
  for (const auto& each : answers)
    measured.retried += each->retried;
  return measured;
}

append_workload::outcome append_workload::run_open_loop(const std::shared_ptr<const workload>& work,
                                                        const std::shared_ptr<const slice>& part,
                                                        double messages_per_second, durability wanted) {
  auto plan = plan_for(work, part);
  plan.wanted = wanted;
  plan.interval = std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 / messages_per_second));
  auto driver = caf::actor_cast<load_driver_actor>(system_.spawn<load_driver>(plan));
  outcome measured;
  const auto start = steady::now();
  const pacer paced(driver);
  const auto answers = run({driver});
  flush_all();
  measured.time = steady::now() - start;
  measured.latency = answers.front()->latency;
  measured.lateness = answers.front()->lateness;
  return measured;
}

std::vector<load_outcome_ptr> append_workload::run(const std::vector<load_driver_actor>& drivers) {
  std::vector<load_outcome_ptr> answers;
  caf::scoped_actor self(system_);
  for (const auto& driver : drivers)
    self->send(driver, begin_load{});
  while (answers.size() < drivers.size()) {
    self->receive([&](const load_outcome_ptr& answer) { answers.push_back(answer); },
                  caf::after(check_pause) >> [this] { check_(); });
    if (!answers.empty() && answers.back()->failure)
      throw bench_failure(*answers.back()->failure);
  }
  return answers;
}

void append_workload::flush_all() {
  caf::scoped_actor self(system_);
  self->request(service_->directory(), settings_.request_timeout, flush{})
      .receive(
          [](const result<flushed>& answer) {
            if (!answer)
              throw bench_failure("the flush failed: " + answer.failure().message);
            if (answer->sessions_refused > 0)
              throw bench_failure("the database has refused a session's events");
          },
          [](const caf::error&) { throw bench_failure("the flush was not answered in time"); });
}

void append_workload::stop() {
  if (auto stopped = service_->stop(settings_.request_timeout); !stopped)
    throw bench_failure("the service did not stop in order: " + stopped.failure().message);
}

} // namespace colloquy::bench
