// What the public conformance suite wants to find on a server: tools, resources and prompts under names of its own.
// They stand beside the product's in one registry, and are served by the same core.
#pragma once

#include "gateway/mcp_registry.hpp"

namespace colloquy::tests {

/// The product's and the suite's. Whatever they keep lives as long as the program.
gateway::mcp::registry fixture_registry();

void add_plain_tools(gateway::mcp::registry& to);
void add_asking_tools(gateway::mcp::registry& to); ///< that ask a client of the older versions
void add_input_tools(gateway::mcp::registry& to);  ///< that have a client of 2026-07-28 ask
void add_resources_and_prompts(gateway::mcp::registry& to);

inline constexpr const char* pixel_png =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
inline constexpr const char* silence_wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

} // namespace colloquy::tests
