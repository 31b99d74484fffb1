// Two loads on one database: one owns all sessions and the other none; the first is stopped for too long and loses them
// to the second, comes back and lives on without writing, and owns them again when the second ends.
#pragma once

#include "tests/checker/rounds.hpp"
#include "tests/checker/truth.hpp"

#include <functional>
#include <string>

namespace colloquy::checker {

class two_processes {
public:
  two_processes(const checker_options& options, watched_server& server);

  /// With a line for each thing seen. 0: all was as it should be; 1: not.
  int run();

private:
  watched_options load_options(const std::string& name, std::uint64_t seed);
  std::string owner();
  std::string traces_of_first();
  bool await_owner(const std::function<bool(const std::string&)>& wanted, std::chrono::seconds within);
  void second_gets_nothing(watched_load& second);
  bool second_takes_over(watched_load& first, watched_load& second);
  void first_lives_on(watched_load& first, watched_load& second);
  void first_takes_back(watched_load& first, watched_load& second);
  void look(watched_load& first, watched_load& second);
  void check(bool holds, const std::string& what);

  const checker_options& options_;
  watched_server& server_;
  truth database_;
  std::string first_; ///< its process id while it owns everything
  std::string second_;
  std::size_t faults_ = 0;
};

} // namespace colloquy::checker
