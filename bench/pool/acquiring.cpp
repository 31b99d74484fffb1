#include "bench/histogram.hpp"
#include "bench/pool/measurements.hpp"
#include "bench/pool/pool_under_load.hpp"

#include <caf/event_based_actor.hpp>

#include <iomanip>
#include <iostream>

namespace colloquy::bench {
namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::seconds answer_max{60};

struct run_state {
  actors::pool_control_actor pool;
  std::size_t left = 0;
  bool uses_it = false;
  histogram granted; // until the lease was there
  histogram whole;   // from asking to asking again: given back and made ready in between
  clock::time_point asked{};
  std::string failed;
};

void take_and_give_back(caf::event_based_actor* self, const std::shared_ptr<run_state>& state);

void give_back(caf::event_based_actor* self, const std::shared_ptr<run_state>& state, actors::lease_id lease) {
  self->send(state->pool, actors::end_lease{lease});
  take_and_give_back(self, state);
}

void take_and_give_back(caf::event_based_actor* self, const std::shared_ptr<run_state>& state) {
  const auto now = clock::now();
  if (state->asked != clock::time_point{})
    state->whole.record(now - state->asked);
  if (state->left-- == 0)
    return self->quit();
  state->asked = now;
  const auto fail = [self, state](const std::string& why) {
    state->failed = why;
    self->quit();
  };
  self->request(state->pool, answer_max, actors::lease_connection{"bench"})
      .then(
          [=](const result<actors::leased_connection>& got) {
            if (!got)
              return fail(got.failure().message);
            state->granted.record(clock::now() - state->asked);
            if (!state->uses_it)
              return give_back(self, state, got->lease);
            actors::run_unit unit{caller_unit("SELECT 1")};
            unit.lease = got->lease;
            self->request(got->connection, answer_max, std::move(unit))
                .then(
                    [=, lease = got->lease](const db::unit_outcome& outcome) {
                      if (outcome.failure)
                        return fail(outcome.failure->message);
                      give_back(self, state, lease);
                    },
                    [=](const caf::error&) { fail("no answer"); });
          },
          [=](const caf::error&) { fail("no answer"); });
}

void print(const char* what, const histogram& times) {
  const auto us = [&](double share) {
    return std::chrono::duration<double, std::micro>(times.percentile(share)).count();
  };
  std::cout << "  " << std::left << std::setw(58) << what << std::right << std::fixed << std::setprecision(1)
            << std::setw(9) << us(0.5) << std::setw(9) << us(0.9) << std::setw(9) << us(0.99) << '\n';
}

std::shared_ptr<run_state> run(pool_under_load& under, std::size_t rounds, bool uses_it) {
  auto state = std::make_shared<run_state>();
  state->pool = under.handle();
  state->left = rounds;
  state->uses_it = uses_it;
  caf::scoped_actor self{under.system()};
  const auto actor =
      under.system().spawn([state](caf::event_based_actor* driver) { take_and_give_back(driver, state); });
  self->wait_for(actor);
  if (!state->failed.empty())
    throw bench_failure(state->failed);
  return state;
}

} // namespace

void measure_acquiring(std::size_t rounds) {
  pool_under_load under(2, 2);
  run(under, rounds / 10 + 1, false); // warm
  const auto unused = run(under, rounds, false);
  const auto used = run(under, rounds / 10 + 1, true);
  std::cout << "acquiring, " << rounds << " times one after another, us                   median      p90      p99\n";
  print("lease asked for until it is there", unused->granted);
  print("lease taken, given back and ready again, nothing run", unused->whole);
  print("lease with one statement, discarded, checked, ready again", used->whole);
}

} // namespace colloquy::bench
