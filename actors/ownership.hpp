// Ownership: which sessions are this process' own. One a process.
//
// Accepts (actors/ownership_interface.hpp)
//   writer_fenced          looks at once whether another has taken over; of an older process id: ignored.
//   get_ownership_status -> ownership_status   at once.
//   give_up -> given_up    frees everything, for good. Errors: deadline_exceeded, overloaded, internal.
// Sends, to its listener
//   shards_owned           after registering, then with each change.
//   ownership_lost         another has taken over; then it registers under a fresh process id and goes on. Nothing is
//                          sent once it has been told to give up.
// Ordering: the listener gets these in the order of what happened; of one process id, ownership_lost is the last.
// What it does: registers a fresh process id; renews it every `interval`; behind each renewal takes what is free, also
//   at once from processes of this machine that have ended for certain. One renewal and one taking are under way at a
//   time, and a taking never outlasts a process id unnoticed: its answer is ignored then.
// While the database does not answer it keeps what it has and goes on trying: what it owns is the database's to say,
// and
//   writers are fenced. A registration that failed is tried under another id, for it may have been made.
// State it owns: the process id and its shards.
// Bounds: every request to the pool has a deadline; `give_ups_max` callers of give_up.
// Death: who waits for give_up is told internal. Its rows stay; the shards are free db::ownership_lasts later.
#pragma once

#include "actors/ownership_interface.hpp"
#include "actors/process_place.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::actors {

struct ownership_tick {}; ///< each interval
struct giving_up_tick {}; ///< something of giving up is due

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::ownership_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::giving_up_tick)

namespace colloquy::actors {

/// What is asked of the database, and how its answers are read; a test puts its own here. What `renew` and the others
/// answer without a decoder is success or failure alone.
struct ownership_work {
  std::function<db::unit(process_id, const db::process_place&)> enter;
  std::function<db::unit(process_id)> renew;
  std::function<result<std::optional<db::shard_set>>(const db::unit_outcome&)> decode_renewal;
  std::function<db::unit(process_id)> read_others;
  std::function<result<std::vector<db::other_process>>(const db::unit_outcome&)> decode_others;
  std::function<db::unit(process_id, const std::vector<process_id>&)> take;
  std::function<result<db::taken_shards>(const db::unit_outcome&)> decode_taken;
  std::function<db::unit(process_id)> end;

  /// db/ownership_queries.hpp
  static ownership_work of_database() {
    return {db::register_process, db::renew_process, db::decode_renewal, db::read_processes,
            db::decode_processes, db::take_shards,   db::decode_taken,   db::end_process};
  }
};

struct ownership_options {
  std::chrono::milliseconds interval = db::ownership_renewed_every;
  std::chrono::milliseconds renewal_timeout{4'000};  ///< two of them in a row still end before db::ownership_lasts
  std::chrono::milliseconds request_timeout{10'000}; ///< of everything else
  std::size_t give_ups_max = 1000;
  db::process_place place = own_process_place();
  /// The process id of an ownership actor of this process that has died. Its shards are taken at once: nobody renews
  /// them, and its place says that it lives.
  std::optional<process_id> former{};
  std::function<bool(const db::process_place&)> has_ended = actors::has_ended;
};

using ownership_internal = ownership_actor::extend<caf::reacts_to<ownership_tick>, caf::reacts_to<giving_up_tick>>;

class ownership : public ownership_internal::base {
public:
  ownership(caf::actor_config& config, supervisor_actor supervisor, ownership_listener listener,
            ownership_options options = {}, ownership_work work = ownership_work::of_database());

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using promise = caf::typed_response_promise<result<given_up>>;
  struct waiting {
    promise answer;
    time_point deadline;
  };
  /// What was known when something was asked for.
  struct asked {
    process_id process;
    time_point at{};
    bool was_taking = false;
  };
  struct purpose {
    std::string_view name;
    std::chrono::milliseconds timeout;
    bool idempotent;
  };

  void run(db::unit work, const purpose& what, std::function<void(const db::unit_outcome&)> then);
  asked remember();
  bool is_current(const asked& when) const;

  void on_tick();
  void enter();
  void on_entered(const asked& when, const db::unit_outcome& outcome);
  void renew();
  void on_renewed(const asked& when, const db::unit_outcome& outcome);
  void adopt(const asked& when, const db::shard_set& owned);
  void lose();
  void take();
  void on_others(const asked& when, const db::unit_outcome& outcome);
  void on_taken(const asked& when, const db::unit_outcome& outcome);
  void end_taking(const asked& when, std::string problem);
  void announce(const db::shard_set& owned, std::vector<std::optional<process_id>> previous);
  void succeeded(const asked& when);
  void failed(const asked& when, const error& why);
  ownership_status status();

  promise add_give_up(const give_up& wanted);
  void go_on_giving_up();
  void try_to_end();
  void finish();

  supervisor_actor supervisor_;
  ownership_listener listener_;
  const ownership_options options_;
  const ownership_work work_;

  process_id process_ = process_id::make();
  bool is_registered_ = false;
  bool is_announced_ = false; // the listener knows of this process id
  db::shard_set owned_;

  bool entering_ = false;
  bool renewing_ = false;
  bool look_again_ = false; // when the renewal under way is answered
  bool taking_ = false;

  std::optional<time_point> last_renewal_;
  std::optional<time_point> failing_since_;
  std::string problem_;
  std::string taking_problem_;

  bool giving_up_ = false;
  bool ending_ = false;
  bool is_over_ = false;
  std::vector<waiting> give_ups_;
};

} // namespace colloquy::actors
