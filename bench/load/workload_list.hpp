// From the names of workloads to what they do.
#pragma once

#include "bench/load/load_place.hpp"
#include "bench/load/load_run.hpp"
#include "bench/load/load_workload.hpp"
#include "cli/bench_arguments.hpp"

#include <memory>
#include <string>
#include <vector>

namespace colloquy::load {

/// One measurement that is to be made.
struct wanted_measurement {
  std::string workload;
  std::string variant; ///< "" if there is only one
  std::size_t sessions = 0;
};

/// In the order in which they are made.
std::vector<wanted_measurement> list_measurements(const cli::bench_arguments& arguments);

/// What several measurements of a run share: sessions that were made once, the shape of the transcripts.
class workload_list {
public:
  /// Reads the transcripts, if there are any. Throws bench_failure.
  explicit workload_list(const cli::bench_arguments& arguments);
  ~workload_list();

  /// Valid until the next call.
  load_workload& make(const wanted_measurement& wanted, load_client& client);

private:
  struct parts;

  const cli::bench_arguments& arguments_;
  std::unique_ptr<parts> parts_;
};

run_plan plan_for(const wanted_measurement& wanted, const cli::bench_arguments& arguments,
                  std::chrono::milliseconds request_timeout);

} // namespace colloquy::load
