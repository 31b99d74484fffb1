// One run: every figure of it comes from the same server, the same minutes and the same rows.
#pragma once

#include "bench/append_workload.hpp"
#include "bench/bench_database.hpp"
#include "bench/cpu_time.hpp"
#include "bench/histogram.hpp"
#include "bench/options.hpp"

#include <string>
#include <vector>

namespace colloquy::bench {

/// One figure, round by round; at least one round.
struct series {
  std::vector<double> by_round;

  double median() const;
  double min() const;
  double max() const;
};

/// The quotient of two of them, round by round.
series operator/(const series& left, const series& right);

/// One way to write.
struct way {
  series rate;       ///< durable events a second
  series own_cpu;    ///< microseconds an event, of this process
  series server_cpu; ///< microseconds an event, of the server
};

struct latencies {
  histogram answered; ///< from when a message was due until its answer
  histogram lateness; ///< from when a message was due until it was sent
};

struct measured {
  std::string date;
  facts machine;
  facts server;
  way copy;    ///< COPY
  way batches; ///< the service's batches without the service
  way append;  ///< through the service, until durable
  std::size_t retried = 0;
  double offered = 0; ///< messages a second of the open loops
  std::size_t offered_messages = 0;
  latencies accepted;
  latencies durable;
};

/// Blocking, some minutes. Throws bench_failure if anything was not done in full.
measured run_bench(const bench_options& options, const interruption_check& check);

} // namespace colloquy::bench
