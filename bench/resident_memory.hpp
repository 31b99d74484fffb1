// What this process holds of the machine's memory, and what of it is in use.
#pragma once

#include <cstddef>

namespace colloquy::bench {

/// Bytes in memory, as the operating system counts them; 0 where it does not tell.
std::size_t resident_bytes();

/// Bytes that the allocator has given out and not got back, of all its arenas.
std::size_t allocated_bytes();

/// Returns to the operating system what the allocator holds unused.
void give_back_unused_memory();

} // namespace colloquy::bench
