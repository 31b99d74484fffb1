// Profiles: names that stand for the values of several settings.
#pragma once

#include "messages/error.hpp"

#include <string_view>
#include <vector>

namespace colloquy::config {

/// A setting and its value, as they may stand in the file.
struct profile_value {
  std::string_view setting;
  std::string_view text;
};

/// What a list of profiles stands for, each setting once: "large, batch". At most one of each sort: a size (small,
/// medium, large) and a kind of agent (interactive, monitoring, batch, persistent). Where both have a word on the
/// pool, the size has the last. Case and blanks do not matter; an empty list stands for nothing. Fails for a name that
/// nobody knows, one that is missing between two commas, and two of one sort.
result<std::vector<profile_value>> parse_profile(std::string_view list);

} // namespace colloquy::config
