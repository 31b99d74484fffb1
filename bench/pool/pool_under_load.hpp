// The pool as the service starts it, on a server of its own, with nothing above it.
#pragma once

#include "actors/supervisor.hpp"
#include "bench/bench_database.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <cstddef>
#include <string>

namespace colloquy::bench {

class pool_under_load {
public:
  /// Starts the server and the pool, and waits until it is at its minimum. Throws bench_failure.
  pool_under_load(std::size_t connections_min, std::size_t connections_max);
  ~pool_under_load();

  caf::actor_system& system() { return system_; }
  const actors::pool_control_actor& handle() const { return pool_; }
  actors::pool_status status();
  /// How long until so many backends are ready. Throws if that takes longer than `limit`.
  std::chrono::milliseconds wait_until_ready(std::size_t count, std::chrono::milliseconds limit);
  /// A connection that may end others' backends.
  db::connection_ptr superuser() const;

private:
  bench_database database_;
  caf::actor_system_config config_;
  caf::actor_system system_;
  actors::pool_control_actor pool_;
};

/// One statement as a caller brings it.
db::unit caller_unit(const std::string& text);

} // namespace colloquy::bench
