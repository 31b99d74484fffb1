#include "actors/pool_numbers.hpp"

#include "actors/pool_interface.hpp"

#include <algorithm>

namespace colloquy::actors {

void duration_histogram::add(std::chrono::microseconds value) noexcept {
  std::size_t bucket = 0;
  for (auto bound = first_bound; bucket + 1 < bucket_count && value > bound; bound *= 2)
    ++bucket;
  ++buckets_[bucket];
  ++count_;
  sum_ += value;
  max_ = std::max(max_, value);
}

std::chrono::microseconds duration_histogram::quantile(double q) const noexcept {
  const auto rank = static_cast<double>(count_) * std::clamp(q, 0.0, 1.0);
  std::uint64_t passed = 0;
  auto bound = first_bound;
  for (std::size_t bucket = 0; bucket + 1 < bucket_count; ++bucket, bound *= 2) {
    passed += buckets_[bucket];
    if (passed > 0 && static_cast<double>(passed) >= rank)
      return std::min(bound, max_);
  }
  return max_;
}

use_numbers& pool_numbers::named(use_table& in, std::string_view name) {
  if (auto found = in.find(name); found != in.end())
    return found->second;
  return in[in.size() < names_max ? std::string(name) : "(others)"];
}

std::string_view to_string(pool_event_kind kind) noexcept {
  switch (kind) {
  case pool_event_kind::connected:
    return "connected";
  case pool_event_kind::removed:
    return "removed";
  case pool_event_kind::error:
    return "error";
  case pool_event_kind::saturated:
    return "saturated";
  case pool_event_kind::mostly_idle:
    return "mostly_idle";
  }
  return "error";
}

} // namespace colloquy::actors
