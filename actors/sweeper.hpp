// The sweeper: what is done as time passes, for the sessions of this process' own shards. One a process.
//
// Accepts (actors/sweeper_interface.hpp)
//   shards_owned, ownership_lost   from the ownership actor by way of the directory: whose sessions these are.
//   run_erasure -> erased          takes away what is left of a session whose last write has hidden it. Errors:
//                                  deadline_exceeded (up to a quarter of a second late), overloaded, not_found,
//                                  internal.
// Asks the directory: expire_resident, erase_session.
// sweeper.cpp: what is found as time passes; sweeper_erasures.cpp: erasures.
// What it does, every `sweep_interval`, while it owns anything:
//   overdue     finds sessions whose expiry has passed, in pages; has those in memory expire themselves and marks the
//               others. At once again if the page was full and something of it was marked. One that the database
//               refuses to mark is found by halves, told in the log, and left.
//   old         has those erased that expired `expired_retention` ago, at most `erase_at_once_max` at once.
//   erasures    goes on with those that somebody began and nobody finished.
//   forgotten   idempotency keys and processes that nobody asks for any more, every `forget_interval`.
// Pages come oldest first, so what stays at their front would hide the rest: after a full page, the next one is longer
// by
//   as much as was left of it, up to `page_max`.
// Erasures go in steps (db/erasure.hpp), `erasure_steps_max` at once, a step of each in turn: a short one is not kept
//   waiting by a long one. What fails is tried again, with a growing delay; if it is not for want of the database, its
//   askers are told at once.
// Ordering: none.
// State it owns: which erasures are under way, and who waits for them. The rows in `erasures` are the truth.
// Bounds: `erasures_max` erasures, as many askers; every request has a deadline; pages and steps are of bounded size.
// Death: askers are told internal; what was begun goes on when a sweeper runs again, here or elsewhere.
#pragma once

#include "actors/sweeper_interface.hpp"
#include "db/erasure.hpp"
#include "db/sweep_queries.hpp"
#include "messages/clock.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace colloquy::actors {

struct sweeper_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::sweeper_tick)

namespace colloquy::actors {

/// What is asked of the database, and how its answers are read; a test puts its own here.
struct sweeper_work {
  template <class Value>
  using decoder = std::function<result<Value>(const db::unit_outcome&)>;

  std::function<db::unit(timestamp, const db::shard_set&, std::size_t)> find_overdue;
  std::function<db::unit(timestamp, const db::shard_set&, std::size_t)> find_expired_before;
  decoder<std::vector<session_key>> decode_session_keys;
  std::function<db::unit(process_id, timestamp, const std::vector<session_key>&)> mark_expired;
  decoder<std::int64_t> decode_marked;
  std::function<db::unit(timestamp, std::size_t)> forget_keys;
  std::function<db::unit(timestamp)> forget_processes;
  decoder<std::int64_t> decode_forgotten;
  std::function<db::unit(const session_key&)> erase_step;
  decoder<db::erasure_progress> decode_erasure;
  std::function<db::unit(std::size_t)> read_erasures;
  decoder<std::vector<session_key>> decode_erasures;
  std::function<std::size_t(const session_id&)> shard_of;

  /// db/sweep_queries.hpp, db/erasure.hpp
  static sweeper_work of_database() {
    return {db::find_overdue,  db::find_expired_before, db::decode_session_keys, db::mark_expired,
            db::decode_marked, db::forget_keys,         db::forget_processes,    db::decode_forgotten,
            db::erase_step,    db::decode_erasure,      db::read_erasures,       db::decode_erasures,
            db::shard_of};
  }
};

struct sweeper_options {
  wall_clock now = system_time;
  std::chrono::milliseconds sweep_interval{5'000};
  std::optional<std::chrono::milliseconds> expired_retention = std::chrono::hours{30 * 24}; ///< none: for ever
  std::chrono::milliseconds request_timeout{30'000};
  std::size_t page = 500;
  std::size_t page_max = 10'000;
  std::size_t erase_at_once_max = 20;
  std::size_t erasure_steps_max = 4;
  std::size_t erasures_max = 10'000;
  std::chrono::milliseconds erasure_delay_first{500};
  std::chrono::milliseconds erasure_delay_max{60'000};
  std::chrono::milliseconds forget_interval{3'600'000};
  std::size_t forget_rows = 5'000; ///< in one statement
};

using sweeper_internal = sweeper_actor::extend<caf::reacts_to<sweeper_tick>>;

class sweeper : public sweeper_internal::base {
public:
  sweeper(caf::actor_config& config, supervisor_actor supervisor, sweeper_directory directory,
          sweeper_options options = {}, sweeper_work work = sweeper_work::of_database());

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using promise = caf::typed_response_promise<result<erased>>;
  struct waiting {
    promise answer;
    time_point deadline;
  };
  enum class erasure_state { ready, stepping, delayed };
  struct erasure {
    std::uint64_t number = 0; // of its steps' answers, those of an earlier one are not its own
    erasure_state state = erasure_state::ready;
    bool may_have_begun = false; // so that "nothing to erase" means done
    erased so_far{};
    std::chrono::milliseconds delay{0};
    time_point due{};
    std::vector<waiting> waiters{};
  };
  using erasure_map = std::unordered_map<session_key, erasure>;
  /// A part of what there is, oldest first.
  struct page {
    std::size_t limit = 0;
    std::size_t found = 0;
    bool is_full() const { return found > 0 && found >= limit; }
  };

  void run(db::unit work, std::string_view purpose, const std::string& tenant,
           std::function<void(const db::unit_outcome&)> then);
  template <class Value>
  void ask(db::unit work, std::string_view purpose, const sweeper_work::decoder<Value>& decode,
           std::function<void(result<Value>&)> then);
  void note(std::string_view purpose, const error* problem);
  /// The same may succeed later, with nobody doing anything.
  static bool may_pass(const error& problem);
  bool owns_as(process_id process) const { return process_ == process && owned_.any(); }
  std::size_t longer_by(std::size_t left) const;

  void on_owned(const shards_owned& told);
  void on_lost(const ownership_lost& told);
  void on_tick();
  void sweep();

  void mark_overdue();
  void on_overdue(process_id process, page of, const std::vector<session_key>& keys);
  void start_marking(process_id process, page of, const std::vector<session_key>& others);
  void mark_more(process_id process, page of);
  void on_marked(std::size_t count, const result<std::int64_t>& marked);
  void end_marking(page of);

  void find_old();
  void erase_old();
  void on_old_erased(const error* problem);

  promise add_erasure(const run_erasure& wanted);
  erasure& begin_erasure(const session_key& session);
  void make_ready(const session_key& session, erasure& each);
  void run_steps();
  void step(const session_key& session, erasure& each);
  void on_step(const session_key& session, std::uint64_t number, const db::unit_outcome& outcome);
  void on_step_failed(erasure& each, const error& why);
  void answer(erasure& each, const result<erased>& what);
  void expire_waiters(time_point now);
  void read_begun();
  void on_begun(page of, const std::vector<session_key>& keys);
  void drop_foreign();

  void forget();
  void forget_more_keys(process_id process);
  void end_forgetting(std::chrono::milliseconds again_after);

  supervisor_actor supervisor_;
  sweeper_directory directory_;
  const sweeper_options options_;
  const sweeper_work work_;

  process_id process_;
  db::shard_set owned_;
  time_point sweep_due_{};
  std::set<std::string_view> failing_; // purposes, so that each is logged once

  bool marking_ = false;
  std::deque<session_key> to_mark_;
  std::size_t mark_at_once_ = 0;
  std::size_t marked_ = 0;                     // of this page
  std::unordered_set<session_key> unmarkable_; // so that each is logged once
  std::size_t overdue_left_ = 0;

  bool finding_old_ = false;
  page old_page_;
  std::deque<session_key> old_;
  std::size_t erasing_old_ = 0;
  std::size_t old_gone_ = 0; // of this page
  std::size_t old_left_ = 0;

  erasure_map erasures_;
  std::deque<session_key> ready_;
  std::size_t steps_ = 0;
  std::size_t waiters_ = 0;
  std::uint64_t erasures_begun_ = 0;
  bool reading_begun_ = false;
  std::size_t begun_left_ = 0;

  bool forgetting_ = false;
  time_point forget_due_{};
};

} // namespace colloquy::actors
