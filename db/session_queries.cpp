#include "db/session_queries.hpp"

namespace colloquy::db {
namespace {

constexpr oid set_tenants_types[] = {oids::text};
constexpr statement set_tenants{"set_tenants", "SELECT set_config('colloquy.tenants', $1, true)", set_tenants_types};

constexpr oid read_session_types[] = {oids::text, oids::uuid};
constexpr statement read_session_statement{
    "read_session",
    "SELECT s.log_id, s.user_id, s.agent_id, s.external_id, s.title, s.status, s.created_at, s.updated_at, "
    "s.expires_at,"
    " s.turn_count, s.total_tokens, s.version, s.metadata::text,"
    " coalesce((SELECT e.\"offset\" FROM events AS e WHERE e.tenant_id = s.tenant_id AND e.log_id = s.log_id"
    " ORDER BY e.\"offset\" DESC LIMIT 1), -1) AS last_offset,"
    " t.number, t.id, t.status, t.trace_id, t.started_at, t.ended_at, t.input_tokens, t.output_tokens"
    " FROM sessions AS s LEFT JOIN LATERAL"
    " (SELECT * FROM turns AS t WHERE t.tenant_id = s.tenant_id AND t.session_id = s.id"
    " ORDER BY t.number DESC LIMIT 1) AS t ON true"
    " WHERE s.tenant_id = $1 AND s.id = $2",
    read_session_types};

constexpr oid session_exists_types[] = {oids::text, oids::uuid};
constexpr statement session_exists{"session_exists", "SELECT 1 FROM sessions WHERE tenant_id = $1 AND id = $2",
                                   session_exists_types};

constexpr oid read_log_types[] = {oids::text, oids::uuid, oids::int8, oids::int8};
constexpr statement read_log_statement{
    "read_log",
    "SELECT e.\"offset\", e.created_at, e.kind, e.role, e.turn_id, e.tokens, e.tool_call_id, e.tool_call_ids, e.source,"
    " e.trace_id, e.data"
    " FROM events AS e WHERE e.tenant_id = $1"
    " AND e.log_id = (SELECT s.log_id FROM sessions AS s WHERE s.tenant_id = $1 AND s.id = $2)"
    " AND e.\"offset\" > $3 ORDER BY e.\"offset\" LIMIT $4",
    read_log_types};

constexpr statement check_service_statement{
    "check_service", "SELECT (SELECT count(*) FROM sessions WHERE false), current_tenants()", {}};

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
  std::int32_t int4() { return decode_int4(bytes()); }
  std::int64_t int8() { return decode_int8(bytes()); }
  uuid_bytes uuid() { return decode_uuid(bytes()); }
  timestamp time() { return decode_timestamp(bytes()); }

  std::optional<std::string> optional_text() {
    if (next_is_null())
      return skip(), std::nullopt;
    return text();
  }
  std::optional<timestamp> optional_time() {
    if (next_is_null())
      return skip(), std::nullopt;
    return time();
  }

private:
  const rows& rows_;
  int row_;
  int column_ = 0;
};

std::optional<turn_record> read_turn(row_reader& row) {
  if (row.next_is_null())
    return std::nullopt;
  turn_record turn;
  turn.number = row.int8();
  turn.id = turn_id{row.uuid()};
  turn.status = parse_turn_status(row.bytes()).value_or(turn_status::lost);
  turn.trace_id = row.optional_text().value_or("");
  turn.started_at = row.time();
  turn.ended_at = row.optional_time();
  if (!row.next_is_null()) {
    token_usage usage;
    usage.input_tokens = row.int8();
    usage.output_tokens = row.int8();
    turn.usage = usage;
  }
  return turn;
}

event read_event(row_reader row) {
  event entry;
  entry.offset = row.int8();
  entry.created_at = row.time();
  entry.kind = parse_event_kind(row.bytes()).value_or(event_kind::custom);
  entry.role = parse_message_role(row.optional_text().value_or("")).value_or(message_role::none);
  if (row.next_is_null())
    row.skip();
  else
    entry.turn = turn_id{row.uuid()};
  if (row.next_is_null())
    row.skip();
  else
    entry.tokens = row.int4();
  entry.tool_call_id = row.optional_text().value_or("");
  if (row.next_is_null())
    row.skip();
  else
    entry.tool_call_ids = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  entry.source = row.optional_text().value_or("");
  entry.trace_id = row.optional_text().value_or("");
  entry.data = row.text();
  return entry;
}

error no_such_session() {
  return {error_code::not_found, "no such session"};
}

} // namespace

unit read_session(const session_key& key) {
  return {
      {{&set_tenants, {key.tenant.text()}}, {&read_session_statement, {key.tenant.text(), encode_uuid(key.id.bytes)}}}};
}

result<stored_session> decode_session(const session_key& key, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return no_such_session();
  row_reader row(found, 0);
  stored_session stored;
  auto& record = stored.record;
  record.key = key;
  record.log = log_id{row.uuid()};
  record.user_id = row.text();
  record.agent_id = row.optional_text();
  record.external_id = row.optional_text();
  record.title = row.optional_text();
  record.status = parse_session_status(row.bytes()).value_or(session_status::expired);
  record.created_at = row.time();
  record.updated_at = row.time();
  record.expires_at = row.optional_time();
  record.turn_count = row.int8();
  record.total_tokens = row.int8();
  record.version = row.int8();
  record.metadata = row.text();
  record.durable_offset = row.int8();
  record.next_offset = record.durable_offset + 1;
  stored.last_turn = read_turn(row);
  return stored;
}

unit read_log(const session_key& key, event_offset after, std::size_t limit) {
  const auto session = encode_uuid(key.id.bytes);
  return {{{&set_tenants, {key.tenant.text()}},
           {&session_exists, {key.tenant.text(), session}},
           {&read_log_statement,
            {key.tenant.text(), session, encode_int8(after), encode_int8(static_cast<std::int64_t>(limit))}}}};
}

result<std::vector<event>> decode_log(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  if (outcome.results[1].count() == 0)
    return no_such_session();
  const auto& found = outcome.results.back();
  std::vector<event> events;
  events.reserve(static_cast<std::size_t>(found.count()));
  for (int i = 0; i < found.count(); ++i)
    events.push_back(read_event(row_reader(found, i)));
  return events;
}

unit check_service() {
  return {{{&check_service_statement, {}}}};
}

error to_error(const db_failure& failure) {
  using namespace std::chrono_literals;
  switch (failure.kind) {
  case failure_kind::data:
    return {error_code::invalid_request, "the database refused the data (SQLSTATE " + failure.sqlstate + ")"};
  case failure_kind::retry:
  case failure_kind::wait:
  case failure_kind::connection_lost:
    if (failure.sqlstate == "57014")
      return {error_code::deadline_exceeded, "the database did not answer within the time allowed", 1000ms};
    return {error_code::database_unavailable, "the database cannot answer now: " + failure.message, 1000ms};
  case failure_kind::fence:
  case failure_kind::fault:
    break;
  }
  return {error_code::internal, "the database refused a statement of ours (SQLSTATE " + failure.sqlstate +
                                    "); see the log, or run `colloquy migrate`"};
}

} // namespace colloquy::db
