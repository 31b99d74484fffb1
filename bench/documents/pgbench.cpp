#include "bench/documents/pgbench.hpp"

#include "db/embedded_programs.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto time_max = 10min;
constexpr auto search_time_max = 10s;
const std::string log_name = "pgbench_log";

std::filesystem::path pgbench_program() {
  const auto found = db::embedded::find_programs({}, std::chrono::steady_clock::now() + search_time_max);
  if (!found)
    throw bench_failure(found.failure().message);
  const auto program = found->folder / "pgbench";
  if (!std::filesystem::exists(program))
    throw bench_failure("there is no " + program.string() + ", which is part of PostgreSQL's programs");
  return program;
}

/// A line for each transaction: client, number, microseconds, and more.
void read_log(const std::filesystem::path& file, const pgbench_run& run, histogram& times) {
  std::ifstream log(file);
  std::map<std::size_t, std::size_t> seen;
  for (std::string line; std::getline(log, line);) {
    std::istringstream fields(line);
    std::size_t client = 0, number = 0;
    std::string took;
    fields >> client >> number >> took;
    if (!fields || took.find_first_not_of("0123456789") != std::string::npos)
      throw bench_failure("pgbench told of a transaction: " + line);
    if (++seen[client] > run.warm_up)
      times.record(std::chrono::microseconds(std::stoll(took)));
  }
}

} // namespace

histogram run_pgbench(const pgbench_run& run, const std::filesystem::path& folder) {
  const auto script = folder / "script.sql";
  if (!(std::ofstream(script) << run.script).flush())
    throw bench_failure("cannot write " + script.string());
  db::embedded::child_plan plan;
  plan.program = pgbench_program().string();
  plan.arguments = {"--no-vacuum",
                    "--protocol=prepared",
                    "--file=" + script.string(),
                    "--client=" + std::to_string(run.clients),
                    "--transactions=" + std::to_string(run.transactions / run.clients + run.warm_up),
                    "--random-seed=" + std::to_string(run.seed),
                    "--log",
                    "--log-prefix=" + (folder / log_name).string(),
                    run.conninfo};
  const auto done = db::embedded::run_to_end(std::move(plan), std::chrono::steady_clock::now() + time_max);
  if (!done)
    throw bench_failure("pgbench: " + done.failure().message);
  if (done->status != 0)
    throw bench_failure("pgbench ended with " + db::embedded::describe_exit(done->status) + ": " + done->text);
  histogram times;
  for (const auto& each : std::filesystem::directory_iterator(folder))
    if (each.path().filename().string().starts_with(log_name)) {
      read_log(each.path(), run, times);
      std::filesystem::remove(each.path());
    }
  const auto expected = run.transactions / run.clients * run.clients;
  if (times.count() != expected)
    throw bench_failure("pgbench told of " + std::to_string(times.count()) + " transactions instead of " +
                        std::to_string(expected));
  return times;
}

} // namespace colloquy::bench
