#include "bench/resident_memory.hpp"

#include <fstream>
#include <malloc.h>
#include <unistd.h>

namespace colloquy::bench {

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t allocated_bytes() {
  const auto figures = ::mallinfo2();
  return figures.uordblks + figures.hblkhd;
}

void give_back_unused_memory() {
  ::malloc_trim(0);
}

} // namespace colloquy::bench
