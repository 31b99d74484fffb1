// The table of settings; for this room only, everybody else asks descriptors().
#pragma once

#include "config/settings.hpp"

#include <vector>

namespace colloquy::config {

/// In the order of the struct.
std::vector<setting_descriptor> make_table();

} // namespace colloquy::config
