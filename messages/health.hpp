// How a service is, in figures.
#pragma once

#include "messages/error.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace colloquy {

struct service_health {
  bool database_reachable = true;                      ///< the last renewal of what this process owns was answered
  std::optional<std::chrono::milliseconds> away_for{}; ///< if it is not
  std::size_t shards_owned = 0;                        ///< of 1,024
  std::size_t sessions_resident = 0;
  std::size_t sessions_refused = 0; ///< have stopped since the start, because the database refused an event
  std::size_t undurable_bytes = 0;  ///< accepted and not yet durable
  std::size_t undurable_bytes_max = 0;
  std::size_t writes_queued = 0; ///< at the writer, not yet in a batch
  std::size_t batches_in_flight = 0;
  bool journal_on = false;
  std::string journal_problem{}; ///< why accepted events are in memory alone; "" if they are not
  std::size_t journal_bytes = 0; ///< of what is on disk and not known to be durable
  std::size_t journal_bytes_max = 0;
  std::size_t journal_quarantined = 0; ///< records that could not be replayed
};

struct get_health {
  using reply = service_health;
};

} // namespace colloquy
