// When the pool may try to connect again, and how many backends it may have for now: exponential backoff with jitter,
// and a slower step for what hammering would make worse. It never gives up: there is always a next try.
//
// Not thread-safe; no clock of its own.
#pragma once

#include "db/symptoms.hpp"

#include <caf/actor_clock.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <random>

namespace colloquy::actors {

struct reconnect_options {
  std::chrono::milliseconds delay_first{100};
  std::chrono::milliseconds delay_max{5000}; ///< a database that returns is found within this
  unsigned jitter_percent = 25;              ///< either way
};

class connect_gate {
public:
  using time_point = caf::actor_clock::time_point;
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  // Supavisor blocks tenant and address for 120 s after ten failed logins in 150 s: four a minute at most.
  static constexpr std::chrono::seconds credentials_delay_first{15};
  static constexpr std::chrono::seconds credentials_delay_max{120};
  // Slots come free when somebody leaves; asking sooner only takes the server's time.
  static constexpr std::chrono::seconds slots_delay_first{1};
  static constexpr std::chrono::seconds slots_delay_max{30};
  // One more backend is tried for after as long as the next try takes: soon after a server that was full for a moment,
  // every half minute at one that stays full. Two at least: a writer holds one, and units need another.
  static constexpr std::size_t ceiling_min = 2;

  connect_gate(reconnect_options options, std::uint32_t seed)
    : options_(options)
    , generator_(seed) {}

  /// `ready`: backends that there are. Returns after how long the next try may be made.
  std::chrono::milliseconds failed(db::connect_trouble trouble, std::size_t ready, time_point now);
  /// A backend is connected: there was a place.
  void connected(time_point now);
  /// A backend that was connected then has lasted: if that is later than the last failure, the way is free again.
  void lasted(time_point connected_at);
  /// New credentials: what was wrong with the old ones says nothing.
  void forget_failures();

  bool may_connect(time_point now) const noexcept { return now >= next_try_; }
  bool is_failing() const noexcept { return failures_ > 0; }
  /// It fails in a way that time does not heal: somebody has to change a setting.
  bool needs_somebody() const noexcept;
  /// How many backends the server is thought to grant us.
  std::size_t ceiling(time_point now);

private:
  std::chrono::milliseconds with_jitter(std::chrono::milliseconds delay);

  const reconnect_options options_;
  std::minstd_rand generator_;
  unsigned failures_ = 0; // in a row, of one kind of trouble
  db::connect_trouble trouble_ = db::connect_trouble::none;
  time_point failed_at_{};
  time_point next_try_{};
  std::size_t ceiling_ = unlimited;
  std::chrono::milliseconds ceiling_step_{slots_delay_first}; // until it rises by one
  time_point ceiling_since_{};
};

} // namespace colloquy::actors
