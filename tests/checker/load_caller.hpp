// One caller of the load: a thread that asks, waits for the answer, says it, and goes on, until it is told to stop.
//
// What it does is by its seed: it makes and forks sessions, appends, runs turns. What must never be answered (messages
// missing from the history that comes with a turn, a kept turn that is gone) it says as a fault; whether what was
// answered is kept is for the checker.
#pragma once

#include "tests/checker/load_world.hpp"

#include <caf/scoped_actor.hpp>

#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace colloquy::checker {

class load_caller {
public:
  load_caller(load_world& world, unsigned number);

  /// Ends when the world is stopping and something is refused.
  void run();

  /// Takes up a turn that a run before left: "kept" must still be ours to end, "lost" must not.
  void adopt(const line& turn);
  /// Asks again for an append of an earlier run.
  void repeat(const line& append);

private:
  template <class Request>
  result<typename Request::reply> ask(Request request);
  void say(line said, const session_key& session);
  void refused(const session_key& session, const char* op, const error& why);
  void fault(const session_key& session, std::string why);
  unsigned dice(unsigned sides) { return static_cast<unsigned>(random_() % sides); }
  std::string new_tag();

  void step();
  void make();
  void fork(const known_session& parent);
  result<appended> append(const session_key& session, durability wanted, std::optional<turn_id> turn);
  result<appended> append_once(append_events request, const std::string& tag, bool has_key);
  void append_with_key(const session_key& session);
  void take_turn(const session_key& session);
  bool work_in_turn(const session_key& session, turn_id turn);
  result<void> end(const session_key& session, turn_id turn, turn_status outcome);

  load_world& world_;
  const unsigned number_;
  caf::scoped_actor self_;
  std::mt19937_64 random_;
  std::uint64_t tags_ = 0;
  bool is_over_ = false;
};

} // namespace colloquy::checker
