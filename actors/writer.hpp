// The writer: makes what sessions send durable, batch by batch, in a chain that survives every loss of its connection.
//
// Accepts
//   persist         (no reply) queued; answered to the listener by written, creation_outcome or write_refused.
//   barrier      -> barrier_passed once everything that arrived before is durable or refused; database_unavailable if
//                   that takes longer than the request timeout.
//   forget_refusal  from a session that has stopped.
//   lease_recalled, lease_lost  from the pool: once the batches in flight are answered it takes another connection.
// Sends
//   writer_ready    to the directory, each time that it has claimed its row and settled what its predecessor had in
//   flight.
// Ordering: writes of one session become durable in the order they were sent; `written` comes in that order.
// Batching: what gathered while the batches in flight were away is the next batch, up to batch_events_max rows,
//   batch_bytes_max bytes and batch_tenants_max tenants; batches_in_flight_max are under way on one connection, if each
//   is worth a commit of its own: a small one waits for the commit under way, and shortly for what may come behind it.
// After a failure it waits until every batch in flight is answered, then
//   data             the batch is halved by session, and a lone session's by write, until the write at fault is alone:
//                    its session is told write_refused and nothing of it that comes after is written, so that its log
//                    has no hole; all others are written.
//   connection lost  another connection is leased, the old backend ended, the row claimed: its seq says which batches
//                    committed; the others are sent again.
//   fence            another process owns the row: nothing more is written, every session is told so, and the owner
//                    gets writer_fenced.
//   anything else    the same batches again after a delay that grows.
// State it owns: the queue; the ledger (writer_ledger.hpp) is its successor's when it dies.
// Death: the directory starts another one on the same ledger; sessions send again what is not durable.
#pragma once

#include "actors/tenant_meter.hpp"
#include "actors/writer_ledger.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace colloquy::actors {

struct writer_tick {};
struct writer_retry {};
struct writer_gathered {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_retry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_gathered)

namespace colloquy::actors {

struct writer_options {
  std::size_t batch_events_max = 2000;
  std::size_t batch_bytes_max = std::size_t{4} << 20;
  std::size_t batches_in_flight_max = 2;
  std::chrono::milliseconds batch_timeout{}; ///< for the answer to one batch; longer than the server's own timeout
  std::chrono::milliseconds barrier_timeout{};
  /// For the answer to a lease: longer than the pool makes its askers wait. This only guards against a pool that is
  /// gone, because a lease that comes too late would never be returned.
  std::chrono::milliseconds lease_timeout{60'000};
  std::shared_ptr<tenant_meter> meter{}; ///< null: nobody counts
  /// A batch of fewer writes, or of less than a quarter of the one before it, waits for the commit under way; 0: none
  /// waits.
  std::size_t side_by_side_writes_min = 0;
  /// Behind a commit those whom it answered are waited for as long as it took, but no longer than this.
  std::chrono::milliseconds gathering_max{0};
};

using writer_internal =
    writer_actor::extend<caf::reacts_to<writer_tick>, caf::reacts_to<writer_retry>, caf::reacts_to<writer_gathered>,
                         caf::reacts_to<lease_recalled>, caf::reacts_to<lease_lost>, caf::reacts_to<backend_notified>>;

class writer : public writer_internal::base {
public:
  writer(caf::actor_config& config, std::shared_ptr<writer_ledger> ledger, supervisor_actor supervisor,
         writer_owner owner, writer_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using barrier_promise = caf::typed_response_promise<result<barrier_passed>>;
  struct waiting_barrier {
    barrier_promise answer;
    std::uint64_t through_ticket = 0;
    time_point deadline;
  };
  enum class phase { leasing, claiming, running, settling, pausing, fenced };

  void take(persist& request);
  barrier_promise wait_for(barrier);
  result<writer_status> tell_status() const;
  void on_tick();

  // Sending (writer.cpp)
  void pump();
  bool waits_for_more();
  void begin_gathering(const batch_in_flight& committed);
  std::vector<queued_write> gather();
  void schedule_tick();
  void send_batch(std::vector<queued_write> writes, bool isolated);
  void on_outcome(std::int64_t seq, db::unit_outcome outcome);
  void commit(const batch_in_flight& batch, const db::unit_outcome* outcome);
  void acknowledge(const batch_in_flight& batch, const std::unordered_set<session_id>& not_made, bool certain);
  void count_stored(const batch_in_flight& batch, const std::unordered_set<session_id>& not_made, bool certain);
  void answer_barriers();
  std::uint64_t oldest_ticket() const;

  // Recovering (writer_recovery.cpp)
  void acquire();
  void on_leased(const leased_connection& leased);
  void end_old_backend();
  void claim();
  void on_claim(const db::unit_outcome& outcome);
  void settle();
  void settle_committed(std::int64_t committed_seq);
  void requeue_in_flight();
  void isolate(batch_in_flight batch);
  void refuse(const batch_in_flight& batch);
  void drop_writes_of(caf::actor_id listener);
  void release_connection();
  run_unit unit_of(db::unit work, const char* purpose) const;
  void give_back(lease_id lease);
  void change_connection();
  void stop_fenced(const std::string& what);
  static error fenced_error();
  void pause();
  void resume_running();

  std::shared_ptr<writer_ledger> ledger_;
  supervisor_actor supervisor_;
  writer_owner owner_;
  const writer_options options_;

  phase phase_ = phase::leasing;
  connection_actor connection_;
  lease_id lease_ = 0;
  bool must_change_ = false;
  std::uint64_t connection_generation_ = 0; // answers of an earlier connection are ignored
  bool announced_ = false;
  std::uint64_t last_ticket_ = 0;
  std::deque<queued_write> queue_;
  std::size_t expected_ = 0; // writes that may come soon: of those who have just been answered, and who wait
  time_point gathering_until_{};
  bool gathering_scheduled_ = false;
  std::deque<std::vector<queued_write>> isolated_; // to be sent one at a time, before the queue
  std::unordered_set<caf::actor_id> refused_;      // session actors that were told and may not have stopped sending yet
  bool tick_scheduled_ = false;
  std::deque<waiting_barrier> barriers_;
  std::chrono::milliseconds delay_;
};

} // namespace colloquy::actors
