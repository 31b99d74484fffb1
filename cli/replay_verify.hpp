// Comparing a session's log, as PostgreSQL gives it back, with the conversation that was replayed into it.
#pragma once

#include "cli/transcript.hpp"
#include "messages/event.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace colloquy::cli {

struct comparison {
  std::size_t events = 0;              ///< all that were read, messages or not
  std::size_t verified = 0;            ///< messages that are byte for byte what the file has, in their place
  std::size_t mismatched = 0;          ///< messages changed, missing, moved or too many; gaps; a wrong count of turns
  std::vector<std::string> complaints; ///< the first few, for a person
};

/// Fed with the events of one log in the order in which they were read. The conversation must outlive it.
class log_comparison {
public:
  explicit log_comparison(const conversation& expected)
    : expected_(&expected) {}

  void take(const event& read);
  /// After the last event. `turns`: the session's own count of turns ended.
  comparison finish(std::int64_t turns);

private:
  void take_message(const event& read);
  /// The messages up to `expected_end` did not come; what came instead are the strangers.
  void settle(std::size_t expected_end);
  void complain(std::string what);

  struct stranger {
    event_offset offset = 0;
    event_input input; ///< of the first few
  };

  const conversation* expected_;
  comparison found_;
  event_offset next_offset_ = 0;
  std::size_t next_message_ = 0;
  std::vector<stranger> strangers_; ///< read since the last message that was found, and none of the next expected
};

} // namespace colloquy::cli
