// `colloquy doctor --advise`: how large the pool should be.
#pragma once

#include "config/sizing.hpp"
#include "db/doctor_facts.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace colloquy::cli {

/// What is known when the advice is given.
struct sizing_facts {
  std::size_t cores = 1;                  ///< given, else this machine's
  std::size_t disks = 1;                  ///< given, else this machine's
  std::optional<std::size_t> concurrency; ///< given; else what pool_max would be right for
  std::size_t pool_max = 20;
  bool is_this_machine = false; ///< the database runs here, so that cores and disks are its own
  bool is_supavisor = false;
  std::optional<db::doctor::usage_facts> usage; ///< nothing: PostgreSQL's defaults are taken
};

struct sizing_report {
  config::sizing_input input;
  config::sizing_advice advice;
  std::vector<std::string> notes; ///< what was taken for granted
};

sizing_report make_sizing(const sizing_facts& facts);
std::string to_text(const sizing_report& report);
nlohmann::ordered_json to_json(const sizing_report& report);

/// Rotating disks of this machine, 1 at least: an SSD, and a cloud's volume, count as one. `blocks` is /sys/block.
std::size_t count_disks(const std::filesystem::path& blocks);

} // namespace colloquy::cli
