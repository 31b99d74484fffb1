// What the pool's users say to it: units of work, leases, and control. See supervisor.hpp for the protocol.
#pragma once

#include "actors/pool_numbers.hpp"
#include "db/pipeline_connection.hpp"
#include "db/statement.hpp"
#include "messages/error.hpp"

#include <caf/actor.hpp>
#include <caf/actor_clock.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace colloquy::actors {

/// The writer holds a backend for itself, and sessions are read through another.
inline constexpr std::size_t connections_needed = 2;

/// The pool answers a unit at its deadline. Who waits this much longer only guards against a pool that is gone.
inline constexpr std::chrono::seconds pool_answer_margin{5};

using lease_id = std::uint64_t; ///< 0: none
using pool_time = caf::actor_clock::time_point;

/// A unit of work to be run and answered with its outcome. Cheap to copy.
struct run_unit {
  run_unit() = default;
  explicit run_unit(db::unit statements)
    : work(std::make_shared<const db::unit>(std::move(statements))) {}

  std::shared_ptr<const db::unit> work;
  std::string tenant;                  ///< whose turn it counts as; "" is the service itself
  std::string_view purpose = "";       ///< a literal, for the numbers
  std::optional<pool_time> deadline{}; ///< by the actor clock; none: the pool's own times to wait and to run
  bool idempotent = false;             ///< may run again although it may have been committed
  lease_id lease = 0;                  ///< on a leased connection: which lease
  std::uint8_t tries = 0;              ///< the pool's own count
};

/// One backend. Units are run in the order in which they arrive, pipelined; each commits on its own unless a lease has
/// opened a transaction.
using connection_actor = caf::typed_actor<caf::replies_to<run_unit>::with<db::unit_outcome>>;

/// To a leaseholder: what NOTIFY sent to its backend.
struct backend_notified {
  lease_id lease = 0;
  db::notification what;
};
/// To a leaseholder: the backend is to be replaced; end the lease when it suits, and take another.
struct lease_recalled {
  lease_id lease = 0;
};
/// To a leaseholder: the backend is gone, and the lease with it.
struct lease_lost {
  lease_id lease = 0;
  std::string why;
};
using leaseholder_actor =
    caf::typed_actor<caf::reacts_to<backend_notified>, caf::reacts_to<lease_recalled>, caf::reacts_to<lease_lost>>;

/// Asks for a backend for the sender alone: until it ends the lease, dies, leaves it idle for too long, or the pool
/// drains.
struct lease_connection {
  std::string purpose; ///< for logs and numbers
  std::string tenant{};
  std::optional<pool_time> deadline{};       ///< for waiting; none: the pool's acquire_timeout
  std::chrono::milliseconds idle_timeout{0}; ///< without a unit; 0: a tenant's the pool's own, the service's for ever
  leaseholder_actor holder{};                ///< if set, is told of notifications, recalls and loss
  bool reusable = true;                      ///< false: the backend is closed if the owner dies
};

struct leased_connection {
  connection_actor connection;
  std::int32_t backend_pid = 0;
  lease_id lease = 0; ///< goes with each unit; one that comes after the lease has ended is refused
};

/// Gives a backend back, from its owner or whoever else knows the lease. It is made as new and used again, or closed if
/// the owner has no more faith in it.
struct end_lease {
  lease_id lease = 0;
  bool reusable = true;
};

// Control. Each is answered with the pool's status afterwards.
struct get_pool_status {
  bool looks_at_server = false; ///< asks it first; else its view is that of the last report
};
struct pause_pool {}; ///< who comes waits, until its deadline; what runs goes on
struct resume_pool {};
struct resize_pool {
  std::size_t min = 1; ///< at least 1, at most max
  std::size_t max = 2; ///< 2 to 1000
};
struct rotate_pool {}; ///< replaces every backend, each new one before its old one goes
struct reload_credentials {
  std::string conninfo; ///< a secret; new backends log in with it, and all old ones are replaced
};
struct limit_tenant {
  std::string tenant;
  double weight = 1;            ///< share against other tenants while several wait; 0.001 to 1000
  std::size_t backends_max = 0; ///< 0: as the setting says
};
/// No more is given out; answered when all is given back, or the limit is over and the rest was cut. Final.
struct drain_pool {
  std::chrono::milliseconds limit{};
};

enum class pool_event_kind : std::uint8_t { connected, removed, error, saturated, mostly_idle };
std::string_view to_string(pool_event_kind kind) noexcept;

struct pool_event {
  pool_event_kind kind = pool_event_kind::connected;
  std::string what; ///< one sentence, without secrets
};
using pool_subscriber = caf::typed_actor<caf::reacts_to<pool_event>>;
/// Until the subscriber dies.
struct subscribe_pool {
  pool_subscriber subscriber;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_unit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::db::unit_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_notified)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_recalled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_connection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::leased_connection>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::end_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::get_pool_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::pause_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::resume_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::resize_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::rotate_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::reload_credentials)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::limit_tenant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::drain_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::pool_event)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::subscribe_pool)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::pool_status>)

namespace colloquy::actors {

/// The pool, as those see it who work with it.
using supervisor_actor =
    caf::typed_actor<caf::replies_to<run_unit>::with<db::unit_outcome>,
                     caf::replies_to<lease_connection>::with<result<leased_connection>>, caf::reacts_to<end_lease>>;

/// The pool, as its operator sees it. Errors of control: invalid_request, naming the value; database_unavailable once
/// it drains.
using pool_control_actor = supervisor_actor::extend<
    caf::replies_to<get_pool_status>::with<result<pool_status>>, caf::replies_to<pause_pool>::with<result<pool_status>>,
    caf::replies_to<resume_pool>::with<result<pool_status>>, caf::replies_to<resize_pool>::with<result<pool_status>>,
    caf::replies_to<rotate_pool>::with<result<pool_status>>,
    caf::replies_to<reload_credentials>::with<result<pool_status>>,
    caf::replies_to<limit_tenant>::with<result<pool_status>>, caf::replies_to<drain_pool>::with<result<pool_status>>,
    caf::reacts_to<subscribe_pool>>;

} // namespace colloquy::actors
