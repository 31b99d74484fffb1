#include "bench/bench_failure.hpp"
#include "bench/parts/parts.hpp"
#include "cli/exit_code.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

namespace colloquy::bench {
namespace {

constexpr double seconds_wanted = 0.5;
constexpr std::size_t rounds = 5;

/// Nanoseconds of one time: the median of some rounds, each long enough to be seen by the clock.
double time_of(part& which) {
  std::size_t times = 1;
  for (;; times *= 2) {
    stopwatch watch;
    which.run(times, watch);
    if (watch.time() > std::chrono::duration<double>(seconds_wanted / rounds / 2))
      break;
  }
  std::vector<double> found;
  for (std::size_t i = 0; i < rounds; ++i) {
    stopwatch watch;
    which.run(times, watch);
    found.push_back(static_cast<double>(watch.time().count()) / static_cast<double>(times));
  }
  std::nth_element(found.begin(), found.begin() + rounds / 2, found.end());
  return found[rounds / 2];
}

int run_program(int argc, const char* const* argv) {
  std::string only;
  std::size_t times = 0;
  CLI::App app("Measures the parts of the hot path one by one, without a database.", "colloquy_parts_bench");
  app.add_option("PART", only, "Only this one")->type_name("");
  app.add_option("--times", times, "Do it so often, once, and tell no time: for callgrind")
      ->check(CLI::Range(1, 1'000'000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  bool is_known = only.empty();
  for (const auto& each : all_parts()) {
    if (!only.empty() && only != each.name)
      continue;
    is_known = true;
    const auto which = each.make();
    if (times == 0) {
      std::printf("%-8s %10.0f ns  %s\n", std::string(each.name).c_str(), time_of(*which),
                  std::string(each.what).c_str());
      continue;
    }
    stopwatch ignored;
    which->run(times, ignored);
  }
  if (is_known)
    return cli::exit_done;
  std::cerr << "colloquy_parts_bench: there is no part \"" << only << "\"\n";
  return cli::exit_wrong_usage;
}

} // namespace
} // namespace colloquy::bench

int main(int argc, char** argv) try {
  return colloquy::bench::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_parts_bench: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
