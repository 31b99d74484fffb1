// The tenants actor: tenants, their API keys, what they may have and have, and the log of what was done in their name.
//
// Accepts (messages/tenants_interface.hpp; messages/tenant_requests.hpp tells fields and errors)
//   create_tenant, get_tenant, list_tenants, set_quotas
//   create_key, rotate_key, revoke_key, list_keys, find_key, ensure_admin_key
//       a unit of the pool each; what changes something commits with its entry in the audit log, or not at all
//   read_audit     -> audit_page
//   write_audit    -> audit_written
//       kept in memory and written in batches, every `audit_interval`; one that is waited for at once. While the
//       database is away it is kept; past `audit_entries_max` it is overloaded. An entry that is waited for and late is
//       deadline_exceeded, and is written all the same. One that is refused and not waited for is told in the log
//   note_key_use   the latest of each key is kept and written every `key_use_interval`, and not at all past
//                  `key_uses_max`. Not answered
// and from the service: flush_tenants, answered when nothing of it is left to write, or at its deadline.
// What it does: every `usage_interval` it adds what the writer's meter has counted to the tenants' rows. Each count
//   has a number, so that it is added once, though it is sent until the database has said so.
// tenants.cpp: requests; tenants_writing.cpp: what is written later; tenants_checks.hpp: what is refused at once.
// Ordering: none between requests; entries of the audit log are written in the order in which they came.
// State it owns: requests under way, `under_way_max` at most, and the backlog: what is to be written later. That
//   belongs to its keeper as well, so a death does not lose it.
// Death: what was under way is answered internal, and so are those who wait for an entry or a flush; the keeper
//   (actors/tenants_keeper.hpp) starts another one.
#pragma once

#include "actors/pool_interface.hpp"
#include "actors/session_interface.hpp"
#include "actors/tenant_meter.hpp"
#include "actors/tenants_backlog.hpp"
#include "messages/clock.hpp"
#include "messages/tenants_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

struct tenants_tick {};

/// Writes now what would be written later. Answered when there is nothing left, or at the deadline.
struct tenants_flushed {
  std::size_t audit_entries_left = 0;
  std::size_t tenants_uncounted = 0; ///< whose sessions and bytes are not all in the database
};
struct flush_tenants {
  using reply = tenants_flushed;
  pool_time deadline{};
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::tenants_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::flush_tenants)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::tenants_flushed>)

namespace colloquy::actors {

/// As the service sees it, and as its keeper offers it.
using tenants_service = tenants_actor::extend<answers<flush_tenants>>;
using tenants_internal = tenants_service::extend<caf::reacts_to<tenants_tick>>;

struct tenants_options {
  wall_clock now = system_time;
  std::chrono::milliseconds request_timeout{30'000};
  std::shared_ptr<tenant_meter> meter = std::make_shared<tenant_meter>();
  std::size_t under_way_max = 1'000;
  std::size_t audit_entries_max = 10'000;
  std::size_t audit_batch_max = 500;
  std::chrono::milliseconds audit_interval{200}; ///< also how finely the others are kept
  std::chrono::milliseconds usage_interval{1'000};
  std::chrono::milliseconds key_use_interval{60'000};
  std::chrono::milliseconds retry_delay{1'000}; ///< after the database could not write the audit log
  std::size_t key_uses_max = 10'000;
  std::size_t rows_per_write_max = 1'000; ///< of tenants' counts and of keys' uses
};

class tenants : public tenants_internal::base {
public:
  tenants(caf::actor_config& config, supervisor_actor supervisor, tenants_options options,
          std::shared_ptr<tenants_backlog> backlog = std::make_shared<tenants_backlog>());

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  template <class Request>
  struct waiting {
    promise_of<Request> answer;
    pool_time deadline;
  };
  using audit_waiter = waiting<write_audit>;
  using flush_waiter = waiting<flush_tenants>;

  /// Answers a request with what the database says to the query, or with the error that it is.
  template <class Request, class Decode>
  promise_of<Request> serve(Request& request, const tenant_id& tenant, result<db::unit> query, std::string_view purpose,
                            Decode decode);
  void run(const std::string& tenant, db::unit query, std::string_view purpose,
           std::function<void(const db::unit_outcome&)> then);
  audit_entry entry_of(const tenant_id& tenant, const audit_actor& by, const char* action, const char* target_kind,
                       std::string target);
  audit_id next_audit_id();

  result<db::unit> query_for(const create_tenant& request);
  result<db::unit> query_for(const set_quotas& request);
  result<db::unit> query_for(const list_tenants& request);
  result<db::unit> query_for(const create_key& request);
  result<db::unit> query_for(const rotate_key& request);
  result<db::unit> query_for(const colloquy::revoke_key& request);
  result<db::unit> query_for(const list_keys& request);
  result<db::unit> query_for(const ensure_admin_key& request);
  result<db::unit> query_for(const read_audit& request);
  promise_of<find_key> find(find_key& request);

  // tenants_writing.cpp
  promise_of<write_audit> write(write_audit& request);
  void write_entries();
  void on_entries(std::size_t count, const db::unit_outcome& outcome);
  void entry_is_done(const result<audit_written>& how);
  void note_use(note_key_use& use);
  void write_uses();
  void on_uses(const std::vector<note_key_use>& uses, const db::unit_outcome& outcome);
  void count();
  void on_counted(const db::unit_outcome& outcome);
  promise_of<flush_tenants> flush(const flush_tenants& request);
  void go_on_flushing();
  tenants_flushed what_is_left() const;
  void on_tick();
  void expire_waiters(pool_time now);
  void note(std::string_view purpose, const db::unit_outcome& outcome);

  supervisor_actor supervisor_;
  const tenants_options options_;
  const std::shared_ptr<tenants_backlog> backlog_;
  std::map<std::uint64_t, std::function<void()>> under_way_; // what is to be said if this actor ends before its answer
  std::uint64_t last_under_way_ = 0;

  std::unordered_map<audit_id, audit_waiter> audit_waiters_;
  std::vector<flush_waiter> flushes_;
  std::size_t audit_at_once_;
  pool_time audit_due_{}, usage_due_{}, key_uses_due_{};
  bool writes_entries_ = false;
  bool counts_ = false;
  bool writes_uses_ = false;
  std::set<std::string_view> failing_; // purposes, so that each is logged once
};

} // namespace colloquy::actors
