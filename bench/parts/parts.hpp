// The parts of the hot path one by one, each on one thread and without a database: what they cost in time, and, run
// under callgrind, in instructions.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace colloquy::bench {

/// The only thing that is counted. Out of line: callgrind is told to begin where it is entered and to end where it is
/// left.
void counted(const std::function<void()>& what);

/// Runs it as counted, and adds up how long it took.
class stopwatch {
public:
  void count(const std::function<void()>& what) {
    const auto begun = std::chrono::steady_clock::now();
    counted(what);
    time_ += std::chrono::steady_clock::now() - begun;
  }
  std::chrono::nanoseconds time() const { return time_; }

private:
  std::chrono::nanoseconds time_{};
};

/// Prepared in its construction. Throws bench_failure if what it did is not what it should have done.
class part {
public:
  part() = default;
  part(const part&) = delete;
  part& operator=(const part&) = delete;
  virtual ~part() = default;

  /// Does it so many times, all of it counted.
  virtual void run(std::size_t times, stopwatch& watch) = 0;
};

struct part_maker {
  std::string_view name;
  std::string_view what; ///< one time of it
  std::unique_ptr<part> (*make)();
};

std::span<const part_maker> all_parts();

} // namespace colloquy::bench
