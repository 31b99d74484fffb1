#pragma once

#include "cli/arguments.hpp"
#include "cli/doctor_report_way.hpp"
#include "config/load.hpp"
#include "config/settings.hpp"
#include "db/endpoint.hpp"

#include <string>

namespace colloquy::cli {

/// Probes one after the other, 5 s at most each, and says what each found, a verdict, and what to do next. Gives the
/// exit code: failed if a probe did. `from`: what the settings were read from, to say where the connection comes from.
int run_doctor(const doctor_arguments& arguments, const config::settings& settings, const config::sources& from);

/// Which source the connection comes from, as "environment DATABASE_URL". Never a value.
std::string source_of_database(const config::settings& settings, const config::sources& from);

/// What the first probe is judged by, as far as the settings say it.
configuration_facts configuration_of(const config::settings& settings, const config::sources& from,
                                     const std::string& conninfo);

} // namespace colloquy::cli
