// Chance that repeats: what std::random_device gives, and with it every generator that the service seeds from it.
#pragma once

#include <cstdint>

namespace colloquy::model {

/// From now on, on this thread, random_device gives the numbers that belong to the seed. Where this has not been called
/// it asks the operating system as ever.
void repeat_chance(std::uint64_t seed);

} // namespace colloquy::model
