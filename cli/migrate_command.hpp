#pragma once

#include "cli/arguments.hpp"
#include "config/settings.hpp"

namespace colloquy::cli {

/// Brings the schema up to date, or prints the SQL that would. Gives the exit code.
int run_migrate(const migrate_arguments& arguments, const config::settings& settings);

} // namespace colloquy::cli
