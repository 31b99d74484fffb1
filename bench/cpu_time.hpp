// Processor time of the two sides. On a machine that others use too it says more than the clock on the wall.
#pragma once

#include <chrono>
#include <sys/types.h>

namespace colloquy::bench {

struct cpu_time {
  std::chrono::nanoseconds own{};    ///< this process: the load, and the service if it takes part
  std::chrono::nanoseconds server{}; ///< the PostgreSQL server's processes that live now
};

cpu_time operator-(const cpu_time& left, const cpu_time& right);

/// `server` is the postmaster. 0 for what the system does not tell.
cpu_time cpu_time_now(pid_t server);

} // namespace colloquy::bench
