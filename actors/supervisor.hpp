// The supervisor: owns the pool of connection actors.
//
// Accepts
//   run_unit          -> db::unit_outcome, from one of the shared connections, in turn. If none is ready it waits, in a
//                        bounded queue and until its deadline; then the answer is a failure of kind wait.
//   lease_connection  -> a connection for the asker alone. It ends with the asker's death: the connection is closed and
//                        replaced, so that nobody ever sees another's session state. Errors: overloaded,
//                        database_unavailable with the reason, after the deadline.
//   connection_ready, connection_failed from its connections.
// Ordering: leases first come, first served; units of one asker may run on different connections.
// State it owns: the slots, the queues of those who wait, the delay before the next try to connect.
// Death of a connection: its slot is filled again after a delay that grows while connecting fails, or connections are
// lost as soon as they are made (with jitter), for ever. Its own death ends the connections.
#pragma once

#include "actors/connection.hpp"

#include <caf/actor_clock.hpp>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>

namespace colloquy::actors {

struct supervisor_tick {};
struct fill_slots {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::supervisor_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::fill_slots)

namespace colloquy::actors {

struct pool_options {
  std::size_t connections_min = 1;
  std::size_t connections_max = 1;
  std::chrono::milliseconds acquire_timeout{};
  std::size_t waiters_max = 10'000; ///< of each queue; past it a caller is told that the pool is overloaded
};

using supervisor_internal =
    supervisor_actor::extend<caf::reacts_to<connection_ready>, caf::reacts_to<connection_failed>,
                             caf::reacts_to<supervisor_tick>, caf::reacts_to<fill_slots>>;

class supervisor : public supervisor_internal::base {
public:
  supervisor(caf::actor_config& config, pool_options pool, std::shared_ptr<const connection_options> connection);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using unit_promise = caf::typed_response_promise<db::unit_outcome>;
  using lease_promise = caf::typed_response_promise<result<leased_connection>>;

  struct slot {
    connection_internal connection;
    std::int32_t backend_pid = 0;
    bool ready = false;
    time_point ready_since{};
    caf::actor_addr leaseholder{};
    bool is_leased() const noexcept { return static_cast<bool>(leaseholder); }
  };
  struct waiting_unit {
    unit_promise answer;
    run_unit request;
    time_point deadline;
  };
  struct waiting_lease {
    lease_promise answer;
    caf::strong_actor_ptr asker;
    std::string purpose;
    time_point deadline;
  };

  unit_promise run(run_unit& request);
  lease_promise lease(const lease_connection& request);
  void on_ready(const connection_ready& ready);
  void on_failed(const connection_failed& failed);
  void on_down(const caf::down_msg& down);
  void on_tick();
  void fill();
  void add_slot();
  void schedule_fill(std::chrono::milliseconds delay);
  bool has_lasted(const slot& entry);
  void serve_waiters();
  slot* pick_shared();
  slot* pick_for_lease();
  void grant(slot& chosen, waiting_lease& waiter);
  std::size_t shared_and_ready() const;
  error why_unavailable() const;

  const pool_options pool_;
  std::shared_ptr<const connection_options> connection_options_;
  std::map<std::uint64_t, slot> slots_;
  std::uint64_t last_slot_ = 0;
  std::deque<waiting_unit> waiting_units_;
  std::deque<waiting_lease> waiting_leases_;
  std::chrono::milliseconds connect_delay_;
  bool fill_scheduled_ = false;
  std::string last_failure_;
  std::uint64_t last_picked_ = 0; // slot; the shared ones are used in turn
};

} // namespace colloquy::actors
