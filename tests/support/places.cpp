#include "tests/support/places.hpp"

namespace colloquy::test {

const char* source_dir() {
  return COLLOQUY_SOURCE_DIR;
}

const char* program() {
  return COLLOQUY_PROGRAM;
}

} // namespace colloquy::test
