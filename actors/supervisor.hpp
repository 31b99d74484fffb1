// The supervisor: owns the pool of connection actors.
//
// Accepts
//   run_unit          -> db::unit_outcome, from one of the shared backends, which may have `pipeline_depth` units under
//                        way each. If none has room the unit waits, in a bounded queue and until its deadline; then the
//                        answer is a failure of kind wait that says why.
//   lease_connection  -> a backend for the asker alone. Errors: overloaded (a queue is full), database_unavailable with
//                        the reason, after the deadline.
//   Both are refused at once, with the reason, while there is no backend and none can come until somebody changes a
//   setting: wrong credentials, a certificate that is not trusted, a pooler in transaction mode.
//   end_lease         the backend is made as new, and given to the next.
//   the control messages of pool_interface.hpp, and what its connections say (connection_interface.hpp).
// Ordering: first come first served within a tenant, weighted-fair between tenants (fair_queue.hpp); leases and units
//   have a queue each, and a backend is kept free for a lease that waits, so that neither starves the other. A lease
//   never takes the last backend: units need one. Units of one asker may run on different backends.
// Tried again: a unit whose failure may pass has three tries in all, after 1 s and 2 s with jitter, inside its
//   deadline; one whose outcome is unknown only if it is idempotent.
// A lease ends with its owner's end_lease or death, its idle timeout, or a drain.
// Size: min backends are kept; the first is made alone, the others a few at a time. One more is made while somebody
//   waits, up to max. One that has been idle for idle_timeout goes, down to min. One that is older than max_lifetime
//   (less up to a tenth) is replaced: its successor is ready before it goes, and no lease is cut for it; so there may
//   be one more than max. Where the server has no place for one more, the old one goes first.
// Health: who has been idle for a while is checked before it is given out, and every health_check_interval. One that
//   dies is replaced, after a delay that grows while connecting fails (connect_gate.hpp), for ever.
// State it owns: the slots, the queues, the numbers.
// Death of a connection: its slot is filled again. Its own death ends the connections; who waits is answered.
#pragma once

#include "actors/connect_gate.hpp"
#include "actors/connection.hpp"
#include "actors/fair_queue.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

struct supervisor_tick {};
struct pool_report {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::supervisor_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::pool_report)

namespace colloquy::actors {

struct pool_options {
  std::size_t connections_min = 1;
  std::size_t connections_max = 2;
  std::chrono::milliseconds acquire_timeout{10'000};
  std::chrono::milliseconds idle_timeout{300'000};
  std::chrono::milliseconds max_lifetime{1'800'000};
  std::chrono::milliseconds health_check_interval{30'000};
  std::chrono::milliseconds lease_idle_timeout{300'000}; ///< of a tenant's lease that names none
  std::chrono::milliseconds report_interval{60'000};
  std::size_t waiters_max = 50'000; ///< of each queue; past it a caller is told that the pool is overloaded
  std::size_t tenant_waiters_max = 10'000;
  std::size_t tenant_backends_max = 0; ///< 0: as many as there are
  std::size_t pipeline_depth = 2;
  reconnect_options reconnect;
  bool logs_reports = false;
  std::string application_name = "colloquy"; ///< a lease's purpose is appended
  std::uint32_t seed = 1;                    ///< of every jitter
};

/// Makes the connection of a slot; tests have another.
using connection_factory = std::function<managed_connection_actor(
    caf::local_actor& parent, std::uint64_t slot, connection_owner owner, std::shared_ptr<const connection_options>)>;
managed_connection_actor spawn_connection(caf::local_actor& parent, std::uint64_t slot, connection_owner owner,
                                          std::shared_ptr<const connection_options> options);

using supervisor_internal = pool_control_actor::extend<
    caf::reacts_to<connection_ready>, caf::reacts_to<connection_failed>, caf::reacts_to<connection_rested>,
    caf::reacts_to<units_done>, caf::reacts_to<lease_overdue>, caf::reacts_to<lease_leaks>,
    caf::replies_to<retry_unit>::with<db::unit_outcome>, caf::reacts_to<supervisor_tick>, caf::reacts_to<pool_report>>;

class supervisor : public supervisor_internal::base {
public:
  supervisor(caf::actor_config& config, pool_options pool, std::shared_ptr<const connection_options> connection,
             connection_factory make_connection = spawn_connection);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using unit_promise = caf::typed_response_promise<db::unit_outcome>;
  using lease_promise = caf::typed_response_promise<result<leased_connection>>;
  using status_promise = caf::typed_response_promise<result<pool_status>>;

  enum class slot_state { connecting, usable, leased, cleaning, checking, closing };
  using counts_by_tenant = std::unordered_map<std::string, std::size_t>;
  struct slot {
    std::uint64_t number = 0;
    managed_connection_actor connection;
    slot_state state = slot_state::connecting;
    backend_facts facts;
    time_point since{}; // it became ready
    time_point last_used{};
    time_point checked{};
    time_point retires{};      // it is old from then on
    std::size_t units = 0;     // under way
    counts_by_tenant units_of; // of which tenants
    bool has_lasted = false;
    bool is_old = false;        // to be replaced
    bool is_replaced = false;   // gets no more work, and goes when it has none
    std::uint64_t replaces = 0; // the slot that goes when this one is ready
    bool is_reserved = false;   // takes no units: a lease waits for it
    lease_id lease = 0;
    lease_connection terms{}; // of the lease
    caf::actor_addr leaseholder{};
    time_point leased_at{};
    bool was_recalled = false;
  };
  using slot_map = std::map<std::uint64_t, slot>;
  // Whose backend is gone. Its connection stays, to answer its owner, until that has ended the lease.
  struct lost_lease {
    managed_connection_actor connection;
    caf::actor_addr leaseholder;
  };
  using lost_leases = std::unordered_map<lease_id, lost_lease>;
  struct waiting_unit {
    unit_promise answer;
    run_unit request;
    caf::actor_addr asker;
    time_point since;
  };
  struct waiting_lease {
    lease_promise answer;
    lease_connection request;
    caf::actor_addr asker;
    time_point since;
  };

  // supervisor.cpp: who wants something, and who gets it; supervisor_waiters.cpp: who gets nothing
  caf::actor_addr asker();
  unit_promise run(run_unit& request);
  void enqueue(unit_promise answer, run_unit request, caf::actor_addr asker);
  lease_promise lease(lease_connection& request);
  unit_promise retry(retry_unit& failed);
  void release(const end_lease& ended);
  void on_units_done(const units_done& news);
  void serve();
  void serve_leases();
  void serve_units();
  std::size_t backends_max_of(const std::string& tenant) const;
  bool may_have_lease(const std::string& tenant) const;
  bool may_have_unit(const std::string& tenant) const;
  slot* pick_for_unit();
  slot* pick_for_lease();
  template <class Suits>
  slot* pick(std::size_t waiting, Suits suits);
  bool may_serve() const { return !paused_ && !draining_ && is_mode_known_; }
  void reserve_for_lease();
  void hand_over(slot& chosen, waiting_unit unit);
  void grant(slot& chosen, waiting_lease waiter);
  void finish(slot& leased, bool reusable);
  void cut(slot& leased, bool reusable, const std::string& why);
  std::optional<error> why_not_now(const std::string& what) const;
  error why_unavailable() const;
  db::unit_outcome failed_outcome(const error& why) const;
  void expire(time_point now);
  static error shutting_down();
  void turn_waiters_away();
  static void forget_one(counts_by_tenant& counts, const std::string& tenant);
  void watch(const caf::actor_addr& who);
  void unwatch(const caf::actor_addr& who);
  void forget(const caf::actor_addr& dead);

  // supervisor_slots.cpp: the life of the backends
  void on_ready(const connection_ready& ready);
  void on_failed(const connection_failed& failed);
  void on_rested(const connection_rested& rested);
  void on_down(const caf::down_msg& down);
  void on_tick();
  void lose(slot_map::iterator at, const db::db_failure& why, bool was_expected);
  lost_leases::iterator bury(lost_leases::iterator lost);
  void fill(time_point now);
  std::size_t connects_allowed() const;
  void add_slot(std::uint64_t replaces = 0);
  void close(slot& chosen);
  void age(time_point now);
  void replace_old(time_point now);
  void shrink(time_point now);
  void check_idle(time_point now);
  void check(slot& chosen, time_point now);
  bool finds_transaction_mode(const connection_ready& ready);
  std::size_t count(slot_state state) const;
  bool is_usable(const slot& entry) const { return entry.state == slot_state::usable && !entry.is_replaced; }
  std::size_t ready_slots() const;

  // supervisor_control.cpp
  status_promise with_status();
  status_promise with_fresh_view();
  void look_at_server(std::function<void()> then);
  status_promise refuse(const std::string& why);
  pool_status status();
  static std::string name_of(const slot& entry);
  status_promise resize(const resize_pool& wanted);
  status_promise reload(const reload_credentials& with);
  status_promise limit(const limit_tenant& wanted);
  status_promise drain(const drain_pool& wanted);
  void rotate();
  void check_drain(time_point now);
  void on_leak(const lease_leaks& leak);
  void report();
  void note_pressure();
  void tell(pool_event_kind kind, std::string what);
  slot* find_lease(lease_id lease);

  pool_options pool_;
  std::shared_ptr<const connection_options> connection_options_;
  connection_factory make_connection_;
  connect_gate gate_;
  slot_map slots_;
  std::uint64_t last_slot_ = 0;
  std::unordered_map<lease_id, std::uint64_t> leases_; // to slots
  lost_leases lost_leases_;
  lease_id last_lease_ = 0;
  fair_queue<waiting_unit, time_point> waiting_units_;
  fair_queue<waiting_lease, time_point> waiting_leases_;
  std::multimap<time_point, waiting_unit> retries_; // by when they are due
  counts_by_tenant leases_of_;
  counts_by_tenant units_of_;
  counts_by_tenant backends_max_of_;
  // Who is watched, and for how many leases and waits: CAF's demonitor() takes all monitors of one away.
  std::unordered_map<caf::actor_id, std::size_t> watched_;
  time_point closes_first_until_{};
  std::string last_failure_;
  std::string logged_failure_;
  time_point logged_at_{};
  db::pooling_mode mode_ = db::pooling_mode::session;
  bool is_mode_known_ = false; // behind a pooler it takes two backends to tell; nothing is run before
  bool paused_ = false;
  bool draining_ = false;
  time_point drain_deadline_{};
  std::vector<status_promise> drain_answers_;
  bool was_saturated_ = false;
  std::optional<time_point> saturation_told_;
  pool_numbers numbers_;
  db::server_view at_server_;
  backend_facts last_facts_;
  std::vector<pool_subscriber> subscribers_;
  std::minstd_rand generator_;
};

} // namespace colloquy::actors
