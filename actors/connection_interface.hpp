// What the supervisor and its connections say to each other.
#pragma once

#include "actors/pool_interface.hpp"
#include "db/endpoint.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace colloquy::actors {

// The supervisor says:

/// From now on only units of this lease are run.
struct assign_lease {
  lease_id lease = 0;
  leaseholder_actor holder{};
  std::chrono::milliseconds idle_timeout{0};
  std::string application_name; ///< of the session, once the lease is used
};
/// What is under way is cancelled and answered, the session made as new; then connection_rested. Or it is closed.
struct finish_lease {
  lease_id lease = 0;
  bool reusable = true;
};
/// One round trip; then connection_rested.
struct check_connection {};
/// What is under way is finished, then it ends. No more units will come.
struct retire_connection {};

// The connection says, each with the number that the supervisor gave it:

/// What is known of the other end.
struct backend_facts {
  std::int32_t backend_pid = 0;
  db::endpoint_kind kind = db::endpoint_kind::direct;
  std::string host;
  std::string port;
  int server_version = 0;
  bool uses_tls = false;
};
struct connection_ready {
  std::uint64_t slot = 0;
  backend_facts facts;
};
/// It ends itself after this; what was under way has been answered.
struct connection_failed {
  std::uint64_t slot = 0;
  db::db_failure why;
};
/// Checked, or as new after a lease: may be given out.
struct connection_rested {
  std::uint64_t slot = 0;
  bool was_cleaned = false;
};
struct unit_note {
  std::string tenant;
  std::string_view purpose;
  std::chrono::microseconds took{0};
  std::optional<db::failure_kind> failed;
  bool was_slow = false;
  bool was_shared = true; ///< not of a lease
};
/// For the numbers, and because the connection has room again.
struct units_done {
  std::uint64_t slot = 0;
  std::vector<unit_note> units;
  std::size_t cancels = 0; ///< begun since the last note
};
/// The lease has run nothing for its idle_timeout.
struct lease_overdue {
  std::uint64_t slot = 0;
  lease_id lease = 0;
};
/// The lease has run nothing for suspiciously long.
struct lease_leaks {
  std::uint64_t slot = 0;
  lease_id lease = 0;
  std::chrono::milliseconds idle{0};
  std::string last_statement; ///< name or fingerprint, without values
};
/// A unit that may be run again; the answer goes to whom it belongs.
struct retry_unit {
  run_unit request;
  db::db_failure last;
  bool was_sent = true; ///< false: nothing has been tried yet
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::assign_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::finish_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::check_connection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::retire_connection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_failed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_rested)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::units_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_overdue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_leaks)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::retry_unit)

namespace colloquy::actors {

/// A connection as its supervisor sees it.
using managed_connection_actor =
    connection_actor::extend<caf::reacts_to<assign_lease>, caf::reacts_to<finish_lease>,
                             caf::reacts_to<check_connection>, caf::reacts_to<retire_connection>>;

/// The supervisor as its connections see it.
using connection_owner =
    caf::typed_actor<caf::reacts_to<connection_ready>, caf::reacts_to<connection_failed>,
                     caf::reacts_to<connection_rested>, caf::reacts_to<units_done>, caf::reacts_to<lease_overdue>,
                     caf::reacts_to<lease_leaks>, caf::replies_to<retry_unit>::with<db::unit_outcome>>;

} // namespace colloquy::actors
