#include "bench/machine_load.hpp"

#include <stdlib.h>

#include <array>

namespace colloquy::bench {

double load_of_machine() {
  std::array<double, 1> load{};
  return ::getloadavg(load.data(), 1) == 1 ? load[0] : 0;
}

} // namespace colloquy::bench
