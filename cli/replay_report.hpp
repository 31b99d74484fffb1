// What a replay says at its end.
#pragma once

#include "cli/replay_plan.hpp"

#include <string>

namespace colloquy::cli {

struct replay_report {
  std::size_t conversations = 0; ///< replayed whole, copies counted
  std::size_t failed = 0;        ///< conversations that were not, without an interruption
  std::size_t messages = 0;      ///< accepted
  std::size_t turns = 0;
  std::size_t events = 0;  ///< read back
  std::size_t durable = 0; ///< messages known to be committed
  std::size_t verified = 0;
  std::size_t mismatched = 0;
  std::size_t bad_lines = 0;
  double seconds = 0; ///< from the first append to the last commit
  bool interrupted = false;

  double messages_per_s() const { return seconds > 0 ? static_cast<double>(messages) / seconds : 0; }
  /// Everything in the files was replayed, is durable and came back as it was.
  bool is_good() const {
    return failed == 0 && mismatched == 0 && bad_lines == 0 && !interrupted && durable == messages &&
           verified == messages;
  }
};

replay_report make_report(const append_outcome& appended, const check_outcome& checked);

/// A few lines for a person, each ended.
std::string to_text(const replay_report& report);

/// One line of JSON, without its end.
std::string to_json(const replay_report& report);

} // namespace colloquy::cli
