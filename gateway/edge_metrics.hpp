// What the edge counts. Used by its thread alone.
#pragma once

#include "gateway/metric_text.hpp"
#include "gateway/operations.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace colloquy::gateway {

class edge_metrics {
public:
  using clock = std::chrono::steady_clock;

  /// `of`: null if no such call is known.
  void note_request(const operation* of, std::string_view method, unsigned status, clock::duration took);
  /// Before it was looked at, or for what it is: over a limit, over a quota, draining.
  void note_rejected(std::string_view reason) { ++rejected_[std::string(reason)]; }
  void note_turn_started() { ++turns_started_; }
  void note_turn_ended(std::string_view outcome) { ++turns_ended_[std::string(outcome)]; }

  /// From the request until it is durable, or known not to be; a wait that goes on counts as lag.
  using durable_wait = std::multiset<clock::time_point>::iterator;
  durable_wait begin_durable() { return waiting_.insert(clock::now()); }
  void end_durable(durable_wait wait, bool is_durable);

  std::size_t connections = 0;
  std::size_t streams = 0;

  void write(metric_text& to) const;

private:
  struct of_route {
    std::map<std::pair<std::string, unsigned>, std::uint64_t> requests; // by method and status
    metric_histogram duration;
  };
  // The last is for what matches no route.
  std::array<of_route, static_cast<std::size_t>(operation_id::count_) + 1> routes_;
  std::map<std::string, std::uint64_t> rejected_;
  std::uint64_t turns_started_ = 0;
  std::map<std::string, std::uint64_t> turns_ended_;
  metric_histogram durable_;
  std::multiset<clock::time_point> waiting_;
};

} // namespace colloquy::gateway
