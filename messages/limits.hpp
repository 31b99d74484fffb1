// Limits that clients may rely on, fixed by the outside interface. What an operator may change is a setting instead.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace colloquy::limits {

/// `user_id`, `agent_id`, `external_id`, `name`: characters. They are parts of keys and indexes.
inline constexpr std::size_t name_chars_max = 255;
inline constexpr std::size_t title_chars_max = 1000;

/// Messages in one append, which is all or none, so it must fit into one batch.
inline constexpr std::size_t events_per_append_max = 1000;

/// One event's JSON. PostgreSQL's text could hold 1 GiB; a model's context cannot.
inline constexpr std::size_t event_bytes_max = std::size_t{4} << 20;
inline constexpr std::size_t metadata_bytes_max = std::size_t{64} << 10;

/// One document's JSON, and its nesting. A setting may lower the first.
inline constexpr std::size_t document_bytes_max = std::size_t{1} << 20;
inline constexpr int document_depth_max = 100;

/// Decimal digits that a document's number has when it is written out: jsonb does that, so that 1e100000 would become
/// 100,001 bytes.
inline constexpr int document_number_digits_max = 1000;

/// Documents in one insert, which is all or none.
inline constexpr std::size_t documents_per_insert_max = 10'000;

/// A filter over documents: objects and arrays inside each other, tests in it, and values of one $in or $nin.
inline constexpr int filter_depth_max = 32;
inline constexpr std::size_t filter_tests_max = 1000;
inline constexpr std::size_t filter_values_max = 10'000;

/// Fields that one find-one is sorted by.
inline constexpr std::size_t sort_fields_max = 16;

/// Steps of one chain of converters, and fields that one of them names.
inline constexpr std::size_t converters_max = 1000;
inline constexpr std::size_t converter_fields_max = 1000;

/// Collections of one store.
inline constexpr std::size_t store_collections_max = 100;

/// How long one opening of a store may go on; what it has done by then is done, and the next goes on from there.
inline constexpr std::chrono::minutes store_opening_max{10};

/// How long deleting a collection that has a table of its own may take: all of it is one transaction.
inline constexpr std::chrono::minutes collection_deletion_max{10};

/// Nesting of messages and metadata; deeper JSON is an attack or a mistake.
inline constexpr int json_depth_max = 64;

/// A turn's lease, and how long a caller may wait for its turn.
inline constexpr std::chrono::seconds lease_default{60};
inline constexpr std::chrono::seconds lease_max{3600};
inline constexpr std::chrono::seconds turn_wait_default{30};
inline constexpr std::chrono::seconds turn_wait_max{300};

/// How long a caller may wait for the next event.
inline constexpr std::chrono::seconds events_wait_max{60};

/// Of a history that is to fit a model's context.
inline constexpr std::int64_t token_budget_max = 10'000'000;

/// What a caller hands in to recognize a repeated request by, beside the key: a digest of it.
inline constexpr std::size_t fingerprint_bytes_max = 64;

/// Beside the key, what tells paths apart.
inline constexpr std::size_t key_scope_bytes_max = 128;

/// Repeats are recognized for this long.
inline constexpr std::chrono::hours idempotency_kept{24};

/// One part of a reply that is only passed on to those who listen; and how much of the text so far is kept for one who
/// comes late.
inline constexpr std::size_t delta_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t deltas_kept_bytes_max = std::size_t{1} << 20;

/// Users with whom one session is shared.
inline constexpr std::size_t participants_max = 1000;

/// Who listens to one session at once; and how far one may be behind before it is told to come back.
inline constexpr std::size_t subscribers_per_session_max = 20'000;
inline constexpr std::size_t subscriber_lag_events_max = 5000;
inline constexpr std::size_t subscriber_lag_bytes_max = std::size_t{8} << 20;
inline constexpr std::size_t subscriber_lag_deltas_max = 1000;
inline constexpr std::size_t subscriber_lag_delta_bytes_max = std::size_t{1} << 20;

/// How long a session lives unless its creator says otherwise.
inline constexpr std::chrono::hours expires_in_default{24};

/// Events, sessions or turns in one page of a read, and the bytes of events after which a page ends.
inline constexpr std::size_t page_default = 100;
inline constexpr std::size_t page_events_max = 1000;
inline constexpr std::size_t page_bytes_max = std::size_t{16} << 20;

/// Callers who may wait for the durability of one session's events at once.
inline constexpr std::size_t durable_waiters_per_session_max = 1000;

/// What one undurable event costs beside its data: offsets, shared pointers, its place in queues.
inline constexpr std::size_t event_overhead_bytes = 256;

} // namespace colloquy::limits
