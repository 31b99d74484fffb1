// What was answered, as far as it was promised to be kept: of one run of the load, then of all of them.
//
// Promised is what was answered as durable; what the same caller was answered in that session before; and every event
// of the session below it, for durable means everything below. Of a run that ended in order, or has a journal, every
// answer is. An answer that another process owns the sessions takes all promises back that are not kept by then.
#pragma once

#include "tests/checker/lines.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::checker {

struct said_event {
  std::string session;
  std::int64_t offset = -1; ///< -1: somewhere in the log
  std::string digest;
};

struct said_turn {
  std::string session;
  std::string turn;
  std::string status; ///< running: it may have ended since, by itself or by whoever came next
  std::int64_t input = 0;
  std::int64_t output = 0;
};

struct said_session {
  std::string session;
  std::string parent; ///< "" if it is no fork
  std::int64_t offset = -1;
};

struct asked_append {
  std::string session;
  std::int64_t count = 0;
  std::int64_t offset = -1; ///< of its answer, if there was one
  bool is_promised = false; ///< to be at that offset for good
};

struct evidence {
  std::vector<said_event> events;
  std::vector<said_turn> turns;
  std::vector<said_session> sessions;
  std::map<std::string, asked_append> appends; ///< with a key, by tag
  std::vector<std::string> faults;
  std::size_t durable = 0;                     ///< answers
  std::size_t accepted = 0;                    ///< answers
  std::map<std::string, std::size_t> refusals; ///< by code

  /// A later run's. Faults too: what was promised of an append with a key must have been answered again.
  void add(evidence&& later);
};

/// Reads the lines of one run, in order.
class run_evidence {
public:
  void take(const line& said);
  /// No more lines: what is promised. `keeps_all`: accepted counts like durable.
  evidence finish(bool keeps_all);

private:
  struct open_answer { // not promised yet
    std::vector<said_event> events;
    std::vector<said_turn> turns;
    std::string tag; // of an append with a key
    std::string caller;
  };
  struct of_session {
    std::vector<open_answer> open;
    std::int64_t durable_offset = -1;
  };

  void take_append(const line& said);
  void take_answer(const line& said, open_answer answer);
  void take_refusal(const line& said);
  void note_offset(const line& said);
  void promise(open_answer&& kept);
  void promise_below(of_session& session);
  void promise_of_caller(const line& said);
  void take_back();

  evidence out_;
  std::unordered_map<std::string, of_session> sessions_;
};

} // namespace colloquy::checker
