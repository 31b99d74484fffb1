// The load as a child process, and what it says.
#pragma once

#include "db/embedded_process.hpp"
#include "tests/checker/lines.hpp"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace colloquy::checker {

struct watched_options {
  std::string program;
  std::vector<std::string> arguments; ///< beside --name and --known
  std::string name;                   ///< of the run
  std::filesystem::path folder;       ///< for its log and what it is told
  std::vector<line> known;            ///< what earlier runs left
};

/// Killed, if it still runs, when the object goes. Throws std::runtime_error if it cannot be started.
class watched_load {
public:
  explicit watched_load(const watched_options& options);
  watched_load(const watched_load&) = delete;
  watched_load& operator=(const watched_load&) = delete;
  ~watched_load();

  void signal(int number) const { child_->signal(number); }
  bool running() const { return child_->running(); }
  /// Its end, and that of what it said. The exit code; 128 and the signal's number; none if it did not end in time.
  std::optional<int> wait(std::chrono::seconds limit);

  /// How many lines it has said so far.
  std::size_t said() const;
  /// Waits for a line from the given one on for which it is true. False when the load ends, or the time.
  bool await(const std::function<bool(const line&)>& wanted, std::size_t from, std::chrono::milliseconds within);
  /// All lines; the last one is whole only when it has ended.
  std::vector<line> lines() const;
  /// The end of what it wrote to standard error.
  std::string log() const;

private:
  void read(int pipe);

  std::filesystem::path log_;
  std::optional<db::embedded::child_process> child_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<line> lines_;
  bool is_over_ = false;
  std::thread reader_;
};

} // namespace colloquy::checker
