// Parts of a session's log. A log of its own is read by one statement; one that begins in another, by the server's
// function read_fork, which follows the links.
#include "db/row_reader.hpp"

namespace colloquy::db {
namespace {

#define COLLOQUY_EVENT_COLUMNS                                                                                         \
  "v.\"offset\", v.created_at, v.kind, v.role, v.turn_id, v.tokens, v.tool_call_id, v.tool_call_ids, v.source,"        \
  " v.trace_id, v.data, v.messages, v.author"

// The window adds up the bytes of what comes before, so that the server stops sending where enough is read; it reads at
// most one page of rows more than it sends, without their large values. Looking at the lengths first, or at whether
// anything is hidden at all, was tried: more to set up than it saves for pages of usual size.
#define COLLOQUY_READ_LOG(direction)                                                                                   \
  "SELECT " COLLOQUY_EVENT_COLUMNS " FROM (SELECT e.*,"                                                                \
  " sum(octet_length(e.data)) OVER (ORDER BY e.\"offset\" " direction " ROWS UNBOUNDED PRECEDING)"                     \
  " - octet_length(e.data) AS bytes_before"                                                                            \
  " FROM events AS e WHERE e.tenant_id = $1 AND e.log_id = $2 AND e.\"offset\" > $3 AND e.\"offset\" < $4"             \
  " AND (e.kind = 'message' OR NOT $7)"                                                                                \
  " AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = e.tenant_id AND t.id = e.turn_id"                       \
  " AND t.status = 'rolled_back')"                                                                                     \
  " ORDER BY e.\"offset\" " direction " LIMIT $5) AS v WHERE v.bytes_before < $6 ORDER BY v.\"offset\" " direction

constexpr oid read_log_types[] = {oids::text, oids::uuid, oids::int8,   oids::int8,
                                  oids::int8, oids::int8, oids::boolean};
constexpr statement read_log_up{"read_log_up", COLLOQUY_READ_LOG("ASC"), read_log_types};
constexpr statement read_log_down{"read_log_down", COLLOQUY_READ_LOG("DESC"), read_log_types};

constexpr oid read_fork_types[] = {oids::text, oids::uuid, oids::int8,    oids::int8,
                                   oids::int8, oids::int8, oids::boolean, oids::boolean};
constexpr statement read_fork{"read_fork",
                              "SELECT " COLLOQUY_EVENT_COLUMNS " FROM read_fork($1, $2, $3, $4, $5, $6, $8, $7) AS v",
                              read_fork_types};

// Beside those of read_log: the session, from which end, with what is deleted, kinds, source, trace. No kinds, and
// null: whatever they are.
constexpr oid read_view_types[] = {oids::text,       oids::uuid,    oids::int8, oids::int8,    oids::int8,
                                   oids::int8,       oids::boolean, oids::uuid, oids::boolean, oids::boolean,
                                   oids::text_array, oids::text,    oids::text};
constexpr statement read_view{
    "read_view",
    "SELECT (r.entry).\"offset\", (r.entry).created_at, (r.entry).kind, (r.entry).role, (r.entry).turn_id,"
    " (r.entry).tokens, (r.entry).tool_call_id, (r.entry).tool_call_ids, (r.entry).source, (r.entry).trace_id,"
    " (r.entry).data, (r.entry).messages, (r.entry).author, r.is_deleted"
    " FROM read_view($1, $8, $2, $3, $4, $5, $6, $9, $7, $10, nullif($11, '{}'), $12, $13) AS r",
    read_view_types};
constexpr int deleted_column = 13;

constexpr oid count_hidden_types[] = {oids::text, oids::uuid, oids::int8};
constexpr statement count_hidden_statement{"count_hidden", "SELECT count_hidden($1, $2, $3)", count_hidden_types};

constexpr oid count_hidden_in_view_types[] = {oids::text, oids::uuid, oids::int8, oids::uuid};
constexpr statement count_hidden_in_view{"count_hidden_in_view",
                                         "SELECT count_hidden($1, $2, $3) + count_deleted($1, $4, $2, $3)",
                                         count_hidden_in_view_types};

constexpr oid find_fork_point_types[] = {oids::text, oids::uuid, oids::int8};
constexpr statement find_fork_point_statement{
    "find_fork_point", "SELECT f.log_id, $3, f.messages FROM find_fork_point($1, $2, $3) AS f", find_fork_point_types};

event read_event(row_reader row) {
  event entry;
  entry.offset = row.int8();
  entry.created_at = row.time();
  entry.kind = parse_event_kind(row.bytes()).value_or(event_kind::custom);
  entry.role = parse_message_role(row.optional_text().value_or("")).value_or(message_role::none);
  entry.turn = row.id<turn_id>();
  entry.tokens = row.optional_int4();
  entry.tool_call_id = row.optional_text().value_or("");
  if (row.next_is_null())
    row.skip();
  else
    entry.tool_call_ids = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  entry.source = row.optional_text().value_or("");
  entry.trace_id = row.optional_text().value_or("");
  entry.data = row.text();
  entry.messages = row.int8();
  entry.author = row.optional_text().value_or("");
  return entry;
}

} // namespace

unit read_log(const log_source& source, const log_part& part) {
  statement_call call{part.newest_first ? &read_log_down : &read_log_up,
                      {source.tenant.text(), encode_uuid(source.log.bytes), encode_int8(part.after),
                       encode_int8(part.before), encode_int8(static_cast<std::int64_t>(part.limit)),
                       encode_int8(static_cast<std::int64_t>(part.bytes_max)), encode_bool(part.only_messages)}};
  const bool is_filtered = !part.kinds.empty() || part.source || part.trace_id;
  if (source.has_deleted || is_filtered) {
    call.what = &read_view;
    array_builder kinds(oids::text, part.kinds.size(), part.kinds.size() * 8);
    for (const auto kind : part.kinds)
      kinds.add(to_string(kind));
    for (auto& parameter : {encode_uuid(source.session.bytes), encode_bool(part.newest_first),
                            encode_bool(part.with_deleted), std::move(kinds).finish()})
      call.parameters.emplace_back(parameter);
    call.parameters.push_back(part.source);
    call.parameters.push_back(part.trace_id);
  } else if (source.is_fork) {
    call.what = &read_fork;
    call.parameters.emplace_back(encode_bool(part.newest_first));
  }
  return {{tenant_call(source.tenant), std::move(call)}};
}

result<std::vector<event>> decode_log(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<event> events;
  events.reserve(static_cast<std::size_t>(found.count()));
  for (int i = 0; i < found.count(); ++i)
    events.push_back(read_event(row_reader(found, i)));
  return events;
}

std::vector<event_offset> decode_deleted_offsets(const unit_outcome& outcome) {
  std::vector<event_offset> deleted;
  if (outcome.failure)
    return deleted;
  const auto& found = outcome.results.back();
  for (int i = 0; i < found.count() && found.columns() > deleted_column; ++i)
    if (decode_bool(found.get(i, deleted_column)))
      deleted.push_back(decode_int8(found.get(i, 0)));
  return deleted;
}

unit read_first_message(const log_source& source) {
  log_part part;
  part.limit = 1;
  part.only_messages = true;
  return read_log(source, part);
}

unit count_hidden(const log_source& source, event_offset through) {
  statement_call call{&count_hidden_statement,
                      {source.tenant.text(), encode_uuid(source.log.bytes), encode_int8(through)}};
  if (source.has_deleted) {
    call.what = &count_hidden_in_view;
    call.parameters.emplace_back(encode_uuid(source.session.bytes));
  }
  return {{tenant_call(source.tenant), std::move(call)}};
}

result<std::int64_t> decode_count(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return decode_int8(outcome.results.back().get(0, 0));
}

unit find_fork_point(const log_source& source, event_offset offset) {
  return {{tenant_call(source.tenant),
           {&find_fork_point_statement, {source.tenant.text(), encode_uuid(source.log.bytes), encode_int8(offset)}}}};
}

result<log_parent> decode_fork_point(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0 || found.is_null(0, 0))
    return error{error_code::not_found, "the log has no event at that offset"};
  row_reader row(found, 0);
  return log_parent{row.id<log_id>(), row.int8(), row.int8()};
}

} // namespace colloquy::db
