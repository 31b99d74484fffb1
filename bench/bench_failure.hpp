// How a measurement ends that cannot be trusted.
#pragma once

#include <stdexcept>

namespace colloquy::bench {

/// Ends the run: a figure is given only for work that was done in full and checked.
class bench_failure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace colloquy::bench
