#include "bench/bench_failure.hpp"
#include "bench/pool/measurements.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>
#include <random>

namespace colloquy::bench {
namespace {

int run_program(int argc, const char* const* argv) {
  CLI::App app("Measures the pool alone, on an embedded server of its own.", "colloquy_pool_bench");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  std::size_t rounds = 20'000, storm = 10'000, others = 5, requests = 100;
  unsigned seconds = 300;
  unsigned seed = std::random_device{}();
  auto* acquiring = app.add_subcommand("acquire", "What taking and giving back a backend costs");
  acquiring->add_option("--rounds", rounds)->check(CLI::Range(10, 10'000'000));
  auto* fairness = app.add_subcommand("fairness", "How long a tenant waits while another storms");
  fairness->add_option("--storm", storm, "Waiters of the one tenant")->check(CLI::Range(1, 10'000));
  fairness->add_option("--others", others, "Tenants beside the storm and the one that is timed")
      ->check(CLI::Range(0, 1000));
  fairness->add_option("--requests", requests, "Timed")->check(CLI::Range(1, 100'000));
  auto* soaking = app.add_subcommand("soak", "Under load, with backends killed at random");
  soaking->add_option("--seconds", seconds)->check(CLI::Range(5, 86'400));
  soaking->add_option("--seed", seed);
  auto* self_check = app.add_subcommand("self-check", "Only whether the bench itself works: tiny runs");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  cli::start_logging(config::log_level::error);
  if (*acquiring)
    measure_acquiring(rounds);
  if (*fairness)
    measure_fairness(storm, others, requests);
  if (*soaking)
    soak(std::chrono::seconds(seconds), seed);
  if (*self_check) {
    measure_acquiring(100);
    measure_fairness(2000, 2, 5);
    soak(std::chrono::seconds(5), seed, std::chrono::seconds(30)); // no test depends on speed
  }
  return cli::exit_done;
}

} // namespace
} // namespace colloquy::bench

int main(int argc, char** argv) try {
  return colloquy::bench::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_pool_bench: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
