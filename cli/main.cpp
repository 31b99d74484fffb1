#include "cli/program.hpp"

int main(int argc, char** argv) {
  return colloquy::cli::run_program(argc, argv);
}
