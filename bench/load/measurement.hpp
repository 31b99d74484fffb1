// One measurement: what was done, how, and what came of it.
#pragma once

#include "bench/cpu_time.hpp"
#include "bench/histogram.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::load {

using bench::histogram;

struct measurement {
  std::string workload; ///< "append"
  std::string variant;  ///< "durable"; "" if there is only one
  std::size_t sessions = 0;
  std::optional<double> offered{};                        ///< operations a second of an open loop
  std::size_t operations = 0;                             ///< done within the time that counts
  std::size_t operations_all = 0;                         ///< with warm-up
  std::chrono::nanoseconds time{};                        ///< that counts
  histogram latency;                                      ///< open loop: from when each was due
  histogram lateness;                                     ///< open loop: from due to begun, what the bench itself adds
  std::vector<std::pair<std::string, histogram>> parts{}; ///< by kind of operation, where a workload has several
  std::map<std::string, std::size_t> refused{};           ///< by error code: overloaded and the like, tried again
  std::chrono::milliseconds bucket{};                     ///< of `done_by_bucket`
  std::vector<std::size_t> done_by_bucket{};              ///< operations done, from the beginning of the warm-up on
  std::size_t warm_up_buckets = 0;
  bench::cpu_time cpu{};                      ///< of the time that counts; `own` has the load in it
  std::optional<std::uint64_t> allocations{}; ///< of this process, load included; none over HTTP
  std::size_t events_verified = 0;

  double rate() const {
    const auto seconds = std::chrono::duration<double>(time).count();
    return seconds > 0 ? static_cast<double>(operations) / seconds : 0;
  }
  std::string name() const { return variant.empty() ? workload : workload + " " + variant; }
};

} // namespace colloquy::load
