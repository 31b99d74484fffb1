// Random documents and filters against a naive evaluator, through the documents actor and a real PostgreSQL. Exit
// codes: 0 every answer was the same; 3 one was not; 2 wrong usage; 1 anything else.
#include "tests/actors/documents/property.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <random>
#include <string>

namespace colloquy::chance {
namespace {

constexpr int exit_held = 0;
constexpr int exit_failed = 1;
constexpr int exit_wrong_usage = 2;
constexpr int exit_differed = 3;

constexpr std::uint64_t cases_per_collection = 50;

int run_all(const std::string& name, std::uint64_t cases, std::uint64_t seed) {
  const auto began = std::chrono::steady_clock::now();
  test::test_service service;
  for (std::uint64_t done = 0; done < cases; done += cases_per_collection, ++seed) {
    std::uint64_t at = 0;
    try {
      property one(service, seed);
      for (; at < cases_per_collection && done + at < cases; ++at)
        one.run_case();
      one.compare_all();
    } catch (const difference& why) {
      std::cout << why.what() << "\nin case " << at + 1 << " of seed " << seed << "; to repeat: " << name << " --cases "
                << cases_per_collection << " --seed " << seed << '\n';
      return exit_differed;
    }
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  std::cout << cases << " cases up to seed " << seed - 1 << " in " << took.count()
            << " ms, every answer as the reference's:";
  for (const auto& [what, count] : property::counts())
    std::cout << ' ' << count << ' ' << what << ';';
  std::cout << '\n';
  return exit_held;
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Random documents and filters against a naive evaluator.", "documents_property");
  app.option_defaults()->always_capture_default();
  std::uint64_t cases = 10'000;
  std::uint64_t seed = std::random_device{}();
  app.add_option("--cases", cases)->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--seed", seed, "Of the first collection; each after it has the next number");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? exit_held : exit_wrong_usage;
  }
  spdlog::set_level(spdlog::level::warn);
  return run_all(argv[0], cases, seed);
}

} // namespace
} // namespace colloquy::chance

int main(int argc, char** argv) try {
  return colloquy::chance::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "documents_property: " << why.what() << '\n';
  return colloquy::chance::exit_failed;
}
