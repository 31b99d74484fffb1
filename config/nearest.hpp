// "Did you mean": the known name that a misspelt one is nearest to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

/// Nothing if none is near. Near: two letters, or a third of them, are added, lost or changed at most.
std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& known);

} // namespace colloquy::config
