// One measurement from beginning to end: preparing, measuring, making durable, reading back.
#pragma once

#include "bench/load/load_place.hpp"
#include "bench/load/load_run.hpp"
#include "bench/load/load_workload.hpp"
#include "bench/load/measurement.hpp"

#include <functional>
#include <optional>
#include <string_view>

namespace colloquy::load {

/// What has been used of the machine until now. Called inside the place.
struct usage {
  bench::cpu_time cpu{};
  std::optional<std::uint64_t> allocations{};
};
using usage_probe = std::function<usage()>;

/// For whoever waits: what is going on, some times a second. Throws to end it.
struct course_view {
  std::string_view phase; ///< "preparing", "warming up", "measuring", "reading back"
  double share = 0;       ///< of the measuring, 0 to 1
  std::size_t done = 0;
  std::chrono::nanoseconds p99{};
};
using course_watch = std::function<void(const course_view&)>;

/// Blocks. Throws bench_failure if anything was not done in full, or what the watch threw; then the place has ended, or
/// nothing of the course is under way in it.
measurement run_course(load_place& place, load_workload& work, const run_plan& plan, const usage_probe& probe,
                       const course_watch& watch);

} // namespace colloquy::load
