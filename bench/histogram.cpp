#include "bench/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace colloquy::bench {
namespace {

// A value keeps its seven highest bits. Below 128 that is all of it; above, each power of two has 64 buckets.
constexpr unsigned kept_bits = 7;
constexpr unsigned half = 1u << (kept_bits - 1);
constexpr std::size_t buckets = (64 - kept_bits + 2) * half;

std::size_t bucket_of(std::uint64_t value) noexcept {
  const auto width = static_cast<unsigned>(std::bit_width(value));
  const unsigned shift = width > kept_bits ? width - kept_bits : 0;
  return shift * half + static_cast<std::size_t>(value >> shift);
}

std::int64_t upper_end_of(std::size_t bucket) noexcept {
  const std::size_t shift = bucket < 2 * half ? 0 : bucket / half - 1;
  const auto kept = static_cast<std::uint64_t>(bucket - shift * half);
  return static_cast<std::int64_t>(((kept + 1) << shift) - 1);
}

} // namespace

histogram::histogram()
  : buckets_(buckets) {}

void histogram::record(std::chrono::nanoseconds value) noexcept {
  const auto ns = std::max<std::int64_t>(value.count(), 0);
  ++buckets_[bucket_of(static_cast<std::uint64_t>(ns))];
  ++count_;
  max_ = std::max(max_, ns);
}

void histogram::merge(const histogram& other) noexcept {
  for (std::size_t i = 0; i < buckets_.size(); ++i)
    buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds histogram::percentile(double share) const noexcept {
  if (count_ == 0)
    return {};
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted)
      return std::chrono::nanoseconds(std::min(upper_end_of(i), max_));
  }
  return max();
}

} // namespace colloquy::bench
