// The table of settings; for this room only, everybody else asks descriptors().
#pragma once

#include "config/settings.hpp"

#include <vector>

namespace colloquy::config {

/// In the order of the struct.
std::vector<setting_descriptor> make_table();

/// Those of database sessions.
void add_database_session_settings(std::vector<setting_descriptor>& table);

/// Those of the edge: where it listens, who may call, what one call may take.
void add_edge_settings(std::vector<setting_descriptor>& table);

} // namespace colloquy::config
