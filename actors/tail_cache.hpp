// The tails of logs: the newest events of the sessions in use, in one cache for all of them, bounded in bytes.
//
// A session appends the blocks that it makes (accepted or durable, the cache does not ask), in order; reading gives the
// blocks from an offset to the end of the log. So a tail has no gap: what does not begin where the tail ends (a gap, or
// offsets that are given again) replaces it. Blocks are shared and never copied; they are kept or dropped whole.
//
// Bounds. Of each log the newest blocks are kept that stay within bytes and events; one block that is too large for
// that is not kept, and with it nothing before it. When all tails together pass bytes_max, whole tails go, that of the
// log that has been appended to or read the longest time ago first. The sum passes bytes_max only for a moment, by what
// is being appended just then. Bytes are what the events hold in memory (cost_of), with what the cache spends on them.
//
// Thread-safe: logs are spread over stripes, each with a mutex that is held to move a few pointers; what is dropped is
// destroyed outside of it. Who went the longest time without use is exact with one thread; with several it may be one
// of the least recently used. No memory is held for a log without a tail.
#pragma once

#include "db/batch.hpp"
#include "messages/event.hpp"
#include "messages/ids.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

struct tail_limits {
  std::size_t bytes_max = std::size_t{256} << 20;   ///< of all tails
  std::size_t log_bytes_max = std::size_t{4} << 20; ///< of one; more than bytes_max counts as that
  std::size_t log_events_max = 1000;                ///< of one
};

/// What there is of a log from an offset on.
struct log_tail {
  event_offset first = 0;              ///< the cache has the log from here on
  event_offset next = 0;               ///< behind the last event
  std::vector<db::event_block> blocks; ///< oldest first, consecutive, through `next`; the first may begin earlier

  bool covers(event_offset from) const noexcept { return first <= from; }
};

/// Since the start, but for used_bytes and logs, which are of now.
struct tail_figures {
  std::size_t used_bytes = 0;
  std::size_t logs = 0;
  std::uint64_t hits = 0;      ///< reads that got all they asked for
  std::uint64_t misses = 0;    ///< the others: no tail, or one that begins later
  std::uint64_t evictions = 0; ///< tails dropped for bytes_max
};

class tail_cache {
public:
  explicit tail_cache(const tail_limits& limits);
  tail_cache(const tail_cache&) = delete;
  tail_cache& operator=(const tail_cache&) = delete;
  ~tail_cache();

  /// Null and empty blocks are passed over.
  void append(const log_id& log, db::event_block block);

  /// The blocks that hold offsets >= `from`. If the tail begins later (not covers()), all of it: what is missing is
  /// from `from` to below `first`. None if there is no tail. Counts as use.
  std::optional<log_tail> read(const log_id& log, event_offset from);

  /// Drops the tail, if there is one; counts as no eviction.
  void forget(const log_id& log);

  tail_figures figures() const noexcept;

  /// What a block counts for.
  static std::size_t cost_of(const std::vector<event>& block) noexcept;
  /// What a log counts for beside its blocks.
  static std::size_t log_overhead_bytes() noexcept;

private:
  struct held_block {
    db::event_block events;
    std::size_t bytes = 0;
  };
  struct tail {
    log_id log{};
    std::deque<held_block> blocks{}; ///< never empty
    std::size_t bytes = 0;           ///< log_overhead_bytes() and the blocks'
    std::size_t events = 0;
    std::uint64_t used_at = 0; ///< on clock_

    event_offset first() const noexcept { return blocks.front().events->front().offset; }
    event_offset next() const noexcept { return blocks.back().events->back().offset + 1; }
  };
  using tails = std::list<tail>; ///< least recently used first
  struct stripe;

  stripe& stripe_of(const log_id& log) noexcept;
  void use(stripe& in, tails::iterator which);
  void shrink(tail& grown, std::vector<held_block>& dropped);
  tails take_out(stripe& from, tails::iterator which);
  void keep_within_bytes_max();
  stripe* stripe_of_oldest() noexcept;
  void evict_from(stripe& oldest);

  static constexpr std::size_t stripe_count = 16;

  const tail_limits limits_;
  const std::unique_ptr<stripe[]> stripes_;
  std::atomic<std::uint64_t> clock_{0}; ///< counts uses
  std::atomic<std::size_t> used_bytes_{0};
  std::atomic<std::size_t> logs_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> misses_{0};
  std::atomic<std::uint64_t> evictions_{0};
};

} // namespace colloquy::actors
