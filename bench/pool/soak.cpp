#include "bench/pool/measurements.hpp"
#include "bench/pool/pool_under_load.hpp"
#include "bench/resident_memory.hpp"

#include <caf/event_based_actor.hpp>

#include <atomic>
#include <iomanip>
#include <iostream>
#include <random>
#include <thread>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr std::size_t connections = 8;
constexpr std::size_t unit_askers = 16;
constexpr std::size_t lease_askers = 6;
// CAF keeps the timeout of a request until its time has come, answered or not, which would be all the memory that is
// seen to rise; so there is none, and who was not answered is counted at the end.
constexpr auto no_timeout = caf::infinite;
constexpr double mebibytes_a_minute_max = 1.0;

struct tally {
  std::atomic<std::uint64_t> asked{0};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> failed{0}; // answered with a failure, which a kill may cause
  std::atomic<std::uint64_t> unanswered{0};
  std::atomic<std::uint64_t> leases{0};
  std::atomic<bool> is_over{false};
};

using tally_ptr = std::shared_ptr<tally>;

/// Every request counts up `asked`, every answer `answered`: a second one of the same request cannot be told from one
/// of another, but the sums would differ at the end.
void run_units(caf::event_based_actor* self, actors::pool_control_actor pool, tally_ptr counts, std::string tenant) {
  if (counts->is_over)
    return self->quit();
  actors::run_unit unit{caller_unit("SELECT generate_series(1, 20)")};
  unit.tenant = tenant;
  unit.idempotent = true;
  ++counts->asked;
  self->request(pool, no_timeout, std::move(unit))
      .then(
          [=](const db::unit_outcome& outcome) {
            ++counts->answered;
            counts->failed += outcome.failure ? 1 : 0;
            run_units(self, pool, counts, tenant);
          },
          [=](const caf::error&) {
            ++counts->unanswered;
            run_units(self, pool, counts, tenant);
          });
}

void take_leases(caf::event_based_actor* self, actors::pool_control_actor pool, tally_ptr counts, std::string tenant);

void use_lease(caf::event_based_actor* self, const actors::pool_control_actor& pool, const tally_ptr& counts,
               const std::string& tenant, const actors::leased_connection& held, int left) {
  if (left == 0) {
    self->send(pool, actors::end_lease{held.lease});
    return take_leases(self, pool, counts, tenant);
  }
  static constexpr const char* statements[] = {"BEGIN", "CREATE TEMPORARY TABLE kept AS SELECT 1 AS x",
                                               "SET work_mem = '9MB'"};
  actors::run_unit unit{caller_unit(statements[left - 1])};
  unit.lease = held.lease;
  ++counts->asked;
  self->request(held.connection, no_timeout, std::move(unit))
      .then(
          [=](const db::unit_outcome& outcome) {
            ++counts->answered;
            counts->failed += outcome.failure ? 1 : 0;
            use_lease(self, pool, counts, tenant, held, outcome.failure ? 0 : left - 1);
          },
          [=](const caf::error&) { // the backend is gone, and its actor with it
            ++counts->answered;
            ++counts->failed;
            use_lease(self, pool, counts, tenant, held, 0);
          });
}

void take_leases(caf::event_based_actor* self, actors::pool_control_actor pool, tally_ptr counts, std::string tenant) {
  if (counts->is_over)
    return self->quit();
  actors::lease_connection request{"soak", tenant};
  request.idle_timeout = 30s;
  ++counts->asked;
  self->request(pool, no_timeout, std::move(request))
      .then(
          [=](const result<actors::leased_connection>& got) {
            ++counts->answered;
            if (got) {
              ++counts->leases;
              return use_lease(self, pool, counts, tenant, *got, 3);
            }
            ++counts->failed;
            take_leases(self, pool, counts, tenant);
          },
          [=](const caf::error&) {
            ++counts->unanswered;
            take_leases(self, pool, counts, tenant);
          });
}

double resident_mebibytes() {
  return static_cast<double>(resident_bytes()) / (1 << 20);
}

/// Least squares over what was measured after the first minute (or the first fifth of a short run).
double growth_a_minute(const std::vector<std::pair<double, double>>& samples, double from) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const auto& [minute, mebibytes] : samples)
    if (minute >= from)
      n += 1, x += minute, y += mebibytes, xx += minute * minute, xy += minute * mebibytes;
  const double spread = n * xx - x * x;
  return n < 2 || spread <= 0 ? 0 : (n * xy - x * y) / spread;
}

std::size_t kill_some(PGconn* by, std::mt19937& random) {
  const auto share = std::to_string(random() % 100 < 20 ? 100 : 30); // now and then all of them
  const db::result_ptr killed(PQexec(
      by, ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'colloquy%' AND"
           " pid <> pg_backend_pid() AND random() * 100 < " +
           share)
              .c_str()));
  if (PQresultStatus(killed.get()) != PGRES_TUPLES_OK)
    throw bench_failure(PQerrorMessage(by));
  return static_cast<std::size_t>(std::strtoul(PQgetvalue(killed.get(), 0, 0), nullptr, 10));
}

} // namespace

void soak(std::chrono::seconds length, unsigned seed, std::chrono::seconds back_within) {
  std::mt19937 random(seed);
  pool_under_load under(connections, connections);
  const auto superuser = under.superuser();
  const db::result_ptr granted(
      PQexec(superuser.get(), "GRANT TEMPORARY ON DATABASE colloquy TO colloquy_service")); // for what leases do
  auto counts = std::make_shared<tally>();
  for (std::size_t i = 0; i < unit_askers; ++i)
    under.system().spawn(run_units, under.handle(), counts, "tenant" + std::to_string(i % 5));
  for (std::size_t i = 0; i < lease_askers; ++i)
    under.system().spawn(take_leases, under.handle(), counts, "tenant" + std::to_string(i % 5));

  const auto begun = clock::now();
  const auto minutes = [&] { return std::chrono::duration<double, std::ratio<60>>(clock::now() - begun).count(); };
  std::vector<std::pair<double, double>> memory;
  std::size_t kills = 0, killed = 0;
  std::chrono::milliseconds slowest{0};
  while (clock::now() - begun < length) {
    const auto pause = std::chrono::milliseconds(500 + random() % 3000);
    for (const auto until = clock::now() + pause; clock::now() < until;) {
      memory.emplace_back(minutes(), resident_mebibytes());
      std::this_thread::sleep_for(250ms);
    }
    const auto before = under.status().numbers.connects;
    const auto now_killed = kill_some(superuser.get(), random);
    ++kills;
    killed += now_killed;
    // Back at size: as many have come as were killed, and all are ready.
    const auto at = clock::now();
    while (under.status().numbers.connects < before + now_killed || under.status().total < connections) {
      if (clock::now() - at > back_within)
        throw bench_failure("the pool was not back at size within " + std::to_string(back_within.count()) +
                            " s after " + std::to_string(now_killed) + " backends were killed");
      std::this_thread::sleep_for(2ms);
    }
    slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - at));
  }
  counts->is_over = true;
  for (const auto until = clock::now() + 30s;
       counts->answered + counts->unanswered < counts->asked && clock::now() < until;)
    std::this_thread::sleep_for(10ms);
  const double growth = growth_a_minute(memory, std::min(1.0, minutes() / 5));
  const auto numbers = under.status().numbers;
  std::cout << std::fixed << std::setprecision(2) << "soak: " << minutes() << " minutes, seed " << seed << ", " << kills
            << " times backends were killed, " << killed << " in all; back at size after " << slowest.count()
            << " ms at most\n  " << counts->asked << " requests, " << counts->answered << " answered ("
            << counts->failed << " with a failure), " << counts->unanswered << " not; " << counts->leases << " leases, "
            << numbers.leases_cleaned << " cleaned, " << numbers.retries << " units tried again\n  resident memory "
            << memory.front().second << " MiB at first, " << memory.back().second << " at the end, rising " << growth
            << " MiB a minute after the first\n";
  if (counts->unanswered > 0 || counts->answered != counts->asked)
    throw bench_failure("not every request was answered once");
  if (length > 2min && growth >= mebibytes_a_minute_max)
    throw bench_failure("resident memory rises by a MiB a minute or more");
}

} // namespace colloquy::bench
