// What the pool's bench measures. Each prints what it saw, and throws bench_failure if something was wrong, not slow.
#pragma once

#include <chrono>
#include <cstddef>

namespace colloquy::bench {

/// Leases taken and given back one after another by an actor of the same system, each given back in full before the
/// next: two backends, of which one is for units. Unused leases, leases with one statement, and units beside them.
void measure_acquiring(std::size_t rounds);

/// A storm of waiters of one tenant, `others` tenants with one request at a time each, and one more whose requests are
/// timed: the worst of them against (active tenants + 1) service times.
void measure_fairness(std::size_t storm, std::size_t others, std::size_t requests);

/// Units and leases at full speed while backends are killed at random. Throws unless every request is answered once,
/// the pool is back at size within `back_within` of each kill, and resident memory rises by less than 1 MiB a minute
/// after the first minute.
void soak(std::chrono::seconds length, unsigned seed, std::chrono::seconds back_within = std::chrono::seconds{2});

} // namespace colloquy::bench
