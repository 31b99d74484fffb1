// Random histories of sessions against a reference in memory. Exit codes: 0 every property held; 3 one did not; 2 wrong
// usage; 1 anything else.
#include "tests/actors/model/chance.hpp"
#include "tests/actors/model/history.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace colloquy::model {
namespace {

constexpr int exit_held = 0;
constexpr int exit_failed = 1;
constexpr int exit_wrong_usage = 2;
constexpr int exit_violated = 3;

struct run_options {
  std::uint64_t histories = 10'000;
  std::uint64_t seed = 0;
  std::string name;
  bool shows_actions = false;
};

struct run_result {
  std::optional<std::string> violated{};
  std::vector<std::string> actions{};
  happenings happened{};
  std::exception_ptr failed{};
};

/// On a thread of its own, because the service's sources of chance are a thread's: so one seed is one history.
run_result run_one(std::uint64_t seed) {
  run_result outcome;
  std::thread([&] {
    repeat_chance(seed);
    try {
      auto one = std::make_unique<history>(seed);
      try {
        one->run();
      } catch (const violation& broken) {
        outcome.violated = broken.what();
      }
      outcome.actions = one->actions();
      outcome.happened = one->happened();
      if (outcome.violated)
        one.release(); // its actors may wait for ever, and nobody could end them
    } catch (...) {
      outcome.failed = std::current_exception();
    }
  }).join();
  return outcome;
}

int run_all(const run_options& options) {
  const auto began = std::chrono::steady_clock::now();
  happenings all;
  for (std::uint64_t i = 0; i < options.histories; ++i) {
    const auto seed = options.seed + i;
    const auto outcome = run_one(seed);
    if (outcome.failed)
      std::rethrow_exception(outcome.failed);
    all.add(outcome.happened);
    if (outcome.violated || options.shows_actions)
      for (const auto& action : outcome.actions)
        std::cout << "  " << action << '\n';
    if (outcome.violated) {
      std::cout << "violated: " << *outcome.violated << "\nin history " << i + 1 << " of " << options.histories
                << ", seed " << seed << "; to repeat: " << options.name << " --histories 1 --seed " << seed
                << " --actions\n";
      std::cout.flush();
      std::_Exit(exit_violated); // without waiting for them
    }
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  std::cout << options.histories << " histories of sessions from seed " << options.seed << " in " << took.count()
            << " ms, every property held: " << all.text() << '\n';
  return exit_held;
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Random histories of sessions against a reference in memory.", "session_histories");
  app.option_defaults()->always_capture_default();
  run_options options;
  options.name = argv[0];
  options.seed = std::random_device{}();
  app.add_option("--histories", options.histories)->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--seed", options.seed, "Of the first history; each after it has the next number");
  app.add_flag("--actions", options.shows_actions, "Tell what each history does");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? exit_held : exit_wrong_usage;
  }
  spdlog::set_level(spdlog::level::off); // what befalls the service is what is done to it
  return run_all(options);
}

} // namespace
} // namespace colloquy::model

int main(int argc, char** argv) try {
  return colloquy::model::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "session_histories: " << why.what() << '\n';
  return colloquy::model::exit_failed;
}
