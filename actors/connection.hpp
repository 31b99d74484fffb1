// The connection actor: one backend, driven without blocking.
//
// Accepts
//   run_unit             -> db::unit_outcome. Always answered, in order of arrival. A failure of kind connection_lost
//                           means that the outcome is unknown; wait, that nothing was sent.
// Sends
//   connection_ready     to the supervisor, once, when the session is set up and its settings are in force.
// State it owns: the libpq connection, its watch on the I/O thread, and the promises of the units under way.
// Deadlines: `connect_timeout` until it is ready; each unit `unit_timeout` from the moment it was handed to libpq,
// after which the connection is given up (the server's own statement_timeout comes first unless the way to it is dead).
// Death: it ends itself when the connection breaks or its supervisor ends; whatever is under way is answered first.
#pragma once

#include "actors/connection_interface.hpp"
#include "actors/io_reactor.hpp"
#include "db/pipeline_connection.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <memory>
#include <unordered_map>

namespace colloquy::actors {

struct connection_ready {
  std::uint64_t slot = 0; ///< as the supervisor numbered it
  std::int32_t backend_pid = 0;
};
struct connection_failed {
  std::uint64_t slot = 0;
  db::db_failure why;
};

struct socket_ready {
  std::uint64_t generation = 0;
  socket_watch::readiness what{};
};
struct connection_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_failed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::socket_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::connection_tick)

namespace colloquy::actors {

/// To whom a connection reports its life: the supervisor.
using connection_owner = caf::typed_actor<caf::reacts_to<connection_ready>, caf::reacts_to<connection_failed>>;

struct connection_options {
  db::connection_target target;
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds unit_timeout{};
  std::shared_ptr<io_reactor> reactor;
};

using connection_internal = connection_actor::extend<caf::reacts_to<socket_ready>, caf::reacts_to<connection_tick>>;

class connection : public connection_internal::base {
public:
  connection(caf::actor_config& config, std::uint64_t slot, connection_owner owner,
             std::shared_ptr<const connection_options> options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using promise = caf::typed_response_promise<db::unit_outcome>;
  struct pending_unit {
    promise answer;
    time_point deadline;
  };

  void start();
  promise run(run_unit& request);
  void on_socket(const socket_ready& ready);
  void on_tick();
  void advance();
  void watch_for(db::io_need need);
  void answer_finished();
  void give_up(db::db_failure why);

  const std::uint64_t slot_;
  connection_owner owner_;
  std::shared_ptr<const connection_options> options_;
  std::unique_ptr<db::pipeline_connection> link_;
  std::unique_ptr<socket_watch> watch_; // after link_: it must go first
  std::uint64_t generation_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool reported_ = false;
  bool ended_ = false;
  time_point connect_deadline_;
  std::uint64_t last_tag_ = 0;
  std::unordered_map<std::uint64_t, pending_unit> pending_;
  std::uint64_t oldest_tag_ = 1; // outcomes come in order, so this one's deadline is the next
};

} // namespace colloquy::actors
