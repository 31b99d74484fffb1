#include "cli/program.hpp"

#include "cli/arguments.hpp"
#include "cli/doctor_command.hpp"
#include "cli/exit_code.hpp"
#include "cli/logging.hpp"
#include "cli/mcp_command.hpp"
#include "cli/migrate_command.hpp"
#include "cli/replay_command.hpp"
#include "cli/serve_command.hpp"

#include <exception>
#include <iostream>

namespace colloquy::cli {
namespace {

int run_command(const command_line& line, const bench_command& run_bench) {
  auto loaded = line.load_settings();
  if (auto* replay = std::get_if<replay_arguments>(&line.command))
    add_file_mistakes(replay->files, loaded.mistakes);
  if (auto* bench = std::get_if<bench_arguments>(&line.command))
    add_file_mistakes(bench->transcripts, loaded.mistakes);
  for (const auto& mistake : loaded.mistakes)
    std::cerr << "colloquy: " << config::format(mistake) << '\n';
  if (!loaded.mistakes.empty())
    return exit_wrong_usage;
  start_logging(loaded.values.log_level, loaded.values.log_format);
  if (auto* replay = std::get_if<replay_arguments>(&line.command))
    return run_replay(*replay, loaded.values);
  if (auto* serve = std::get_if<serve_arguments>(&line.command))
    return run_serve(*serve, loaded.values, [&] { return line.load_settings(); });
  if (std::holds_alternative<mcp_arguments>(line.command))
    return run_mcp(loaded.values);
  if (auto* doctor = std::get_if<doctor_arguments>(&line.command))
    return run_doctor(*doctor, loaded.values, line.make_sources());
  if (auto* bench = std::get_if<bench_arguments>(&line.command))
    return run_bench(*bench, loaded.values);
  return run_migrate(std::get<migrate_arguments>(line.command), loaded.values);
}

} // namespace

int run_program(int argc, const char* const* argv, const bench_command& bench) try {
  auto parsed = parse_arguments(argc, argv);
  if (auto* line = std::get_if<command_line>(&parsed))
    return run_command(*line, bench);
  const auto& end = std::get<finished>(parsed);
  std::cerr << end.to_stderr;
  std::cout << end.to_stdout << std::flush;
  return end.exit_code;
} catch (const std::exception& why) { // out of memory, above all
  std::cerr << "colloquy: " << why.what() << '\n';
  return exit_failed;
}

} // namespace colloquy::cli
