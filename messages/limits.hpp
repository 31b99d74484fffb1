// Limits that clients may rely on, fixed by the outside interface. What an operator may change is a setting instead.
#pragma once

#include <chrono>
#include <cstddef>

namespace colloquy::limits {

/// `user_id`, `agent_id`, `external_id`, `name`: characters. They are parts of keys and indexes.
inline constexpr std::size_t name_chars_max = 255;
inline constexpr std::size_t title_chars_max = 1000;

/// Messages in one append, which is all or none, so it must fit into one batch.
inline constexpr std::size_t events_per_append_max = 1000;

/// One event's JSON. PostgreSQL's text could hold 1 GiB; a model's context cannot.
inline constexpr std::size_t event_bytes_max = std::size_t{4} << 20;
inline constexpr std::size_t metadata_bytes_max = std::size_t{64} << 10;

/// Nesting of messages and metadata; deeper JSON is an attack or a mistake.
inline constexpr int json_depth_max = 64;

/// How long a session lives unless its creator says otherwise.
inline constexpr std::chrono::hours expires_in_default{24};

/// Events in one page of a read.
inline constexpr std::size_t page_events_max = 1000;

/// Callers who may wait for the durability of one session's events at once.
inline constexpr std::size_t durable_waiters_per_session_max = 1000;

/// What one undurable event costs beside its data: offsets, shared pointers, its place in queues.
inline constexpr std::size_t event_overhead_bytes = 256;

} // namespace colloquy::limits
