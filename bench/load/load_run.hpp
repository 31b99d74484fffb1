// The loop of one measurement: begins operations, in a closed or an open loop, and keeps the times.
//
// Closed: `concurrency` operations are under way, and the next one begins when one is over.
// Open: the i-th is due at start + i / rate and begins then, whatever is still under way; its latency counts from when
// it
//   was due, so a service that stalls cannot hide that by stalling its callers.
// One thread, which calls tick() again and again: each millisecond in a closed loop, more often in an open one.
#pragma once

#include "bench/load/load_workload.hpp"
#include "bench/load/measurement.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace colloquy::load {

struct run_plan {
  std::size_t concurrency = 64;
  std::optional<double> rate{};
  std::chrono::milliseconds warm_up{};
  std::chrono::milliseconds duration{};
  std::optional<std::size_t> operations{};      ///< counted ones, behind the warm-up
  std::chrono::milliseconds silence_max{30000}; ///< without any operation over while some are under way, it has failed
};

/// For whoever shows how far it is, on another thread.
struct run_progress {
  std::atomic<std::size_t> done{0};
  std::atomic<std::int64_t> p99_ns{0};
};

class load_run {
public:
  /// `begins` and `ends` are called at the edges of the time that counts; `over` once, when nothing is under way any
  /// more, with what failed the run. All of them must outlive it.
  load_run(run_plan plan, load_workload& work, run_progress& progress, std::function<void()> begins,
           std::function<void()> ends, std::function<void(std::optional<error>)> over);

  void start();
  void tick();
  /// Begins nothing more; over when what is under way is.
  void stop(error why);

  measurement take_measurement() { return std::move(found_); }

private:
  void fill();
  void begin_due(steady::time_point now);
  void begin_one(steady::time_point due);
  void on_over(steady::time_point due, const error* failure, std::size_t part);
  void count(std::size_t part, steady::time_point due, steady::time_point now);
  void stop_counting(steady::time_point now);
  void end_if_done();

  const run_plan plan_;
  load_workload& work_;
  run_progress& progress_;
  const std::function<void()> begins_;
  const std::function<void()> ends_;
  const std::function<void(std::optional<error>)> over_;
  measurement found_;
  std::optional<error> failure_;
  steady::time_point started_;
  steady::time_point counted_from_; ///< as planned: what is due from then on counts
  steady::time_point counted_until_;
  steady::time_point counting_since_; ///< as it came
  steady::time_point last_over_;
  steady::time_point resume_at_; ///< closed loop: nothing is begun before, because the service said so
  steady::time_point shown_at_;
  std::uint64_t begun_ = 0;
  std::size_t under_way_ = 0;
  bool has_begun_counting_ = false;
  bool has_stopped_ = false; ///< nothing more is begun
  bool is_filling_ = false;
  bool is_over_ = false;
};

} // namespace colloquy::load
