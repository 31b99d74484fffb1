// Events and turns of a batch: what almost every batch has.
#include "db/batch_calls.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace colloquy::db {
namespace {

// Arrays that go along each other in the list of a SELECT. As a function of FROM, unnest() would first write each of
// them into a store of its own, and they are some fifteen for a batch that may have a few rows.
constexpr oid insert_events_types[] = {oids::text_array, oids::uuid_array, oids::int8_array, oids::timestamptz_array,
                                       oids::text_array, oids::text_array, oids::text_array, oids::int8_array,
                                       oids::uuid_array, oids::int4_array, oids::text_array, oids::text_array,
                                       oids::text_array, oids::text_array, oids::text_array};
constexpr statement insert_events{
    "insert_events",
    "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, data, messages, turn_id, tokens,"
    " tool_call_id, tool_call_ids, source, trace_id, author)"
    " SELECT e.tenant_id, e.log_id, e.position, e.created_at, e.kind, e.role, e.data, e.messages, e.turn_id, e.tokens,"
    " e.tool_call_id, e.tool_call_ids::text[], e.source, e.trace_id, e.author"
    " FROM (SELECT unnest($1) AS tenant_id, unnest($2) AS log_id, unnest($3) AS position, unnest($4) AS created_at,"
    " unnest($5) AS kind, unnest($6) AS role, unnest($7) AS data, unnest($8) AS messages, unnest($9) AS turn_id,"
    " unnest($10) AS tokens, unnest($11) AS tool_call_id, unnest($12) AS tool_call_ids, unnest($13) AS source,"
    " unnest($14) AS trace_id, unnest($15) AS author) AS e",
    insert_events_types};

// The same of events that have nothing else.
constexpr std::size_t plain_columns = 8;
constexpr statement insert_plain_events{
    "insert_plain_events",
    "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, data, messages)"
    " SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8)",
    std::span(insert_events_types).first<plain_columns>()};

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

/// Whether all of an event stands in the columns that every event has.
bool is_plain(const event& entry) {
  return entry.turn.is_nil() && !entry.tokens && entry.tool_call_id.empty() && entry.tool_call_ids.empty() &&
         entry.source.empty() && entry.trace_id.empty() && entry.author.empty();
}

using columns = std::vector<std::optional<std::string>>;

template <class... Builders>
columns finished(Builders&... builders) {
  columns all;
  (all.emplace_back(std::move(builders).finish()), ...);
  return all;
}

columns columns_of_all(writes_view writes, std::size_t count, std::size_t bytes) {
  array_builder tenants(oids::text, count, count * 12), logs(oids::uuid, count, count * 16),
      offsets(oids::int8, count, count * 8), created(oids::timestamptz, count, count * 8),
      kinds(oids::text, count, count * 8), roles(oids::text, count, count * 10), data(oids::text, count, bytes),
      messages(oids::int8, count, count * 8);
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
      data.add(entry.data);
      messages.add_int8(entry.messages);
    }
  }
  return finished(tenants, logs, offsets, created, kinds, roles, data, messages);
}

columns columns_of_some(writes_view writes, std::size_t count) {
  array_builder turns(oids::uuid, count, count * 16), tokens(oids::int4, count, 0), call_ids(oids::text, count, 0),
      calls_made(oids::text, count, 0), sources(oids::text, count, 0), traces(oids::text, count, 0),
      authors(oids::text, count, 0);
  for (const auto& write : writes) {
    if (!write->events)
      continue;
    for (const auto& entry : *write->events) {
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
      authors.add_text_or_null(entry.author);
    }
  }
  return finished(turns, tokens, call_ids, calls_made, sources, traces, authors);
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
  bool are_plain = true;
  for (const auto& write : writes) {
    count += write->event_count();
    bytes += write->bytes;
    if (write->events)
      are_plain = are_plain && std::all_of(write->events->begin(), write->events->end(), is_plain);
  }
  if (count == 0)
    return std::nullopt;
  statement_call call{are_plain ? &insert_plain_events : &insert_events, columns_of_all(writes, count, bytes)};
  if (!are_plain)
    for (auto& column : columns_of_some(writes, count))
      call.parameters.push_back(std::move(column));
  return call;
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
