#include "bench/histogram.hpp"
#include "bench/pool/measurements.hpp"
#include "bench/pool/pool_under_load.hpp"

#include <caf/event_based_actor.hpp>

#include <atomic>
#include <iomanip>
#include <iostream>

namespace colloquy::bench {
namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::seconds answer_max{300};
constexpr const char* work = "SELECT pg_sleep(0.002)";

struct tally {
  std::atomic<std::size_t> failed{0};
  std::atomic<bool> is_over{false};
  histogram service; // of the timed tenant when it is alone
  histogram waited;  // of the timed tenant, whole answers
};

actors::run_unit unit_of(const std::string& tenant) {
  actors::run_unit unit{caller_unit(work)};
  unit.tenant = tenant;
  unit.purpose = "fairness";
  unit.deadline = clock::now() + answer_max;
  return unit;
}

/// One request at a time, until all is over or `left` are done; times go into `into`, if given.
void ask_again(caf::event_based_actor* self, const actors::pool_control_actor& pool, const std::string& tenant,
               const std::shared_ptr<tally>& counts, std::size_t left, histogram* into) {
  if (left == 0 || (!into && counts->is_over))
    return self->quit();
  const auto asked = clock::now();
  self->request(pool, answer_max, unit_of(tenant))
      .then(
          [=](const db::unit_outcome& outcome) {
            if (outcome.failure)
              ++counts->failed;
            if (into)
              into->record(clock::now() - asked);
            ask_again(self, pool, tenant, counts, left - 1, into);
          },
          [=](const caf::error&) {
            ++counts->failed;
            self->quit();
          });
}

void time_one(pool_under_load& under, const std::shared_ptr<tally>& counts, std::size_t requests, histogram& into) {
  caf::scoped_actor self{under.system()};
  const auto actor = under.system().spawn(
      [&](caf::event_based_actor* driver) { ask_again(driver, under.handle(), "timed", counts, requests, &into); });
  self->wait_for(actor);
}

} // namespace

void measure_fairness(std::size_t storm, std::size_t others, std::size_t requests) {
  pool_under_load under(4, 4);
  auto counts = std::make_shared<tally>();
  time_one(under, counts, requests, counts->service);
  const auto storming = under.system().spawn([pool = under.handle(), storm, counts](caf::event_based_actor* self) {
    for (std::size_t i = 0; i < storm; ++i)
      self->request(pool, answer_max, unit_of("storm"))
          .then([counts](const db::unit_outcome& outcome) { counts->failed += outcome.failure ? 1 : 0; },
                [](const caf::error&) {}); // cut off at the end
  });
  for (std::size_t i = 0; i < others; ++i)
    under.system().spawn([=, pool = under.handle()](caf::event_based_actor* self) {
      ask_again(self, pool, "other" + std::to_string(i), counts, requests * 1000, nullptr);
    });
  const auto waiting = under.status().waiting;
  time_one(under, counts, requests, counts->waited);
  const auto still = under.status();
  counts->is_over = true;
  caf::scoped_actor self{under.system()};
  self->send_exit(storming, caf::exit_reason::kill);
  // The service time under load: four backends, each with a pipeline as deep as the pool allows, share the processors.
  const auto loaded = still.numbers.by_tenant.at("storm").query_time;
  const double service_ms =
      std::chrono::duration<double, std::milli>(loaded.sum()).count() / static_cast<double>(loaded.count());
  const double worst_ms = std::chrono::duration<double, std::milli>(counts->waited.max()).count();
  const double median_ms = std::chrono::duration<double, std::milli>(counts->waited.percentile(0.5)).count();
  const auto active = others + 2; // the storm, and the timed one
  std::cout << std::fixed << std::setprecision(2) << "fairness: " << storm << " waiters of one tenant (" << waiting
            << " still waiting at the beginning, " << still.waiting << " at the end), " << active << " active tenants\n"
            << "  one service time under load " << service_ms
            << " ms; a request of the timed tenant, wait and service: median " << median_ms << " ms, worst of "
            << counts->waited.count() << " " << worst_ms << " ms\n"
            << "  worst / service time " << worst_ms / service_ms
            << "; the bound is active tenants + 1 = " << active + 1 << '\n';
  if (counts->failed > 0)
    throw bench_failure(std::to_string(counts->failed) + " requests failed");
  if (still.waiting < others)
    throw bench_failure("the storm was over before the measurement was: nothing was shown");
}

} // namespace colloquy::bench
