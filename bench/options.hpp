// What a run of the bench is made of.
#pragma once

#include "config/settings.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace colloquy::bench {

struct bench_options {
  std::size_t sessions = 1000;
  std::size_t tenants = 50;
  std::size_t messages = 200'000; ///< in each round, each way
  std::size_t message_bytes = 200;
  std::size_t rounds = 5;
  std::size_t drivers = 1;
  std::size_t concurrency = 512; ///< requests in flight of each driver
  bool request_timeouts = false; ///< of CAF's, for each request; else the drivers watch over all of theirs at once
  std::size_t batch_events = config::settings{}.batch_events_max;
  std::size_t threads = 2;        ///< of CAF's scheduler, as the program runs it
  std::string policy = "sparing"; ///< of that scheduler
  std::chrono::milliseconds latency_time{5000};
  std::optional<std::filesystem::path> data_dir; ///< nothing: a temporary folder, removed at the end
};

/// Below this a message has no room for what makes it unique.
inline constexpr std::size_t message_bytes_min = 100;

} // namespace colloquy::bench
