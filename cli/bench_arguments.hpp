// What `colloquy bench` is asked for. The bench itself is in bench/load/; the program brings both together.
#pragma once

#include "config/settings.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::cli {

struct bench_arguments {
  std::vector<std::string> workloads{"append", "turn", "history"};
  std::optional<std::string> url{}; ///< nothing: the service in this process
  std::optional<std::filesystem::path> api_keys{};
  std::vector<std::filesystem::path> transcripts{};
  std::vector<std::size_t> sessions{1000}; ///< measured with each of these numbers in turn
  std::size_t tenants = 10;
  double skew = 0; ///< exponent of Zipf's law; 0: the sessions in turn
  std::size_t concurrency = 64;
  double rate = 0; ///< operations a second of an open loop; 0: a closed one
  std::chrono::milliseconds warm_up{2000};
  std::chrono::milliseconds duration{10000};
  std::optional<std::size_t> operations{}; ///< ends a measurement before its time
  std::size_t message_bytes = 200;
  bool measures_accepted = true; ///< appends answered when accepted
  bool measures_durable = true;  ///< and when durable
  std::size_t subscribers = 1000;
  std::size_t threads = 2; ///< of the actors' scheduler, in this process
  std::uint64_t seed = 1;
  std::optional<std::filesystem::path> report{};
  bool json = false;
  bool keeps = false;               ///< what was written stays in a database that is not the bench's own
  bool has_place_of_its_own = true; ///< no database and no data folder was said for it: a temporary one
};

using bench_command = std::function<int(const bench_arguments&, const config::settings&)>;

} // namespace colloquy::cli
