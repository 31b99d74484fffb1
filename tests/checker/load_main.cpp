// The load of the crash checker: the service inside a program that asks much of it and says every answer (lines.hpp),
// to be killed at any moment. SIGTERM ends it in order. Exit codes: 0 ended in order; 1 not so; 2 wrong usage; 77 the
// journal was asked for and the service has none.
#include "actors/service.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/signals.hpp"
#include "tests/checker/load_caller.hpp"
#include "tests/checker/load_exit.hpp"

#include <CLI/CLI.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

namespace colloquy::checker {
namespace {

using namespace std::chrono_literals;

constexpr auto stop_limit = 20s;

/// Few connections, and answers that come sooner than the checker loses its patience. False if the service knows no
/// journal and one is wanted.
template <class Settings>
bool fill_in(Settings& settings, const load_options& options) {
  settings.pool_min = 3;
  settings.pool_max = 6;
  settings.request_timeout = 20s;
  settings.reconnect_delay_max = 500ms;
  if (options.journal.empty())
    return true;
  if constexpr (requires { settings.journal_path = options.journal; }) {
    settings.journal = true;
    settings.journal_path = options.journal;
    return true;
  }
  return false;
}

bool keeps_journal(caf::actor_system& system, const actors::service& service) {
  bool is_on = false;
  caf::scoped_actor self{system};
  self->request(service.directory(), 10s, get_health{})
      .receive([&](const result<service_health>& health) { is_on = health && health->journal_on; },
               [](const caf::error&) {});
  return is_on;
}

std::vector<line> read_known(const std::string& path) {
  std::vector<line> known;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);)
    known.push_back(parse_line(text));
  return known;
}

/// What earlier runs left comes first: turns before anybody can take them away, then repeats beside the others.
std::vector<std::thread> start_callers(load_world& world) {
  const auto known = read_known(world.options.known);
  for (const auto& each : known)
    if (const auto session = parse_session(each["session"]); session && each.kind == "session")
      world.add(*session);
  std::vector<std::thread> threads;
  if (world.options.callers == 0)
    return threads;
  auto first = std::make_shared<load_caller>(world, 0U);
  for (const auto& each : known)
    if (each.kind == "turn")
      first->adopt(each);
  threads.emplace_back([first, known] {
    for (const auto& each : known)
      if (each.kind == "repeat")
        first->repeat(each);
    first->run();
  });
  for (unsigned i = 1; i < world.options.callers; ++i)
    threads.emplace_back([&world, i] { load_caller(world, i).run(); });
  return threads;
}

/// The callers go on meanwhile: whatever they are still answered counts.
int stop(load_world& world, actors::service& service, std::vector<std::thread>& callers) {
  world.is_stopping = true;
  const auto outcome = service.stop(stop_limit);
  for (auto& each : callers)
    each.join();
  auto why = outcome ? std::string("in order") : outcome.failure().message;
  std::replace(why.begin(), why.end(), ' ', '_');
  world.say({"stopped", {{"outcome", why}}});
  return outcome ? cli::exit_done : cli::exit_failed;
}

int run_load(const load_options& options) {
  const cli::signal_watch signals;
  cli::start_logging(config::log_level::info);
  config::settings settings;
  if (!fill_in(settings, options))
    return exit_no_journal;
  caf::actor_system_config config;
  caf::actor_system system(config);
  auto started = actors::service::start(system, {settings, options.conninfo});
  if (!started) {
    std::cerr << "the service does not start: " << started.failure().message << "\n";
    return cli::exit_failed;
  }
  auto& service = **started;
  if (!options.journal.empty() && !keeps_journal(system, service))
    return exit_no_journal;
  load_world world(system, service.directory(), options);
  world.say({"ready"});
  auto callers = start_callers(world);
  while (!signals.received())
    std::this_thread::sleep_for(5ms); // whoever ends it does so from outside
  return stop(world, service, callers);
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Puts load on the service and says every answer, to be killed.", "colloquy_crash_load");
  app.option_defaults()->always_capture_default();
  load_options options;
  app.add_option("--conninfo", options.conninfo, "How the service logs in; without a password")->required();
  app.add_option("--name", options.name, "Of this run; no other one has it");
  app.add_option("--known", options.known, "A file of what earlier runs left");
  app.add_option("--journal", options.journal, "The journal's file; without it there is no journal");
  app.add_option("--seed", options.seed);
  app.add_option("--callers", options.callers)->check(CLI::Range(0, 1000));
  app.add_option("--tenants", options.tenants)->check(CLI::Range(1, 8));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? cli::exit_done : cli::exit_wrong_usage;
  }
  return run_load(options);
}

} // namespace
} // namespace colloquy::checker

int main(int argc, char** argv) try {
  return colloquy::checker::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "colloquy_crash_load: " << why.what() << '\n';
  return colloquy::cli::exit_failed;
}
