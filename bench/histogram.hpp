// Latencies by their share: buckets that grow with the value, so that every percentile is right to 1.6 % at any size.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace colloquy::bench {

class histogram {
public:
  histogram();

  /// Negative values count as 0.
  void record(std::chrono::nanoseconds value) noexcept;
  void merge(const histogram& other) noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::chrono::nanoseconds max() const noexcept { return std::chrono::nanoseconds(max_); }
  /// The smallest value that `share` (0 to 1) of all are not above: the upper end of its bucket, at most max(). 0 of an
  /// empty histogram.
  std::chrono::nanoseconds percentile(double share) const noexcept;

private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
};

} // namespace colloquy::bench
