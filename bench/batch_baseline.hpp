// The service's batches without the service: the same statements under the same role and row level security, encoded
// beforehand, pipelined on one connection with as many in flight. What is between this and the service is the actors'.
#pragma once

#include "bench/workload.hpp"
#include "config/settings.hpp"
#include "db/batch.hpp"
#include "db/pipeline_connection.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::bench {

/// For one slice, once. Blocking; throws bench_failure.
class batch_baseline {
public:
  /// Connects, becomes a writer, and encodes the slice in batches as full as the service's may be.
  batch_baseline(const config::settings& settings, const std::string& conninfo, const workload& work,
                 const slice& part);

  /// The time from the first batch sent until the last one was committed.
  std::chrono::nanoseconds run();

private:
  /// Until one more unit has come back.
  db::unit_outcome await_one();

  const std::size_t in_flight_max_;
  std::unique_ptr<db::pipeline_connection> link_;
  std::vector<db::pipeline_connection::finished_unit> finished_;
  std::vector<db::unit> batches_;
};

} // namespace colloquy::bench
