#include "actors/tail_cache.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

namespace colloquy::actors {
namespace {

/// What malloc adds to each piece.
constexpr std::size_t piece_bytes = 16;

/// No tail in a stripe.
constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

/// Beside the object itself. What fits into the object has no piece of its own.
std::size_t heap_bytes(const std::string& text) noexcept {
  static const std::size_t inside = std::string().capacity();
  return text.capacity() > inside ? text.capacity() + 1 + piece_bytes : 0;
}

std::size_t heap_bytes(const event& entry) noexcept {
  std::size_t bytes = heap_bytes(entry.data) + heap_bytes(entry.tool_call_id) + heap_bytes(entry.source) +
                      heap_bytes(entry.trace_id) + heap_bytes(entry.author);
  if (entry.tool_call_ids.capacity() > 0)
    bytes += entry.tool_call_ids.capacity() * sizeof(std::string) + piece_bytes;
  for (const auto& id : entry.tool_call_ids)
    bytes += heap_bytes(id);
  return bytes;
}

} // namespace

/// A cache line of its own, so that the mutexes of two do not meet in one.
struct alignas(64) tail_cache::stripe {
  std::mutex mutex;
  tails by_use;
  std::unordered_map<log_id, tails::iterator> by_log;
  /// When the first of by_use was used; written under the mutex, read without it to choose a stripe.
  std::atomic<std::uint64_t> oldest{never};

  void note_oldest() noexcept { oldest = by_use.empty() ? never : by_use.front().used_at; }
};

tail_cache::tail_cache(const tail_limits& limits)
  : limits_{limits.bytes_max, std::min(limits.log_bytes_max, limits.bytes_max), limits.log_events_max}
  , stripes_(std::make_unique<stripe[]>(stripe_count)) {}

tail_cache::~tail_cache() = default;

std::size_t tail_cache::cost_of(const std::vector<event>& block) noexcept {
  // The block's counters and vector, its place in the deque, and the events with the room that the vector has left.
  constexpr std::size_t around = 2 * piece_bytes + 2 * sizeof(void*) + sizeof(std::vector<event>) + sizeof(held_block);
  std::size_t bytes = around + block.capacity() * sizeof(event);
  for (const auto& entry : block)
    bytes += heap_bytes(entry);
  return bytes;
}

std::size_t tail_cache::log_overhead_bytes() noexcept {
  // The list's node, the map's node and bucket, and what a deque takes before it holds anything.
  constexpr std::size_t list_node = sizeof(tail) + 2 * sizeof(void*) + piece_bytes;
  constexpr std::size_t map_node = sizeof(log_id) + 4 * sizeof(void*) + piece_bytes;
  constexpr std::size_t deque_start = 512 + 8 * sizeof(void*) + 2 * piece_bytes;
  return list_node + map_node + deque_start;
}

tail_cache::stripe& tail_cache::stripe_of(const log_id& log) noexcept {
  // Other bits than those by which the map inside the stripe takes its buckets.
  return stripes_[(std::hash<log_id>{}(log) >> 40) % stripe_count];
}

void tail_cache::append(const log_id& log, db::event_block block) {
  if (!block || block->empty())
    return;
  const std::size_t bytes = cost_of(*block);
  std::vector<held_block> dropped; // destroyed after the mutex is released
  tails dropped_tail;
  {
    auto& in = stripe_of(log);
    const std::lock_guard lock(in.mutex);
    auto found = in.by_log.find(log);
    if (found != in.by_log.end() && found->second->next() != block->front().offset) {
      dropped_tail = take_out(in, found->second);
      found = in.by_log.end();
    }
    if (found == in.by_log.end()) {
      in.by_use.push_back({.log = log, .bytes = log_overhead_bytes()});
      found = in.by_log.emplace(log, std::prev(in.by_use.end())).first;
      used_bytes_ += log_overhead_bytes();
      ++logs_;
    }
    auto& grown = *found->second;
    grown.bytes += bytes;
    grown.events += block->size();
    used_bytes_ += bytes;
    grown.blocks.push_back({std::move(block), bytes});
    use(in, found->second);
    shrink(grown, dropped);
    if (grown.blocks.empty())
      dropped_tail.splice(dropped_tail.end(), take_out(in, found->second));
  }
  keep_within_bytes_max();
}

std::optional<log_tail> tail_cache::read(const log_id& log, event_offset from) {
  auto& in = stripe_of(log);
  const std::lock_guard lock(in.mutex);
  auto found = in.by_log.find(log);
  if (found == in.by_log.end()) {
    ++misses_;
    return std::nullopt;
  }
  use(in, found->second);
  const auto& blocks = found->second->blocks;
  log_tail out{found->second->first(), found->second->next(), {}};
  ++(out.covers(from) ? hits_ : misses_);
  auto at = std::partition_point(blocks.begin(), blocks.end(),
                                 [&](const held_block& held) { return held.events->back().offset < from; });
  out.blocks.reserve(static_cast<std::size_t>(blocks.end() - at));
  for (; at != blocks.end(); ++at)
    out.blocks.push_back(at->events);
  return out;
}

void tail_cache::forget(const log_id& log) {
  tails dropped;
  auto& in = stripe_of(log);
  const std::lock_guard lock(in.mutex);
  if (auto found = in.by_log.find(log); found != in.by_log.end())
    dropped = take_out(in, found->second);
}

void tail_cache::use(stripe& in, tails::iterator which) {
  which->used_at = ++clock_;
  in.by_use.splice(in.by_use.end(), in.by_use, which);
  in.note_oldest();
}

void tail_cache::shrink(tail& grown, std::vector<held_block>& dropped) {
  while (!grown.blocks.empty() && (grown.bytes > limits_.log_bytes_max || grown.events > limits_.log_events_max)) {
    auto& oldest = grown.blocks.front();
    grown.bytes -= oldest.bytes;
    grown.events -= oldest.events->size();
    used_bytes_ -= oldest.bytes;
    dropped.push_back(std::move(oldest));
    grown.blocks.pop_front();
  }
}

/// The mutex is held; what is returned should be destroyed without it.
tail_cache::tails tail_cache::take_out(stripe& from, tails::iterator which) {
  tails taken;
  used_bytes_ -= which->bytes;
  --logs_;
  from.by_log.erase(which->log);
  taken.splice(taken.end(), from.by_use, which);
  from.note_oldest();
  return taken;
}

void tail_cache::keep_within_bytes_max() {
  while (used_bytes_ > limits_.bytes_max)
    if (auto* oldest = stripe_of_oldest())
      evict_from(*oldest);
    else
      return; // what others have taken out is still being subtracted
}

tail_cache::stripe* tail_cache::stripe_of_oldest() noexcept {
  std::uint64_t oldest = never;
  stripe* chosen = nullptr;
  for (std::size_t i = 0; i < stripe_count; ++i)
    if (const std::uint64_t used_at = stripes_[i].oldest; used_at < oldest) {
      oldest = used_at;
      chosen = &stripes_[i];
    }
  return chosen;
}

void tail_cache::evict_from(stripe& oldest) {
  tails dropped; // destroyed after the mutex is released
  const std::lock_guard lock(oldest.mutex);
  // Another thread may have been here.
  if (oldest.by_use.empty() || used_bytes_ <= limits_.bytes_max)
    return;
  ++evictions_;
  dropped = take_out(oldest, oldest.by_use.begin());
}

tail_figures tail_cache::figures() const noexcept {
  return {used_bytes_, logs_, hits_, misses_, evictions_};
}

} // namespace colloquy::actors
