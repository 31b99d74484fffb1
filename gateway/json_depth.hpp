// How deep JSON is nested.
#pragma once

#include <string_view>

namespace colloquy::gateway {

/// Whether at most that many objects and arrays are inside each other. `json` is valid JSON; it is only skimmed.
bool nests_within(std::string_view json, int depth_max) noexcept;

} // namespace colloquy::gateway
