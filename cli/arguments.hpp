// The command line: which subcommand, with what. Values are judged here; settings are judged by config/, later.
#pragma once

#include "cli/bench_arguments.hpp"
#include "config/load.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace colloquy::cli {

struct replay_arguments {
  std::vector<std::filesystem::path> files;
  std::size_t copies = 1;
  std::size_t concurrency = 256;
  bool json = false;
};

struct serve_arguments {
  bool require_database = false; ///< a database that is away is not waited for
};

struct mcp_arguments {};

struct migrate_arguments {
  bool print_sql = false;
  bool json = false;
};

struct doctor_arguments {
  bool json = false;
  bool advise = false;
  std::optional<std::size_t> cores{}; ///< of the database's machine; nothing: this one's
  std::optional<std::size_t> disks{};
  std::optional<std::size_t> concurrency{}; ///< operations expected at a time
};

struct command_line {
  std::variant<replay_arguments, serve_arguments, mcp_arguments, migrate_arguments, doctor_arguments, bench_arguments>
      command;
  std::vector<std::pair<std::string, std::string>> setting_flags; ///< as config::sources wants them
  std::optional<std::filesystem::path> config_file;
  std::vector<config::mistake> mistakes; ///< if there are any, nothing is to be begun

  /// What the settings are read from.
  config::sources make_sources() const;
  /// The settings from everywhere, and every mistake: those above first.
  config::loaded load_settings() const;
  /// Whether the log's level is said anywhere that this can see: a flag or the environment.
  bool says_log_level(const config::sources& from) const;
};

/// The program is to end at once with this: help, the version, or a command line that cannot be read.
struct finished {
  int exit_code = 0;
  std::string to_stdout{};
  std::string to_stderr{};
};

std::variant<command_line, finished> parse_arguments(int argc, const char* const* argv);

} // namespace colloquy::cli
