// All measurements of a run, for people at a terminal and for programs.
#pragma once

#include "bench/load/machine_facts.hpp"
#include "bench/load/measurement.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace colloquy::load {

struct load_report {
  std::string date;
  facts machine{};
  facts server{};   ///< empty over HTTP
  facts settings{}; ///< of the bench, as they are to be said again for the same run
  std::vector<measurement> measurements{};
};

/// The lines above and below the table's rows, and a row.
std::string heading(const load_report& report);
std::string row(const measurement& found);

nlohmann::ordered_json to_json(const load_report& report);

} // namespace colloquy::load
