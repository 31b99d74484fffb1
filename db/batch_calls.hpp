// The statements of a batch, one function each: what to call for these writes, or nothing if they have no rows for it.
// Inside db/ only: batch.cpp puts them together.
#pragma once

#include "db/batch.hpp"

#include <chrono>
#include <optional>
#include <span>

namespace colloquy::db {

using writes_view = std::span<const session_write_ptr>;

/// Which session a key is kept under: none in scope "create", the forked one for a fork, else the one that was asked.
session_id session_of_key(const session_write& write);

// batch_creations.cpp: in this order. A session is made unless its external id is taken or its key is there already;
// keys of those that are not made go again.
std::optional<statement_call> creation_keys_call(writes_view writes);
std::optional<statement_call> sessions_call(writes_view writes);
std::optional<statement_call> unused_keys_call(writes_view writes);
std::optional<statement_call> forks_call(writes_view writes);
/// What the forked sessions have deleted. After forks_call.
std::optional<statement_call> forks_deleted_call(writes_view writes);

// batch_log.cpp
std::optional<statement_call> events_call(writes_view writes);
/// The last state of each turn.
std::optional<statement_call> turns_call(writes_view writes);

// batch_changes.cpp
/// Of requests to sessions that are there.
std::optional<statement_call> keys_call(writes_view writes);
std::optional<statement_call> participants_call(writes_view writes);
std::optional<statement_call> former_participants_call(writes_view writes);
/// The last state of each session's row.
std::optional<statement_call> changes_call(writes_view writes);
/// Of events, from the view of their session; after these and their turns.
std::optional<statement_call> deleted_call(writes_view writes);
/// The sum of each session's counters.
std::optional<statement_call> counters_call(writes_view writes);
std::optional<statement_call> erasures_call(writes_view writes);

/// PostgreSQL's text form of an array, because unnest() would flatten an array of arrays.
std::string array_literal(const std::vector<std::string>& elements);
/// Of a session's row; null stands for what is there unless somebody says otherwise.
void add_labels(array_builder& to, const session_record& row);
void add_mode(array_builder& to, const session_record& row);
void add_consumption(array_builder& to, const session_record& row);

inline void add_or_null(array_builder& to, const std::optional<std::string>& text) {
  if (text)
    to.add(*text);
  else
    to.add_null();
}
inline void add_or_null(array_builder& to, const std::optional<timestamp>& at) {
  if (at)
    to.add_timestamp(*at);
  else
    to.add_null();
}
inline void add_or_null(array_builder& to, const std::optional<std::chrono::seconds>& time) {
  if (time)
    to.add_int8(time->count());
  else
    to.add_null();
}
template <class Tag>
void add_or_null(array_builder& to, const uuid_id<Tag>& id) {
  if (id.is_nil())
    to.add_null();
  else
    to.add_uuid(id.bytes);
}

} // namespace colloquy::db
