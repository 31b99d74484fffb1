#include "bench/documents/measurements.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/signals.hpp"

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>

namespace colloquy::bench {
namespace {

int run_program(int argc, const char* const* argv) {
  CLI::App app("Measures finding documents beside the same SQL by pgbench, and pages deep in a large collection, on an "
               "embedded server of its own.",
               "colloquy_documents_bench");
  app.option_defaults()->always_capture_default();
  documents_options options;
  std::string data_dir;
  bool json = false;
  bool self_check = false;
  app.add_option("--documents", options.documents, "Of all tenants together, and once more of one alone")
      ->check(CLI::Range(10'000, 100'000'000));
  app.add_option("--tenants", options.tenants)->check(CLI::Range(1, 100'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--finds", options.finds, "In each round, each way")->check(CLI::Range(1, 10'000'000));
  app.add_option("--concurrency", options.concurrency, "Finds under way")->check(CLI::Range(1, 1000));
  app.add_option("--pages", options.pages, "Of each kind")->check(CLI::Range(1, 100'000));
  app.add_option("--seed", options.seed);
  app.add_option("--data-dir", data_dir, "A new folder for the server, which is kept; else a temporary one")
      ->type_name("DIR");
  app.add_flag("--json", json, "One line of JSON at the end");
  app.add_flag("--self-check", self_check, "Only whether the bench itself works: a tiny run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  if (self_check)
    options = documents_self_check_options();
  if (!data_dir.empty())
    options.data_dir = data_dir;

  const cli::signal_watch signals; // first: every thread made later leaves the signals to it
  cli::start_logging(config::log_level::error);
  const auto found = measure_documents(options, [&] {
    if (signals.received())
      throw bench_failure("interrupted");
  });
  if (self_check)
    check_report(found, options);
  std::cout << to_text(found, options);
  if (json)
    std::cout << to_json(found, options) << '\n';
  std::cout << std::flush;
  return std::cout ? cli::exit_done : cli::exit_failed;
}

} // namespace
} // namespace colloquy::bench

int main(int argc, char** argv) try {
  return colloquy::bench::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_documents_bench: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
