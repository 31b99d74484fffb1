// The parts that are actors: the directory with its sessions and its writer on a scheduler of one thread that runs when
// it is told to, and a model of the database, whose own work is not counted.
#pragma once

#include "bench/parts/parts.hpp"

namespace colloquy::bench {

std::unique_ptr<part> make_lookup_part();
std::unique_ptr<part> make_append_part();

} // namespace colloquy::bench
