// Prometheus' text format, version 0.0.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace colloquy::gateway {

using metric_label = std::pair<std::string_view, std::string_view>;
using metric_labels = std::initializer_list<metric_label>;

/// What took how long, in buckets. Upper bounds rise.
class metric_histogram {
public:
  static constexpr double bounds_s[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                        0.25,   0.5,   1,      2.5,   5,    10,    30};
  static constexpr std::size_t bucket_count = std::size(bounds_s);

  void add(double seconds) noexcept;
  std::uint64_t count() const noexcept { return count_; }
  double sum() const noexcept { return sum_; }
  std::span<const std::uint64_t> buckets() const noexcept { return buckets_; }

private:
  std::uint64_t buckets_[bucket_count]{}; // each for itself
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

class metric_text {
public:
  /// Begins a metric: `type` is counter, gauge or histogram. Its samples follow.
  metric_text& begin(std::string_view name, std::string_view type, std::string_view help);
  metric_text& sample(double value, metric_labels labels = {});
  metric_text& sample(std::uint64_t value, metric_labels labels = {});
  metric_text& sample(const metric_histogram& of, metric_labels labels = {});
  /// Buckets whose counts are each for themselves, with the upper bound of each in seconds.
  metric_text& buckets(std::span<const std::pair<double, std::uint64_t>> of, std::uint64_t count, double sum,
                       metric_labels labels = {});

  std::string take() && { return std::move(text_); }

private:
  void line(std::string_view suffix, metric_labels labels, const metric_label* more, std::string_view value);

  std::string text_;
  std::string name_;
};

} // namespace colloquy::gateway
