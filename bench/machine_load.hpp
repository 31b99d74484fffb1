// How busy the machine is beside us.
#pragma once

namespace colloquy::bench {

/// Processes that ran or waited, over the last minute; 0 where the system does not tell.
double load_of_machine();

} // namespace colloquy::bench
