#include "bench/load/bench_command.hpp"
#include "cli/process_title.hpp"
#include "cli/program.hpp"

#include <string_view>

int main(int argc, char** argv) {
  auto words = colloquy::cli::take_arguments(argc, argv);
  // Under this name it is what configurations of another program start, with the connection as its only word.
  const std::string_view name = words.empty() ? "" : std::string_view(words.front());
  if (name.substr(name.rfind('/') + 1) == "mcp-server-postgres")
    words.insert(words.begin() + 1, "mcp");
  std::vector<const char*> all;
  for (const auto& each : words)
    all.push_back(each.c_str());
  return colloquy::cli::run_program(static_cast<int>(all.size()), all.data(), colloquy::load::run_bench);
}
