#include "bench/report.hpp"
#include "bench/self_check.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/signals.hpp"

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>
#include <limits>

namespace colloquy::bench {
namespace {

constexpr double seconds_max = 3600;

int run_program(int argc, const char* const* argv) {
  bench_options options;
  bool self_check = false;
  bool json = false;
  std::string data_dir;
  double latency_seconds = std::chrono::duration<double>(options.latency_time).count();
  CLI::App app("Measures appending through Colloquy against COPY, on an embedded server of its own.", "colloquy_bench");
  app.option_defaults()->always_capture_default();
  const auto count = [&](const char* flag, std::size_t& member, std::size_t min, std::size_t max, const char* meaning) {
    app.add_option(flag, member, meaning)->check(CLI::Range(min, max));
  };
  count("--sessions", options.sessions, 1, 1'000'000, "Sessions that the messages go to in turn");
  count("--tenants", options.tenants, 1, 100'000, "Tenants that the sessions belong to in turn");
  count("--messages", options.messages, 1, 100'000'000, "Messages in each round, each way");
  count("--message-bytes", options.message_bytes, message_bytes_min, limits::event_bytes_max, "JSON of one message");
  count("--rounds", options.rounds, 1, 1000, "Rounds; medians are reported");
  count("--drivers", options.drivers, 1, 64, "Actors that append");
  count("--concurrency", options.concurrency, 1, 100'000, "Requests in flight of each of them");
  count("--batch-events", options.batch_events, 1000, 100'000, "Events in one batch to the database at most");
  count("--threads", options.threads, 1, 64, "Threads of the actors' scheduler");
  app.add_flag("--request-timeouts", options.request_timeouts,
               "Give each request a timeout of CAF's, to see what that costs");
  app.add_option("--policy", options.policy, "Policy of that scheduler")->check(CLI::IsMember({"sparing", "sharing", "stealing"}));
  app.add_option("--latency-seconds", latency_seconds, "How long each latency is measured")
      ->check(CLI::Range(0.1, seconds_max));
  app.add_option("--data-dir", data_dir, "A new folder for the server, which is kept; else a temporary one")
      ->type_name("DIR");
  app.add_flag("--json", json, "One line of JSON at the end, after the table");
  app.add_flag("--self-check", self_check, "Only whether the bench itself works: a tiny run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  if (self_check)
    options = self_check_options();
  else
    options.latency_time = std::chrono::milliseconds(static_cast<std::int64_t>(latency_seconds * 1000));
  if (!data_dir.empty())
    options.data_dir = data_dir;

  const cli::signal_watch signals; // first: every thread made later leaves the signals to it
  cli::start_logging(config::log_level::warn);
  const auto run = run_bench(options, [&] {
    if (signals.received())
      throw bench_failure("interrupted");
  });
  if (self_check) {
    check_histogram();
    check_report(run, options);
  }
  std::cout << to_text(run, options);
  if (json)
    std::cout << to_json(run, options) << '\n';
  std::cout << std::flush;
  return std::cout ? cli::exit_done : cli::exit_failed;
}

} // namespace
} // namespace colloquy::bench

int main(int argc, char** argv) try {
  return colloquy::bench::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_bench: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
