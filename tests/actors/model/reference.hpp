// The reference that random histories are measured by: what was asked of one session, what was answered, and what could
// be lost; nothing else. It knows no actor, no batch and no cache, so that it cannot share their mistakes.
//
// Lost may only be what a session and the writer both held when they died, each of them before it was in the database;
// and a session that has not heard yet of a new writer says what it has to the dead one.
#pragma once

#include "messages/session.hpp"
#include "messages/turn_requests.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace colloquy::model {

/// A property that does not hold.
class violation : public std::runtime_error {
public:
  using runtime_error::runtime_error;
};

inline void must(bool holds, const std::string& what) {
  if (!holds)
    throw violation(what);
}

using texts = std::vector<std::string>;

/// An event, as the database has it, or as a reader got it.
struct line {
  event_offset offset = 0;
  std::string kind;
  std::string data;
  turn_id turn{};
  timestamp at{};
  bool operator==(const line& other) const {
    return offset == other.offset && kind == other.kind && data == other.data && turn == other.turn;
  }
};
using lines = std::vector<line>;

/// Of a status event.
struct status_line {
  std::string status;
  std::int64_t number = 0; ///< of a turn; 0: of the session
  turn_id turn{};
};
status_line parse_status(const std::string& data);

/// What the database has of a session beside its log.
struct stored_row {
  std::int64_t turn_count = 0;
  std::int64_t total_tokens = 0;
  std::string status;
  std::map<std::int64_t, std::pair<turn_id, turn_status>> turns{}; ///< by number
};

/// Something that is written as a whole or not at all, however often it is asked for.
struct asked_write {
  texts data;
  turn_id turn{};          ///< in which it is written; nil: in none
  bool keeps_order = true; ///< it is written when its turn among the requests comes
  std::size_t asked = 0;
  std::size_t answered = 0;
  bool is_taken = false;
  bool is_unknown = false;         ///< of some answer nobody can tell whether it was taken
  std::set<event_offset> places{}; ///< that were answered
  bool session_died = false;       ///< since it was asked, and before it was stored
  bool writer_died = false;        ///< the same
  bool is_stored = false;

  bool is_refused() const { return !is_taken && !is_unknown && asked == answered; }
  bool was_at_risk() const { return session_died && writer_died; }
  bool may_be_lost() const { return was_at_risk() && !is_stored; }
};

/// A renewal of a lease: until when it may last, and whether it was answered.
struct asked_renewal {
  timestamp until{};
  bool is_certain = false;
};

struct asked_turn {
  turn_id id;
  turn_policy policy = turn_policy::enqueue;
  std::chrono::seconds lease{};
  std::size_t start = 0;                     ///< its write
  std::map<turn_status, std::size_t> ends{}; ///< asked for: their writes
  std::optional<turn_status> ended{};        ///< answered
  bool left_queue = false;                   ///< cancelled before it began, says an answer
  bool is_granted = false;
  std::vector<asked_renewal> renewals{};
  std::int64_t tokens = 0; ///< of its end, if that counts
};

class reference_session {
public:
  reference_session(session_key key, lines shared)
    : key_(std::move(key))
    , shared_(std::move(shared)) {}

  const session_key& key() const { return key_; }
  /// What it shares with the session that it was forked from.
  const lines& shared() const { return shared_; }
  event_offset first_own() const { return static_cast<event_offset>(shared_.size()); }

  std::size_t new_write(texts data, turn_id turn, bool keeps_order);
  asked_write& write(std::size_t index) { return writes_.at(index); }
  /// Writes that may come again under one key: at most one of them is in the log.
  std::map<std::string, std::vector<std::size_t>> keys;
  std::vector<asked_turn> turns;
  std::set<session_status> statuses_asked; ///< other than active
  std::set<turn_policy> policies_asked;
  std::size_t deaths = 0; ///< its own and the writer's
  bool erase_asked = false;
  bool erase_answered = false;

  /// Somebody asks for that write, perhaps again.
  void ask(std::size_t write);
  void learn_stored(const lines& own);
  void session_dies(const lines& own);
  void writer_dies(const lines& own);

  /// Throws violation.
  void check_log(const lines& own) const;
  void check_turns(const lines& own, const stored_row& row) const;
  /// Turns of this log that were rolled back.
  static std::set<turn_id> rolled_back(const lines& own);
  /// Turns that were hidden while a rollback was accepted which was lost then: who read meanwhile was right.
  std::set<turn_id> perhaps_rolled_back() const;

private:
  void learn_writer();
  void check_group(const lines& own, std::size_t at, const asked_write& group) const;
  void check_end(const asked_turn& turn, const line& start, const line& end, turn_status how) const;
  bool may_be_lost_at(const asked_turn& turn, const line& start, timestamp time) const;
  const asked_turn& find_turn(turn_id id) const;

  session_key key_;
  lines shared_;
  std::vector<asked_write> writes_;
  std::optional<std::size_t> unknown_writer_{}; ///< since the writer died: the first write that only its successor has
};

/// Who read or listened, and what it got: every event once, in order; visible ones all.
struct reading {
  event_offset after = -1;   ///< where it began
  event_offset through = -1; ///< everything up to here was told
  lines seen{};

  /// Throws violation: a repeat, or out of order.
  void take(const line& next);
  void check(const lines& all, const std::set<turn_id>& hidden, const std::string& who) const;
};

} // namespace colloquy::model
