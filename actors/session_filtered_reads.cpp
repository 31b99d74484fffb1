// Durable events of some kind, source or trace, or with those that were deleted: filtered, then cut to the page. See
// session.hpp.
#include "actors/session_filtered_reads.hpp"

#include "db/session_queries.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

// Offsets that one statement goes through at most, so that its time is bounded however rare what is wanted is.
constexpr event_offset window = 20'000;

} // namespace

/// Window by window until there are enough, all that is durable has been read, or time is up: then the answer tells how
/// far it came.
void session::read_filtered(std::shared_ptr<filtered_reading> reading) {
  const auto& wanted = reading->wanted;
  const auto durable = known_->record.durable_offset;
  if (wanted.after >= durable)
    return reading->finish(std::max(wanted.after, durable));
  event_blocks blocks;
  if (wanted.after + 1 >= in_memory(blocks, wanted.after + 1) && !wanted.from_database) {
    for (const auto& block : blocks)
      for (const auto& entry : *block) {
        const bool is_gone = is_deleted(entry.offset);
        const bool is_shown = entry.offset > wanted.after && entry.offset <= durable && !is_rolled_back(entry) &&
                              (wanted.with_deleted || !is_gone) && wanted.wants(entry);
        if (is_shown && !reading->is_full())
          reading->take(event(entry), is_gone);
      }
    return reading->finish(durable);
  }
  db::log_part part;
  part.after = wanted.after;
  part.before = std::min(durable, wanted.after + window) + 1;
  part.limit = wanted.limit - reading->found.events.size();
  part.kinds = wanted.kinds;
  part.source = wanted.source;
  part.trace_id = wanted.trace_id;
  part.with_deleted = wanted.with_deleted;
  ask_database(db::read_log(source(), part), "read_log", [this, reading, part](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return reading->then(found.failure());
    const auto deleted = db::decode_deleted_offsets(outcome);
    std::size_t bytes = 0;
    for (const auto& entry : *found)
      bytes += entry.data.size();
    const bool is_cut = found->size() >= part.limit || bytes >= part.bytes_max;
    reading->wanted.after = is_cut ? found->back().offset : part.before - 1;
    for (auto& entry : *found) {
      const bool is_gone = is_deleted(entry.offset) || std::binary_search(deleted.begin(), deleted.end(), entry.offset);
      if (!is_rolled_back(entry) && (reading->wanted.with_deleted || !is_gone))
        reading->take(std::move(entry), is_gone);
    }
    const bool is_over = phase_ != phase::awake || clock().now() >= reading->until;
    if (!reading->is_full() && !is_over)
      return read_filtered(reading);
    reading->found.is_cut_short = !reading->is_full() && reading->wanted.after < known_->record.durable_offset;
    reading->finish(reading->wanted.after);
  });
}

} // namespace colloquy::actors
