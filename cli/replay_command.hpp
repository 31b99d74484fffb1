#pragma once

#include "cli/arguments.hpp"
#include "config/load.hpp"
#include "config/settings.hpp"

#include <filesystem>
#include <vector>

namespace colloquy::cli {

/// Files that cannot be replayed, as mistakes of the command line.
void add_file_mistakes(const std::vector<std::filesystem::path>& files, std::vector<config::mistake>& mistakes);

/// Replays, verifies, reports. Gives the exit code.
int run_replay(const replay_arguments& arguments, const config::settings& settings);

} // namespace colloquy::cli
