// pgbench, PostgreSQL's own load program: a script of SQL over and over, each run of it timed. Blocking.
#pragma once

#include "bench/bench_failure.hpp"
#include "bench/histogram.hpp"

#include <cstddef>
#include <filesystem>
#include <string>

namespace colloquy::bench {

struct pgbench_run {
  std::string conninfo;
  std::string script;
  std::size_t clients = 1;
  std::size_t transactions = 1000; ///< that are timed, of all clients together
  std::size_t warm_up = 100;       ///< before them, of each client
  unsigned seed = 1;
};

/// Prepared statements; each client one connection. `folder` is for what it writes. Throws bench_failure, also if a
/// transaction has failed.
histogram run_pgbench(const pgbench_run& run, const std::filesystem::path& folder);

} // namespace colloquy::bench
