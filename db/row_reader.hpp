// Reading rows that our queries return, column by column. Inside db/ only.
#pragma once

#include "db/session_queries.hpp"
#include "db/statement.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::db {

/// Sets the tenants of the transaction: first in every unit that works as the service.
statement_call tenant_call(const tenant_id& tenant);

/// From here to its end the unit sees the sessions that this user owns or takes part in, and no others.
statement_call user_call(const std::string& user);

/// From here to its end the unit works as colloquy_system, which sees all tenants.
statement_call as_system_call();

/// Walks the columns of one row from left to right.
class row_reader {
public:
  row_reader(const rows& from, int row)
    : rows_(from)
    , row_(row) {}

  bool next_is_null() const { return rows_.is_null(row_, column_); }
  void skip() { ++column_; }
  std::string_view bytes() { return rows_.get(row_, column_++); }
  std::string text() { return std::string(bytes()); }
  bool boolean() { return decode_bool(bytes()); }
  std::int32_t int4() { return decode_int4(bytes()); }
  std::int64_t int8() { return decode_int8(bytes()); }
  uuid_bytes uuid() { return decode_uuid(bytes()); }
  timestamp time() { return decode_timestamp(bytes()); }

  std::optional<std::string> optional_text() {
    return optional([this] { return text(); });
  }
  std::optional<timestamp> optional_time() {
    return optional([this] { return time(); });
  }
  std::optional<std::int32_t> optional_int4() {
    return optional([this] { return int4(); });
  }
  std::optional<std::int64_t> optional_int8() {
    return optional([this] { return int8(); });
  }
  std::optional<uuid_bytes> optional_uuid() {
    return optional([this] { return uuid(); });
  }
  /// Nil if null.
  template <class Id>
  Id id() {
    return Id{optional_uuid().value_or(uuid_bytes{})};
  }

private:
  template <class Read>
  auto optional(Read read) -> std::optional<decltype(read())> {
    if (next_is_null())
      return skip(), std::nullopt;
    return read();
  }

  const rows& rows_;
  int row_;
  int column_ = 0;
};

// What a session's record is read from, in the order of read_record: of `s`, a row of sessions, and `e`, the last event
// of its log. durable_offset of a fork without events of its own is the last one that it shares.
#define COLLOQUY_RECORD_COLUMNS                                                                                        \
  "s.log_id, s.user_id, s.agent_id, s.external_id, s.title, s.status, s.created_at, s.updated_at, s.expires_at,"       \
  " coalesce(s.expires_in_s, extract(epoch FROM s.expires_at - s.created_at)::bigint), s.turn_count,"                  \
  " s.total_tokens, s.version, s.metadata::text, s.parent_id, s.fork_offset,"                                          \
  " coalesce(e.\"offset\", s.fork_offset, -1), s.labels, s.mode, s.consumption_offsets::text"
#define COLLOQUY_LAST_EVENT                                                                                            \
  " LEFT JOIN LATERAL (SELECT l.\"offset\", l.messages FROM events AS l WHERE l.tenant_id = s.tenant_id"               \
  " AND l.log_id = s.log_id ORDER BY l.\"offset\" DESC LIMIT 1) AS e ON true"
session_record read_record(const session_key& key, row_reader& row);

// A turn's columns in the order of read_turn_row.
#define COLLOQUY_TURN_COLUMNS                                                                                          \
  "t.number, t.id, t.status, t.trace_id, t.started_at, t.ended_at, t.lease_expires_at, t.input_tokens,"                \
  " t.output_tokens, t.process_id, t.first_offset, t.messages"
inline constexpr int turn_columns = 12;
turn_row read_turn_row(row_reader& row);

} // namespace colloquy::db
