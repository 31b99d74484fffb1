// How often this process has allocated memory, by operator new. Counting is off until it is asked for, and costs each
// allocation a look at a flag then.
#pragma once

#include <cstdint>
#include <optional>

namespace colloquy::load {

/// Nothing where it cannot be counted: in a build with sanitizers, which bring an operator new of their own.
std::optional<std::uint64_t> allocations_now() noexcept;

/// From now on allocations are counted.
void count_allocations() noexcept;

} // namespace colloquy::load
