#include "bench/sessions/report.hpp"
#include "bench/sessions/self_check.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/signals.hpp"

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>
#include <limits>

namespace colloquy::bench {
namespace {

void add_options(CLI::App& to, idle_options& options, std::string& data_dir) {
  to.add_option("--sessions", options.sessions, "In memory at once")->check(CLI::Range(1, 100'000'000));
  to.add_option("--tenants", options.tenants, "That they belong to in turn")->check(CLI::Range(1, 100'000));
  to.add_option("--at-once", options.at_once, "Conversations under way while they are made")
      ->check(CLI::Range(1, 10'000));
  to.add_option("--messages", options.messages, "Of each session")->check(CLI::Range(3, 1000));
  to.add_option("--message-bytes", options.message_bytes, "JSON of one message")
      ->check(CLI::Range(message_bytes_min, limits::event_bytes_max));
  to.add_option("--wakes", options.wakes, "Of either kind")->check(CLI::Range(1, 1'000'000));
  to.add_option("--tail-cache-bytes", options.tail_cache_bytes_max, "Bound of the cache of tails, all sessions' newest")
      ->check(CLI::Range(std::size_t{1} << 20, std::size_t{1} << 40));
  to.add_option("--seed", options.seed, "Of who is woken");
  to.add_option("--data-dir", data_dir, "A new folder for the server, which is kept; else a temporary one")
      ->type_name("DIR");
}

void add_options(CLI::App& to, history_options& options) {
  to.add_option("--long-messages", options.long_messages, "Of the long log")->check(CLI::Range(21, 100'000'000));
  to.add_option("--message-bytes", options.message_bytes, "JSON of one message")
      ->check(CLI::Range(message_bytes_min, limits::event_bytes_max));
  to.add_option("--samples", options.samples, "Of each reading, hot and cold")->check(CLI::Range(1, 1'000'000));
  to.add_option("--seed", options.seed, "Of their order");
}

template <class Figures, class Options>
void print(const Figures& found, const Options& options, bool json) {
  std::cout << to_text(found, options);
  if (json)
    std::cout << to_json(found, options) << '\n';
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Measures sessions that nobody uses, and what their histories cost, on an embedded server of its own.",
               "colloquy_sessions_bench");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  bool json = false;
  bool self_check = false;
  app.add_flag("--json", json, "One line of JSON at the end, after each table");
  app.add_flag("--self-check", self_check, "Only whether the bench itself works: a tiny run");
  app.fallthrough(); // both flags may stand behind the subcommand too
  idle_options idle;
  history_options histories;
  std::string data_dir;
  auto* idle_command = app.add_subcommand("idle", "What an idle session costs, and how long waking one takes");
  add_options(*idle_command, idle, data_dir);
  auto* history_command = app.add_subcommand("history", "What the last messages of short and long logs cost");
  add_options(*history_command, histories);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  if (self_check) {
    idle = idle_self_check_options();
    histories = history_self_check_options();
  }
  if (!data_dir.empty())
    idle.data_dir = data_dir;

  const cli::signal_watch signals; // first: every thread made later leaves the signals to it
  cli::start_logging(config::log_level::error);
  const auto check = [&] {
    if (signals.received())
      throw bench_failure("interrupted");
  };
  if (*idle_command) {
    const auto found = measure_idle_sessions(idle, check);
    if (self_check)
      check_report(found, idle);
    print(found, idle, json);
  }
  if (*history_command) {
    const auto found = measure_histories(histories, check);
    if (self_check)
      check_report(found, histories);
    print(found, histories, json);
  }
  std::cout << std::flush;
  return std::cout ? cli::exit_done : cli::exit_failed;
}

} // namespace
} // namespace colloquy::bench

int main(int argc, char** argv) try {
  return colloquy::bench::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_sessions_bench: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
