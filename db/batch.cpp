#include "db/batch.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace colloquy::db {
namespace {

constexpr oid begin_batch_types[] = {oids::uuid, oids::int2, oids::int8, oids::int8, oids::text};
constexpr statement begin_batch{"begin_batch", "SELECT begin_batch($1, $2, $3, $4, $5)", begin_batch_types};

constexpr oid insert_sessions_types[] = {
    oids::text_array, oids::uuid_array, oids::uuid_array, oids::text_array,        oids::text_array,
    oids::text_array, oids::text_array, oids::text_array, oids::timestamptz_array, oids::timestamptz_array};
constexpr statement insert_sessions{
    "insert_sessions",
    "INSERT INTO sessions (tenant_id, id, log_id, user_id, agent_id, external_id, title, metadata, created_at,"
    " updated_at, expires_at)"
    " SELECT s.tenant_id, s.id, s.log_id, s.user_id, s.agent_id, s.external_id, s.title, s.metadata::jsonb,"
    " s.created_at, s.created_at, s.expires_at"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    " AS s(tenant_id, id, log_id, user_id, agent_id, external_id, title, metadata, created_at, expires_at)"
    " ON CONFLICT (tenant_id, external_id) WHERE external_id IS NOT NULL DO NOTHING"
    " RETURNING id",
    insert_sessions_types};

constexpr oid insert_events_types[] = {oids::text_array, oids::uuid_array, oids::int8_array, oids::timestamptz_array,
                                       oids::text_array, oids::text_array, oids::uuid_array, oids::int4_array,
                                       oids::text_array, oids::text_array, oids::text_array, oids::text_array,
                                       oids::text_array};
constexpr statement insert_events{
    "insert_events",
    "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, turn_id, tokens, tool_call_id,"
    " tool_call_ids, source, trace_id, data)"
    " SELECT e.tenant_id, e.log_id, e.position, e.created_at, e.kind, e.role, e.turn_id, e.tokens, e.tool_call_id,"
    " e.tool_call_ids::text[], e.source, e.trace_id, e.data"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    " AS e(tenant_id, log_id, position, created_at, kind, role, turn_id, tokens, tool_call_id, tool_call_ids, source,"
    " trace_id, data)",
    insert_events_types};

constexpr oid upsert_turns_types[] = {
    oids::text_array, oids::uuid_array,        oids::int8_array,        oids::uuid_array, oids::text_array,
    oids::text_array, oids::timestamptz_array, oids::timestamptz_array, oids::int8_array, oids::int8_array};
constexpr statement upsert_turns{
    "upsert_turns",
    "INSERT INTO turns AS t (tenant_id, session_id, number, id, status, trace_id, started_at, ended_at, input_tokens,"
    " output_tokens)"
    " SELECT u.tenant_id, u.session_id, u.number, u.id, u.status, u.trace_id, u.started_at, u.ended_at, u.input_tokens,"
    " u.output_tokens"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    " AS u(tenant_id, session_id, number, id, status, trace_id, started_at, ended_at, input_tokens, output_tokens)"
    " ON CONFLICT (tenant_id, session_id, number) DO UPDATE"
    " SET status = excluded.status, ended_at = excluded.ended_at, input_tokens = excluded.input_tokens,"
    " output_tokens = excluded.output_tokens",
    upsert_turns_types};

constexpr oid count_turns_types[] = {oids::text_array, oids::uuid_array, oids::int8_array, oids::int8_array};
constexpr statement count_turns{
    "count_turns",
    "UPDATE sessions AS s SET turn_count = s.turn_count + c.turns, total_tokens = s.total_tokens + c.tokens"
    " FROM unnest($1, $2, $3, $4) AS c(tenant_id, id, turns, tokens)"
    " WHERE s.tenant_id = c.tenant_id AND s.id = c.id",
    count_turns_types};

constexpr oid claim_writer_types[] = {oids::uuid, oids::int2, oids::int8};
constexpr statement claim_writer_statement{
    "claim_writer", "SELECT epoch, seq, backend_pid FROM claim_writer($1, $2, $3)", claim_writer_types};

// pg_terminate_backend wants the rights of the login role, which the service's role does not have; until the end of the
// unit the connection is its login again.
constexpr statement as_login_role{"as_login_role", "SELECT set_config('role', 'none', true)", {}};

// The application name guards against a pid that another program's backend has got since.
constexpr oid end_backend_types[] = {oids::int4};
constexpr statement end_backend_statement{
    "end_backend",
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
    " WHERE a.pid = $1 AND a.pid <> pg_backend_pid() AND a.datname = current_database()"
    " AND a.usename = session_user AND a.application_name = current_setting('application_name')",
    end_backend_types};

constexpr oid release_writers_types[] = {oids::uuid};
constexpr statement release_writers_statement{"release_writers", "DELETE FROM writers WHERE process_id = $1",
                                              release_writers_types};

std::string optional_text(const std::optional<std::string>& text) {
  return text.value_or(std::string{});
}

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

std::string tenants_of(std::span<const session_write_ptr> writes) {
  std::vector<std::string_view> names;
  for (const auto& write : writes)
    if (names.empty() || names.back() != write->session.tenant.text())
      names.push_back(write->session.tenant.text());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string out;
  for (auto name : names) {
    if (!out.empty())
      out.push_back(',');
    out.append(name);
  }
  return out;
}

struct batch_size {
  std::size_t sessions = 0;
  std::size_t events = 0;
  std::size_t bytes = 0;
};

batch_size size_of(std::span<const session_write_ptr> writes) {
  batch_size size;
  for (const auto& write : writes) {
    size.sessions += write->row ? 1 : 0;
    size.events += write->events.size();
    size.bytes += write->bytes;
  }
  return size;
}

statement_call sessions_call(std::span<const session_write_ptr> writes, std::size_t count) {
  array_builder tenants(oids::text, count, count * 16), ids(oids::uuid, count, count * 16),
      logs(oids::uuid, count, count * 16), users(oids::text, count, count * 16), agents(oids::text, count, 0),
      externals(oids::text, count, 0), titles(oids::text, count, 0), metadata(oids::text, count, count * 64),
      created(oids::timestamptz, count, count * 8), expires(oids::timestamptz, count, count * 8);
  for (const auto& write : writes) {
    if (!write->row)
      continue;
    const auto& row = *write->row;
    tenants.add(row.key.tenant.text());
    ids.add_uuid(row.key.id.bytes);
    logs.add_uuid(row.log.bytes);
    users.add(row.user_id);
    agents.add_text_or_null(optional_text(row.agent_id));
    externals.add_text_or_null(optional_text(row.external_id));
    titles.add_text_or_null(optional_text(row.title));
    metadata.add(row.metadata);
    created.add_timestamp(row.created_at);
    if (row.expires_at)
      expires.add_timestamp(*row.expires_at);
    else
      expires.add_null();
  }
  return {&insert_sessions,
          {std::move(tenants).finish(), std::move(ids).finish(), std::move(logs).finish(), std::move(users).finish(),
           std::move(agents).finish(), std::move(externals).finish(), std::move(titles).finish(),
           std::move(metadata).finish(), std::move(created).finish(), std::move(expires).finish()}};
}

statement_call events_call(std::span<const session_write_ptr> writes, const batch_size& size) {
  const auto count = size.events;
  array_builder tenants(oids::text, count, count * 12), logs(oids::uuid, count, count * 16),
      offsets(oids::int8, count, count * 8), created(oids::timestamptz, count, count * 8),
      kinds(oids::text, count, count * 8), roles(oids::text, count, count * 10), turns(oids::uuid, count, count * 16),
      tokens(oids::int4, count, 0), call_ids(oids::text, count, 0), calls_made(oids::text, count, 0),
      sources(oids::text, count, 0), traces(oids::text, count, 0), data(oids::text, count, size.bytes);
  for (const auto& write : writes) {
    for (const auto& entry : write->events) {
      tenants.add(write->session.tenant.text());
      logs.add_uuid(write->log.bytes);
      offsets.add_int8(entry.offset);
      created.add_timestamp(entry.created_at);
      kinds.add(to_string(entry.kind));
      roles.add_text_or_null(to_string(entry.role));
      if (entry.turn.is_nil())
        turns.add_null();
      else
        turns.add_uuid(entry.turn.bytes);
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
    }
  }
  return {&insert_events,
          {std::move(tenants).finish(), std::move(logs).finish(), std::move(offsets).finish(),
           std::move(created).finish(), std::move(kinds).finish(), std::move(roles).finish(), std::move(turns).finish(),
           std::move(tokens).finish(), std::move(call_ids).finish(), std::move(calls_made).finish(),
           std::move(sources).finish(), std::move(traces).finish(), std::move(data).finish()}};
}

struct turn_in_batch {
  const session_key* session;
  const turn_record* turn;
};

/// The last state of each turn, in the order in which the turns first appear.
std::vector<turn_in_batch> fold_turns(std::span<const session_write_ptr> writes) {
  std::vector<turn_in_batch> folded;
  std::unordered_map<turn_id, std::size_t> place;
  for (const auto& write : writes) {
    for (const auto& turn : write->turns) {
      auto [at, is_new] = place.try_emplace(turn.id, folded.size());
      if (is_new)
        folded.push_back({&write->session, &turn});
      else
        folded[at->second].turn = &turn;
    }
  }
  return folded;
}

statement_call turns_call(const std::vector<turn_in_batch>& folded) {
  const auto count = folded.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      numbers(oids::int8, count, count * 8), ids(oids::uuid, count, count * 16), states(oids::text, count, count * 10),
      traces(oids::text, count, 0), started(oids::timestamptz, count, count * 8),
      ended(oids::timestamptz, count, count * 8), input(oids::int8, count, 0), output(oids::int8, count, 0);
  for (const auto& [session, turn] : folded) {
    tenants.add(session->tenant.text());
    sessions.add_uuid(session->id.bytes);
    numbers.add_int8(turn->number);
    ids.add_uuid(turn->id.bytes);
    states.add(to_string(turn->status));
    traces.add_text_or_null(turn->trace_id);
    started.add_timestamp(turn->started_at);
    if (turn->ended_at)
      ended.add_timestamp(*turn->ended_at);
    else
      ended.add_null();
    if (turn->usage) {
      input.add_int8(turn->usage->input_tokens);
      output.add_int8(turn->usage->output_tokens);
    } else {
      input.add_null();
      output.add_null();
    }
  }
  return {&upsert_turns,
          {std::move(tenants).finish(), std::move(sessions).finish(), std::move(numbers).finish(),
           std::move(ids).finish(), std::move(states).finish(), std::move(traces).finish(), std::move(started).finish(),
           std::move(ended).finish(), std::move(input).finish(), std::move(output).finish()}};
}

struct counted {
  const session_key* session;
  std::int64_t turns = 0;
  std::int64_t tokens = 0;
};

std::vector<counted> fold_counters(std::span<const session_write_ptr> writes) {
  std::vector<counted> folded;
  std::unordered_map<session_id, std::size_t> place;
  for (const auto& write : writes) {
    if (write->turns_counted == 0 && write->tokens_counted == 0)
      continue;
    auto [at, is_new] = place.try_emplace(write->session.id, folded.size());
    if (is_new)
      folded.push_back({&write->session, 0, 0});
    folded[at->second].turns += write->turns_counted;
    folded[at->second].tokens += write->tokens_counted;
  }
  return folded;
}

statement_call counters_call(const std::vector<counted>& folded) {
  const auto count = folded.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      turns(oids::int8, count, count * 8), tokens(oids::int8, count, count * 8);
  for (const auto& entry : folded) {
    tenants.add(entry.session->tenant.text());
    sessions.add_uuid(entry.session->id.bytes);
    turns.add_int8(entry.turns);
    tokens.add_int8(entry.tokens);
  }
  return {&count_turns,
          {std::move(tenants).finish(), std::move(sessions).finish(), std::move(turns).finish(),
           std::move(tokens).finish()}};
}

} // namespace

encoded_batch encode_batch(const batch_position& position, std::span<const session_write_ptr> writes) {
  encoded_batch batch;
  auto& calls = batch.statements.calls;
  calls.push_back({&begin_batch,
                   {encode_uuid(position.process.bytes), encode_int2(position.writer), encode_int8(position.epoch),
                    encode_int8(position.seq), tenants_of(writes)}});
  const auto size = size_of(writes);
  if (size.sessions > 0) {
    batch.sessions_result = static_cast<int>(calls.size());
    calls.push_back(sessions_call(writes, size.sessions));
  }
  if (size.events > 0)
    calls.push_back(events_call(writes, size));
  if (auto turns = fold_turns(writes); !turns.empty())
    calls.push_back(turns_call(turns));
  if (auto counters = fold_counters(writes); !counters.empty())
    calls.push_back(counters_call(counters));
  return batch;
}

std::vector<session_key> taken_external_ids(int sessions_result, const unit_outcome& outcome,
                                            std::span<const session_write_ptr> writes) {
  std::vector<session_key> taken;
  if (sessions_result < 0)
    return taken;
  const auto& made_rows = outcome.results[static_cast<std::size_t>(sessions_result)];
  std::unordered_set<session_id> made;
  for (int i = 0; i < made_rows.count(); ++i)
    made.insert(session_id{decode_uuid(made_rows.get(i, 0))});
  for (const auto& write : writes)
    if (write->row && !made.contains(write->session.id))
      taken.push_back(write->session);
  return taken;
}

unit claim_writer(process_id process, std::int16_t writer, std::int64_t expected_epoch) {
  return {{{&claim_writer_statement, {encode_uuid(process.bytes), encode_int2(writer), encode_int8(expected_epoch)}}}};
}

result<writer_claim> decode_claim(const unit_outcome& outcome) {
  if (outcome.failure || outcome.results.size() != 1 || outcome.results[0].count() != 1)
    return error{error_code::internal, "claim_writer did not answer with its row"};
  const auto& row = outcome.results[0];
  return writer_claim{decode_int8(row.get(0, 0)), decode_int8(row.get(0, 1)), decode_int4(row.get(0, 2))};
}

unit end_backend(std::int32_t backend_pid) {
  return {{{&as_login_role, {}}, {&end_backend_statement, {encode_int4(backend_pid)}}}};
}

unit release_writers(process_id process) {
  return {{{&release_writers_statement, {encode_uuid(process.bytes)}}}};
}

} // namespace colloquy::db
