// Rounds of load, death and looking: what was promised must be there, whatever died.
#pragma once

#include "tests/checker/evidence.hpp"
#include "tests/checker/watched_load.hpp"
#include "tests/checker/watched_server.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace colloquy::checker {

enum class victim : std::uint8_t { nobody, load, server, both };

struct checker_options {
  std::string load; ///< the program
  std::filesystem::path folder;
  std::string kill = "random"; ///< load, server, both, random or nobody
  std::size_t rounds = 30;
  std::uint64_t seed = 0;
  unsigned callers = 8;
  unsigned tenants = 4;
  bool journal = false;
  bool sabotage = false; ///< at the end, see whether harm would be seen
};

/// Each round begins with a new load on what the last one left.
class rounds {
public:
  rounds(const checker_options& options, watched_server& server);

  /// All of them, each with a line on standard output. 0: everything was as promised; 1: not; exit_no_journal.
  int run();

private:
  struct plan {
    victim who = victim::nobody;
    bool group = false; ///< of the server's processes
    bool server_first = false;
    std::chrono::milliseconds load_time{};
    std::uint64_t load_seed = 0;
  };
  struct report {
    std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
    double ready = 0;       ///< seconds from the load's start
    double server_back = 0; ///< seconds from its restart
    double served = 0;      ///< seconds from the server's return to the next durable answer
    bool keeps_all = false;
  };

  plan make_plan();
  bool play(std::size_t number);
  watched_options load_options(const std::string& name, std::uint64_t seed, unsigned callers);
  std::vector<line> what_is_known();
  std::vector<line> some_appends();
  void carry_out(const plan& what, watched_load& load, report& told);
  void bring_back(report& told);
  void live_through(watched_load& load, report& told);
  void end_in_order(watched_load& load, report& told);
  void settle(std::size_t number);
  void look(std::size_t number, evidence&& round, const plan& what, const report& told);
  void look_at_everything();
  void fault(const std::string& what);

  const checker_options& options_;
  watched_server& server_;
  std::mt19937_64 random_;
  evidence all_;
  std::size_t faults_ = 0;
  std::vector<double> ready_;
};

const char* to_string(victim who);
double seconds_since(std::chrono::steady_clock::time_point start);

} // namespace colloquy::checker
