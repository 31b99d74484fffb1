// What the pool counts, and its picture of itself: plain values, sent as messages and shown as metrics.
#pragma once

#include "db/endpoint.hpp"
#include "db/failure.hpp"
#include "db/pool_queries.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::actors {

/// Durations in buckets whose upper bounds double, from 64 µs to about 67 s; the last one holds the rest.
class duration_histogram {
public:
  static constexpr std::size_t bucket_count = 22;
  static constexpr std::chrono::microseconds first_bound{64};

  void add(std::chrono::microseconds value) noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::chrono::microseconds sum() const noexcept { return sum_; }
  std::chrono::microseconds max() const noexcept { return max_; }
  const std::array<std::uint64_t, bucket_count>& buckets() const noexcept { return buckets_; }
  /// The upper bound of the bucket that holds the quantile, 0 to 1; never more than max(). 0 while empty.
  std::chrono::microseconds quantile(double q) const noexcept;

private:
  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::chrono::microseconds sum_{0};
  std::chrono::microseconds max_{0};
};

/// Of one tenant, or of one purpose.
struct use_numbers {
  std::uint64_t units = 0;
  std::uint64_t leases = 0;
  std::uint64_t failures = 0;
  std::uint64_t refused = 0; ///< too many waited, or the deadline passed
  duration_histogram wait_time;
  duration_histogram query_time;
};

using use_table = std::map<std::string, use_numbers, std::less<>>;

/// Counted since the pool started.
struct pool_numbers {
  std::uint64_t connects = 0;
  std::uint64_t disconnects = 0;
  std::uint64_t retries = 0;
  std::uint64_t cancels = 0;
  std::uint64_t leaks = 0;
  std::uint64_t slow_statements = 0;
  std::uint64_t leases_cleaned = 0;
  std::map<std::string, std::uint64_t> connect_errors; ///< by connect_trouble
  std::map<std::string, std::uint64_t> errors;         ///< of units, by failure_kind
  duration_histogram wait_time;
  duration_histogram query_time;
  use_table by_tenant;  ///< at most `names_max`, the others under "(others)"
  use_table by_purpose; ///< likewise

  static constexpr std::size_t names_max = 1000;
  use_numbers& of_tenant(std::string_view name) { return named(by_tenant, name); }
  use_numbers& of_purpose(std::string_view name) { return named(by_purpose, name); }

private:
  static use_numbers& named(use_table& in, std::string_view name);
};

struct backend_status {
  std::uint64_t slot = 0;
  std::int32_t backend_pid = 0;
  std::string state; ///< connecting, idle, busy, leased, cleaning, checking, closing
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds since_used{0};
  std::size_t units_under_way = 0;
  std::string tenant;  ///< of the lease
  std::string purpose; ///< of the lease
};

struct pool_status {
  std::size_t min = 0;
  std::size_t max = 0;
  std::size_t total = 0; ///< ready ones, idle or not
  std::size_t idle = 0;
  std::size_t active = 0; ///< with units under way
  std::size_t leased = 0;
  std::size_t connecting = 0;
  std::size_t waiting = 0;
  bool paused = false;
  bool draining = false;
  db::endpoint_kind kind = db::endpoint_kind::direct;
  db::pooling_mode mode = db::pooling_mode::session;
  std::string address; ///< of the last backend, host:port
  int server_version = 0;
  bool uses_tls = false;
  std::string last_failure; ///< why connecting failed last; empty once it succeeds
  std::vector<backend_status> backends;
  pool_numbers numbers;
  db::server_view at_server; ///< as of the last report
};

} // namespace colloquy::actors
