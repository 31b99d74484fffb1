// The crash checker: loads a service, kills it or its PostgreSQL or both, starts them again, and looks whether all that
// was answered is there. Exit codes: 0 everything was; 1 something was not; 2 wrong usage; 77 no journal to check.
#include "cli/exit_code.hpp"
#include "tests/checker/rounds.hpp"
#include "tests/checker/two_processes.hpp"
#include "tests/support/temp_dir.hpp"

#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <random>

namespace colloquy::checker {
namespace {

int run_checker(checker_options options, const std::string& service, const std::string& look, bool with_two) {
  const test::temp_dir folder("colloquy-crash");
  options.folder = folder.path();
  const auto server =
      service.empty() ? std::make_unique<watched_server>() : std::make_unique<watched_server>(service, look);
  return with_two ? two_processes(options, *server).run() : rounds(options, *server).run();
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Checks what survives kill -9 of the service, of PostgreSQL, or both.", "crash_checker");
  app.option_defaults()->always_capture_default();
  checker_options options;
  options.load = COLLOQUY_CRASH_LOAD;
  options.seed = std::random_device{}();
  std::string service, look;
  bool with_two = false;
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1'000'000));
  app.add_option("--seed", options.seed, "Repeats what is killed and when");
  app.add_option("--kill", options.kill)->check(CLI::IsMember({"load", "server", "both", "random", "nobody"}));
  app.add_option("--callers", options.callers)->check(CLI::Range(1, 1000));
  app.add_option("--tenants", options.tenants)->check(CLI::Range(2, 8));
  app.add_flag("--journal", options.journal, "With a journal: every accepted answer must survive, too");
  app.add_flag("--sabotage", options.sabotage, "At the end, harm the database in every way that must be seen");
  app.add_flag("--two-processes", with_two,
               "No rounds: two loads on one database, of which one is stopped for a while");
  auto* const given = app.add_option("--database", service,
                                     "A migrated one to use, instead of a server of our own; no "
                                     "password in it. Only the load is killed then");
  app.add_option("--look", look, "The same as a user who sees all rows")->needs(given);
  given->needs(app.get_option("--look"));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  return run_checker(options, service, look, with_two);
}

} // namespace
} // namespace colloquy::checker

int main(int argc, char** argv) try {
  return colloquy::checker::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "crash_checker: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
