// What all sessions of a service share. A new one is made when the process takes on a new identity (ownership.hpp).
#pragma once

#include "actors/journal_interface.hpp"
#include "actors/session_interface.hpp"
#include "actors/tail_cache.hpp"
#include "messages/byte_budget.hpp"
#include "messages/clock.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace colloquy::actors {

/// How many tokens a message counts for, where the caller did not say. Called from session actors: quick, no exception.
using tokenizer = std::function<std::int64_t(const event&)>;

struct session_environment {
  process_id process;
  wall_clock now = system_time;
  std::shared_ptr<byte_budget> budget;
  std::shared_ptr<tail_cache> tails;
  std::size_t session_undurable_bytes_max = std::size_t{32} << 20;
  std::size_t waiting_requests_max = 1000; ///< while a session wakes
  std::size_t turns_queued_max = 64;
  bool sliding_expiry = false;
  std::chrono::milliseconds request_timeout{30'000};
  tokenizer count_tokens{}; ///< none: the estimate of history_window.hpp
  supervisor_actor supervisor;
  session_owner owner;
  journal_actor journal{}; ///< null: none
};

} // namespace colloquy::actors
