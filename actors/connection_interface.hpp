// What the pool's actors say to each other and to those who use it: units of work, leases, and a connection's life.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <string>

namespace colloquy::actors {

/// A unit of work to be run and answered with its outcome.
struct run_unit {
  db::unit work;
};

/// One backend. Units are run in the order in which they arrive, pipelined; each commits on its own.
using connection_actor = caf::typed_actor<caf::replies_to<run_unit>::with<db::unit_outcome>>;

/// Asks for a backend for the sender alone, until the sender dies or returns it by letting it end.
struct lease_connection {
  std::string purpose; ///< for logs
};

struct leased_connection {
  connection_actor connection;
  std::int32_t backend_pid = 0;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_unit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::db::unit_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::lease_connection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::leased_connection>)

namespace colloquy::actors {

/// The pool. run_unit goes to the shared connections in turn.
using supervisor_actor = caf::typed_actor<caf::replies_to<run_unit>::with<db::unit_outcome>,
                                          caf::replies_to<lease_connection>::with<result<leased_connection>>>;

} // namespace colloquy::actors
