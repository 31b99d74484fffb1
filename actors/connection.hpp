// The connection actor: one backend, driven without blocking.
//
// Accepts
//   run_unit       -> db::unit_outcome. Always answered. A failure of kind connection_lost means that the outcome is
//                     unknown; wait, that nothing was done. While a lease holds the backend only its own units are run;
//                     any other is refused.
//   assign_lease, finish_lease, check_connection, retire_connection   from its supervisor (connection_interface.hpp).
// Sends, to the supervisor: connection_ready once, when the settings are in force and read back; units_done;
//   connection_rested; lease_overdue; lease_leaks; retry_unit, with which it hands on a shared unit that may be run
//   again; connection_failed before it ends. To the leaseholder: backend_notified.
// Ordering: units run in the order of arrival and are answered in it. Only shared units may overtake each other, when
//   one is run again.
// Run again here, at once: a unit whose prepared statement the server has lost or holds for a table that has changed
//   since, and one that a cancel meant for its neighbour has hit. Both were rolled back. Of a lease only the former,
//   and only if nothing came behind it and no transaction is open.
// Cancelling: a unit past its deadline, one that runs long and whose asker has died, and whatever a lease leaves
//   running is cancelled at the server when it is first in line, by a thread of its own. No unit is sent until the
//   cancel is known to have landed: its thread is back, and a round trip after that went well. If that takes longer
//   than `cancel_grace` the connection is given up.
// State it owns: the libpq connection, its watch on the I/O thread, and the promises of the units under way.
// Deadlines: `connect_timeout` until it is ready, in equal parts for several hosts; each unit's own, or `unit_timeout`.
// Death: when the connection breaks, whatever is under way is answered or handed back, and it stays to do the same with
//   what is still on its way to it, until its supervisor has heard of it and, of a lease, until its owner has ended it.
//   When its supervisor ends, so does it.
#pragma once

#include "actors/connection_interface.hpp"
#include "actors/io_reactor.hpp"
#include "db/pipeline_connection.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::actors {

struct socket_ready {
  std::uint64_t generation = 0;
  socket_watch::readiness what{};
};
struct connection_tick {};
struct hosts_resolved {
  result<db::resolved_hosts> hosts;
};
struct cancel_returned {
  result<void> outcome;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::socket_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::hosts_resolved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::cancel_returned)

namespace colloquy::actors {

struct connection_options {
  db::connection_target target;
  db::endpoint_options endpoint; ///< from which the target's conninfo was made, for other credentials
  bool has_host_names = false;   ///< to be looked up before each try, by a thread of its own
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds unit_timeout{35'000};
  std::chrono::milliseconds cancel_grace{5'000};
  std::chrono::milliseconds leak_after{60'000};
  std::chrono::milliseconds slow_after{1'000};
  std::shared_ptr<io_reactor> reactor;
};

using connection_internal =
    managed_connection_actor::extend<caf::reacts_to<socket_ready>, caf::reacts_to<connection_tick>,
                                     caf::reacts_to<hosts_resolved>, caf::reacts_to<cancel_returned>>;

class connection : public connection_internal::base {
public:
  connection(caf::actor_config& config, std::uint64_t slot, connection_owner owner,
             std::shared_ptr<const connection_options> options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using promise = caf::typed_response_promise<db::unit_outcome>;
  struct pending_unit {
    promise answer;
    run_unit request;
    time_point deadline;
    time_point begun;
    caf::actor_addr asker;
    bool is_watched = false; // its asker
    bool is_doomed = false;  // to be cancelled when it is first in line
    bool is_answered = false;
    bool was_repeated = false; // here, for a lost plan
  };
  using units = std::map<std::uint64_t, pending_unit>; // by tag, which is the order of sending
  enum class cancelling { none, asked, probing };
  /// For people. Kept instead of its text, which takes reading all of the SQL.
  struct statement_name {
    const db::statement* ours = nullptr;
    std::shared_ptr<const db::caller_statement> callers = nullptr;
    std::string text() const;
  };
  // Tags of the connection's own round trips; those of units are higher.
  static constexpr std::uint64_t probe_tag = 1;
  static constexpr std::uint64_t check_tag = 2;
  static constexpr std::uint64_t reset_tag = 3;
  static constexpr std::uint64_t naming_tag = 4;
  static constexpr std::uint64_t first_unit_tag = 100;
  static constexpr std::chrono::milliseconds tick_interval{250}; // deadlines are long, so coarse is enough

  // connection.cpp: the socket and the units
  void start();
  void connect_to_next_host();
  promise run(run_unit& request);
  static statement_name last_statement_of(const run_unit& request);
  std::optional<db::db_failure> refusal(const run_unit& request) const;
  void on_socket(const socket_ready& ready);
  void advance();
  void take_news();
  void watch_for(db::io_need need);
  void send_held();
  void send_now(pending_unit unit);
  void take_finished();
  void finish(pending_unit unit, db::unit_outcome outcome, bool was_sent = true);
  bool run_again(pending_unit& unit, const db::db_failure& failure);
  bool hand_on(pending_unit& unit, const db::db_failure& failure, bool was_sent);
  void unwatch(const caf::actor_addr& asker);
  void note(const pending_unit& unit, const db::unit_outcome& outcome);
  void flush_notes();
  void give_up(db::db_failure why);
  void report_ready();

  // connection_care.cpp: deadlines, cancelling, leases
  void on_tick();
  void check_deadlines(time_point now);
  void check_lease(time_point now);
  void on_down(const caf::down_msg& down);
  void answer_early(pending_unit& unit, bool was_sent, const char* why);
  void cancel_first();
  void stop_what_runs();
  void on_cancel_returned(const cancel_returned& returned);
  void finish_probe(const db::unit_outcome& outcome);
  void assign(const assign_lease& given);
  void end_the_lease(const finish_lease& request);
  void settle();
  void finish_reset(const db::unit_outcome& outcome);
  void begin_check();
  void finish_check(const db::unit_outcome& outcome);
  void probe(std::uint64_t tag);
  void name_the_session();
  void pass_notifications();

  const std::uint64_t slot_;
  connection_owner owner_;
  std::shared_ptr<const connection_options> options_;
  std::string conninfo_;                   // with addresses
  std::vector<std::string> address_notes_; // why there may be no way to them
  std::size_t hosts_left_ = 0;
  std::unique_ptr<db::pipeline_connection> link_;
  std::unique_ptr<socket_watch> watch_; // after link_: it must go first
  std::uint64_t generation_ = 0;
  bool advancing_ = false;
  bool advance_again_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool reported_ = false;
  bool ended_ = false;
  time_point connect_deadline_;
  time_point host_deadline_;

  std::uint64_t last_tag_;
  units sent_;
  std::deque<pending_unit> held_; // until a cancel has landed
  std::vector<unit_note> notes_;
  std::size_t cancels_ = 0;

  cancelling cancelling_ = cancelling::none;
  time_point cancel_deadline_;
  std::uint64_t cancelled_tag_ = 0; // of the unit that the last cancel was meant for
  bool left_open_ = false;          // a transaction, by a unit that should have been one
  lease_id lease_ = 0;
  assign_lease leased_;
  bool lease_used_ = false;
  bool lease_ending_ = false;
  bool lease_overdue_ = false; // and reported
  bool lease_leaks_ = false;
  bool resetting_ = false;
  time_point own_deadline_; // of a reset or a check under way
  time_point last_use_;
  statement_name last_statement_;
  bool checking_ = false;
  bool check_sent_ = false; // not while a cancel is under way, which could hit it
  bool retiring_ = false;
  bool is_told_to_end_ = false;
};

} // namespace colloquy::actors
