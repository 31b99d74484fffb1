// What the sessions' bench measures. Both throw bench_failure if something was wrong, not slow.
#pragma once

#include "bench/append_workload.hpp"
#include "bench/bench_database.hpp"
#include "bench/histogram.hpp"
#include "bench/machine_load.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::bench {

/// How busy the machine was: processes that ran or waited, over the last minute.
struct machine_load {
  double before = 0;
  double after = 0;
};

// --- idle sessions ---------------------------------------------------------------------------------------------------

/// What an idle session may cost.
inline constexpr double idle_session_bytes_max = 2048;

struct idle_options {
  std::size_t sessions = 1'000'000;
  std::size_t tenants = 50;
  std::size_t at_once = 256; ///< conversations under way while they are made
  std::size_t messages = 20; ///< of each session, all in one turn
  std::size_t message_bytes = 200;
  std::size_t metadata_bytes = 100;
  std::size_t wakes = 10'000;               ///< of either kind
  std::chrono::milliseconds settle{35'000}; ///< longer than any timeout that a request leaves behind
  std::size_t tail_cache_bytes_max = config::settings{}.tail_cache_bytes_max;
  unsigned seed = 1;
  std::optional<std::filesystem::path> data_dir; ///< nothing: a temporary folder, removed at the end
};

/// This process, at one moment.
struct memory_sample {
  std::size_t resident = 0;  ///< as the operating system counts
  std::size_t trimmed = 0;   ///< the same, after the allocator gave back what it held unused
  std::size_t allocated = 0; ///< in use, as the allocator counts
};

struct idle_figures {
  facts server;
  std::chrono::nanoseconds making{};
  memory_sample empty;  ///< the service runs, without a session
  memory_sample idle;   ///< all sessions in memory
  memory_sample asleep; ///< none is
  machine_load load;    ///< before and after the wakes
  histogram woken_by_get;
  histogram woken_by_history;
};

/// Has `sessions` conversations, all in memory then and idle; puts all to sleep; wakes some at random, one by one, half
/// by get_session and half by their last 20 messages. Each answer is checked, and what SQL counts.
idle_figures measure_idle_sessions(const idle_options& options, const interruption_check& check);

// --- histories -------------------------------------------------------------------------------------------------------

/// How much longer the last messages of a long log may take than those of a short one.
inline constexpr double history_ratio_max = 1.2;

struct history_options {
  std::size_t long_messages = 100'000;
  std::size_t message_bytes = 200;
  std::size_t samples = 1000; ///< of each reading, hot and cold
  unsigned seed = 1;
};

/// One way of asking: the last `limit` messages of a log of so many.
struct history_reading {
  std::size_t log_messages = 0;
  std::size_t limit = 0;
  histogram hot;  ///< the session is awake and its newest messages are in memory
  histogram cold; ///< the session sleeps, and has to be woken

  std::size_t returned() const { return std::min(log_messages, limit); }
};

struct history_figures {
  facts server;
  machine_load load;
  std::vector<history_reading> readings; ///< as history_readings() orders them
};

/// Where in history_figures::readings which one is.
struct history_places {
  static constexpr std::size_t short_log = 0;     ///< the last 20 of 10
  static constexpr std::size_t full_page = 1;     ///< the last 20 of 20
  static constexpr std::size_t long_log = 2;      ///< the last 20 of the long log
  static constexpr std::size_t long_log_half = 3; ///< the last 10 of the long log
};

/// All readings in turn, in an order shuffled for each round. Every answer is checked.
history_figures measure_histories(const history_options& options, const interruption_check& check);

} // namespace colloquy::bench
