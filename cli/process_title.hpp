// What others on this machine see of a process: its command line.
#pragma once

#include <string>
#include <vector>

namespace colloquy::cli {

/// The arguments, of which those that may hold a password or a key are overwritten where the system shows them.
std::vector<std::string> take_arguments(int argc, char** argv);

} // namespace colloquy::cli
