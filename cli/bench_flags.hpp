// The flags of `colloquy bench`: taken as texts, judged together, so that every mistake is told at once.
#pragma once

#include "cli/bench_arguments.hpp"
#include "config/load.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

namespace colloquy::cli {

class bench_flags {
public:
  /// The subcommand with its own flags; those of the settings are added by the caller. Must outlive the parsing.
  CLI::App& add_to(CLI::App& app);
  /// Behind the parsing.
  bench_arguments judge(const CLI::App& command, std::vector<config::mistake>& mistakes) const;

private:
  std::map<std::string, std::string> texts_; ///< by flag
  std::vector<std::string> workloads_;
  std::vector<std::string> transcripts_;
  bool json_ = false;
  bool keeps_ = false;
};

} // namespace colloquy::cli
