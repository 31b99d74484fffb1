// All measurements of a run as one HTML page: tables, plots, and the figures themselves. It asks for nothing from
// anywhere.
#pragma once

#include "bench/load/load_report.hpp"

#include <string>

namespace colloquy::load {

std::string to_html(const load_report& report);

} // namespace colloquy::load
