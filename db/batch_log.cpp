// Events and turns of a batch: what almost every batch has.
#include "db/batch_calls.hpp"

#include <unordered_map>
#include <vector>

namespace colloquy::db {
namespace {

constexpr oid insert_events_types[] = {oids::text_array, oids::uuid_array, oids::int8_array, oids::timestamptz_array,
                                       oids::text_array, oids::text_array, oids::uuid_array, oids::int4_array,
                                       oids::text_array, oids::text_array, oids::text_array, oids::text_array,
                                       oids::text_array, oids::int8_array, oids::text_array};
constexpr statement insert_events{
    "insert_events",
    "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, turn_id, tokens, tool_call_id,"
    " tool_call_ids, source, trace_id, data, messages, author)"
    " SELECT e.tenant_id, e.log_id, e.position, e.created_at, e.kind, e.role, e.turn_id, e.tokens, e.tool_call_id,"
    " e.tool_call_ids::text[], e.source, e.trace_id, e.data, e.messages, e.author"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    " AS e(tenant_id, log_id, position, created_at, kind, role, turn_id, tokens, tool_call_id, tool_call_ids, source,"
    " trace_id, data, messages, author)",
    insert_events_types};

constexpr oid upsert_turns_types[] = {
    oids::text_array, oids::uuid_array,        oids::int8_array,        oids::uuid_array,        oids::text_array,
    oids::text_array, oids::timestamptz_array, oids::timestamptz_array, oids::timestamptz_array, oids::int8_array,
    oids::int8_array, oids::uuid_array,        oids::uuid_array,        oids::int8_array,        oids::int8_array};
constexpr statement upsert_turns{
    "upsert_turns",
    "INSERT INTO turns AS t (tenant_id, session_id, number, id, status, trace_id, started_at, ended_at,"
    " lease_expires_at, input_tokens, output_tokens, process_id, log_id, first_offset, messages)"
    " SELECT u.tenant_id, u.session_id, u.number, u.id, u.status, u.trace_id, u.started_at, u.ended_at,"
    " u.lease_expires_at, u.input_tokens, u.output_tokens, u.process_id, u.log_id, u.first_offset, u.messages"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    " AS u(tenant_id, session_id, number, id, status, trace_id, started_at, ended_at, lease_expires_at, input_tokens,"
    " output_tokens, process_id, log_id, first_offset, messages)"
    " ON CONFLICT (tenant_id, session_id, number) DO UPDATE"
    " SET status = excluded.status, ended_at = excluded.ended_at, lease_expires_at = excluded.lease_expires_at,"
    " input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, process_id = excluded.process_id,"
    " log_id = excluded.log_id, first_offset = excluded.first_offset, messages = excluded.messages",
    upsert_turns_types};

/// PostgreSQL's text form of an array, because unnest() would flatten an array of arrays.
std::string array_literal(const std::vector<std::string>& elements) {
  std::string out = "{";
  for (const auto& element : elements) {
    if (out.size() > 1)
      out.push_back(',');
    out.push_back('"');
    for (char c : element) {
      if (c == '"' || c == '\\')
        out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  out.push_back('}');
  return out;
}

struct turn_in_batch {
  const session_write* write;
  const turn_row* turn;
};

/// The last state of each turn, in the order in which the turns first appear.
std::vector<turn_in_batch> fold_turns(writes_view writes) {
  std::vector<turn_in_batch> folded;
  std::unordered_map<turn_id, std::size_t> place;
  for (const auto& write : writes) {
    for (const auto& turn : write->turns) {
      auto [at, is_new] = place.try_emplace(turn.id, folded.size());
      if (is_new)
        folded.push_back({write.get(), &turn});
      else
        folded[at->second].turn = &turn;
    }
  }
  return folded;
}

} // namespace

std::optional<statement_call> events_call(writes_view writes) {
  std::size_t count = 0, bytes = 0;
  for (const auto& write : writes) {
    count += write->event_count();
    bytes += write->bytes;
  }
  if (count == 0)
    return std::nullopt;
  array_builder tenants(oids::text, count, count * 12), logs(oids::uuid, count, count * 16),
      offsets(oids::int8, count, count * 8), created(oids::timestamptz, count, count * 8),
      kinds(oids::text, count, count * 8), roles(oids::text, count, count * 10), turns(oids::uuid, count, count * 16),
      tokens(oids::int4, count, 0), call_ids(oids::text, count, 0), calls_made(oids::text, count, 0),
      sources(oids::text, count, 0), traces(oids::text, count, 0), data(oids::text, count, bytes),
      messages(oids::int8, count, count * 8), authors(oids::text, count, 0);
  for (const auto& write : writes) {
    if (!write->events)
      continue;
    for (const auto& entry : *write->events) {
      tenants.add(write->session.tenant.text());
      logs.add_uuid(write->log.bytes);
      offsets.add_int8(entry.offset);
      created.add_timestamp(entry.created_at);
      kinds.add(to_string(entry.kind));
      roles.add_text_or_null(to_string(entry.role));
      add_or_null(turns, entry.turn);
      if (entry.tokens)
        tokens.add_int4(*entry.tokens);
      else
        tokens.add_null();
      call_ids.add_text_or_null(entry.tool_call_id);
      if (entry.tool_call_ids.empty())
        calls_made.add_null();
      else
        calls_made.add(array_literal(entry.tool_call_ids));
      sources.add_text_or_null(entry.source);
      traces.add_text_or_null(entry.trace_id);
      data.add(entry.data);
      messages.add_int8(entry.messages);
      authors.add_text_or_null(entry.author);
    }
  }
  return statement_call{&insert_events,
                        {std::move(tenants).finish(), std::move(logs).finish(), std::move(offsets).finish(),
                         std::move(created).finish(), std::move(kinds).finish(), std::move(roles).finish(),
                         std::move(turns).finish(), std::move(tokens).finish(), std::move(call_ids).finish(),
                         std::move(calls_made).finish(), std::move(sources).finish(), std::move(traces).finish(),
                         std::move(data).finish(), std::move(messages).finish(), std::move(authors).finish()}};
}

std::optional<statement_call> turns_call(writes_view writes) {
  const auto folded = fold_turns(writes);
  if (folded.empty())
    return std::nullopt;
  const auto count = folded.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      numbers(oids::int8, count, count * 8), ids(oids::uuid, count, count * 16), states(oids::text, count, count * 10),
      traces(oids::text, count, 0), started(oids::timestamptz, count, count * 8),
      ended(oids::timestamptz, count, count * 8), leases(oids::timestamptz, count, count * 8),
      input(oids::int8, count, 0), output(oids::int8, count, 0), processes(oids::uuid, count, count * 16),
      logs(oids::uuid, count, count * 16), firsts(oids::int8, count, count * 8), messages(oids::int8, count, count * 8);
  for (const auto& [write, turn] : folded) {
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    numbers.add_int8(turn->number);
    ids.add_uuid(turn->id.bytes);
    states.add(to_string(turn->status));
    traces.add_text_or_null(turn->trace_id);
    started.add_timestamp(turn->started_at);
    add_or_null(ended, turn->ended_at);
    add_or_null(leases, turn->lease_expires_at);
    if (turn->usage) {
      input.add_int8(turn->usage->input_tokens);
      output.add_int8(turn->usage->output_tokens);
    } else {
      input.add_null();
      output.add_null();
    }
    add_or_null(processes, turn->granted_by);
    logs.add_uuid(write->log.bytes);
    firsts.add_int8(turn->first_offset);
    messages.add_int8(turn->messages);
  }
  return statement_call{&upsert_turns,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(numbers).finish(),
                         std::move(ids).finish(), std::move(states).finish(), std::move(traces).finish(),
                         std::move(started).finish(), std::move(ended).finish(), std::move(leases).finish(),
                         std::move(input).finish(), std::move(output).finish(), std::move(processes).finish(),
                         std::move(logs).finish(), std::move(firsts).finish(), std::move(messages).finish()}};
}

} // namespace colloquy::db
