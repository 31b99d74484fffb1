// What a batch changes of sessions that are there: their rows, counters, participants and keys, and their end.
#include "db/batch_calls.hpp"

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::db {
namespace {

// A key that is there already is older than keys are kept, but not forgotten yet: the newer one counts.
constexpr oid insert_keys_types[] = {oids::text_array, oids::uuid_array, oids::text_array,
                                     oids::text_array, oids::text_array, oids::int8_array,
                                     oids::int8_array, oids::uuid_array, oids::timestamptz_array};
constexpr statement insert_keys{
    "insert_keys",
    "INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, first_offset, count, turn_id,"
    " created_at)"
    " SELECT k.tenant_id, k.session_id, k.scope, k.key, k.fingerprint, k.first_offset, k.count, k.turn_id, k.created_at"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " AS k(tenant_id, session_id, scope, key, fingerprint, first_offset, count, turn_id, created_at)"
    " ON CONFLICT (tenant_id, session_id, scope, key) DO UPDATE"
    " SET fingerprint = excluded.fingerprint, first_offset = excluded.first_offset, count = excluded.count,"
    " turn_id = excluded.turn_id, created_at = excluded.created_at",
    insert_keys_types};

constexpr oid upsert_participants_types[] = {oids::text_array, oids::uuid_array, oids::text_array, oids::text_array};
constexpr statement upsert_participants{
    "upsert_participants",
    "INSERT INTO participants (tenant_id, session_id, user_id, role)"
    " SELECT p.tenant_id, p.session_id, p.user_id, p.role FROM unnest($1, $2, $3, $4)"
    " AS p(tenant_id, session_id, user_id, role)"
    " ON CONFLICT (tenant_id, session_id, user_id) DO UPDATE SET role = excluded.role",
    upsert_participants_types};

constexpr oid delete_participants_types[] = {oids::text_array, oids::uuid_array, oids::text_array};
constexpr statement delete_participants{
    "delete_participants",
    "DELETE FROM participants AS p USING unnest($1, $2, $3) AS g(tenant_id, session_id, user_id)"
    " WHERE p.tenant_id = g.tenant_id AND p.session_id = g.session_id AND p.user_id = g.user_id",
    delete_participants_types};

constexpr oid update_sessions_types[] = {oids::text_array, oids::uuid_array,        oids::text_array, oids::text_array,
                                         oids::text_array, oids::timestamptz_array, oids::int8_array, oids::int8_array,
                                         oids::text_array, oids::text_array,        oids::text_array};
constexpr statement update_sessions{
    "update_sessions",
    "UPDATE sessions AS s SET title = c.title, metadata = c.metadata, status = c.status,"
    " expires_at = c.expires_at, expires_in_s = c.expires_in_s, version = c.version,"
    " labels = coalesce(c.labels::text[], '{}'), mode = coalesce(c.mode, 'auto'),"
    " consumption_offsets = coalesce(c.consumption_offsets::jsonb, '{}')"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    " AS c(tenant_id, id, title, metadata, status, expires_at, version, expires_in_s, labels, mode,"
    " consumption_offsets)"
    " WHERE s.tenant_id = c.tenant_id AND s.id = c.id",
    update_sessions_types};

constexpr oid delete_events_types[] = {oids::text_array, oids::uuid_array, oids::uuid_array, oids::int8_array,
                                       oids::int8_array};
constexpr statement delete_events{"delete_events", "SELECT delete_events($1, $2, $3, $4, $5)", delete_events_types};

constexpr oid count_turns_types[] = {oids::text_array, oids::uuid_array, oids::int8_array, oids::int8_array};
constexpr statement count_turns{
    "count_turns",
    "UPDATE sessions AS s SET turn_count = s.turn_count + c.turns, total_tokens = s.total_tokens + c.tokens"
    " FROM unnest($1, $2, $3, $4) AS c(tenant_id, id, turns, tokens)"
    " WHERE s.tenant_id = c.tenant_id AND s.id = c.id",
    count_turns_types};

// The log's row is locked, or made, so that a fork that is being made now is seen by the erasure, or sees it.
constexpr oid begin_erasures_types[] = {oids::text_array, oids::uuid_array};
constexpr statement begin_erasures{
    "begin_erasures",
    "WITH gone AS (DELETE FROM sessions AS s USING unnest($1, $2) AS e(tenant_id, id)"
    " WHERE s.tenant_id = e.tenant_id AND s.id = e.id RETURNING s.tenant_id, s.id, s.log_id, s.user_id),"
    " marked AS (INSERT INTO logs (tenant_id, id, has_session)"
    " SELECT g.tenant_id, g.log_id, false FROM gone AS g ORDER BY g.tenant_id, g.log_id"
    " ON CONFLICT (tenant_id, id) DO UPDATE SET has_session = false)"
    " INSERT INTO erasures (tenant_id, session_id, log_id, user_id)"
    " SELECT g.tenant_id, g.id, g.log_id, g.user_id FROM gone AS g",
    begin_erasures_types};

/// The last change of each, by the first write of their session.
std::vector<std::pair<const session_write*, const participant_change*>> fold_participants(writes_view writes) {
  std::vector<std::pair<const session_write*, const participant_change*>> folded;
  std::map<std::pair<session_id, std::string_view>, std::size_t> place;
  for (const auto& write : writes) {
    for (const auto& change : write->participants) {
      auto [at, is_new] = place.try_emplace({write->session.id, change.user_id}, folded.size());
      if (is_new)
        folded.emplace_back(write.get(), &change);
      else
        folded[at->second].second = &change;
    }
  }
  return folded;
}

struct counted {
  const session_key* session;
  std::int64_t turns = 0;
  std::int64_t tokens = 0;
};

std::vector<counted> fold_counters(writes_view writes) {
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

/// The last row of each session.
std::vector<const session_write*> fold_changes(writes_view writes) {
  std::vector<const session_write*> folded;
  std::unordered_map<session_id, std::size_t> place;
  for (const auto& write : writes) {
    if (!write->changed)
      continue;
    auto [at, is_new] = place.try_emplace(write->session.id, folded.size());
    if (is_new)
      folded.push_back(write.get());
    else
      folded[at->second] = write.get();
  }
  return folded;
}

} // namespace

std::optional<statement_call> keys_call(writes_view writes) {
  std::vector<const session_write*> found;
  for (const auto& write : writes)
    if (write->key && !write->row)
      found.push_back(write.get());
  if (found.empty())
    return std::nullopt;
  const auto count = found.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      scopes(oids::text, count, count * 8), keys(oids::text, count, count * 32), prints(oids::text, count, count * 64),
      firsts(oids::int8, count, count * 8), counts(oids::int8, count, count * 8), turns(oids::uuid, count, 0),
      created(oids::timestamptz, count, count * 8);
  for (const auto* write : found) {
    const auto& key = *write->key;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(session_of_key(*write).bytes);
    scopes.add(key.scope);
    keys.add(key.key);
    prints.add(key.fingerprint);
    if (key.first_offset < 0)
      firsts.add_null();
    else
      firsts.add_int8(key.first_offset);
    counts.add_int8(key.count);
    add_or_null(turns, key.turn);
    created.add_timestamp(key.made_at);
  }
  return statement_call{&insert_keys,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(scopes).finish(),
                         std::move(keys).finish(), std::move(prints).finish(), std::move(firsts).finish(),
                         std::move(counts).finish(), std::move(turns).finish(), std::move(created).finish()}};
}

std::optional<statement_call> participants_call(writes_view writes) {
  array_builder tenants(oids::text, 1, 0), sessions(oids::uuid, 1, 0), users(oids::text, 1, 0), roles(oids::text, 1, 0);
  bool any = false;
  for (const auto& [write, change] : fold_participants(writes)) {
    if (!change->role)
      continue;
    any = true;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    users.add(change->user_id);
    roles.add(to_string(*change->role));
  }
  if (!any)
    return std::nullopt;
  return statement_call{&upsert_participants,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(users).finish(),
                         std::move(roles).finish()}};
}

std::optional<statement_call> former_participants_call(writes_view writes) {
  array_builder tenants(oids::text, 1, 0), sessions(oids::uuid, 1, 0), users(oids::text, 1, 0);
  bool any = false;
  for (const auto& [write, change] : fold_participants(writes)) {
    if (change->role)
      continue;
    any = true;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    users.add(change->user_id);
  }
  if (!any)
    return std::nullopt;
  return statement_call{&delete_participants,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(users).finish()}};
}

std::optional<statement_call> changes_call(writes_view writes) {
  const auto folded = fold_changes(writes);
  if (folded.empty())
    return std::nullopt;
  const auto count = folded.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      titles(oids::text, count, 0), metadata(oids::text, count, count * 64), states(oids::text, count, count * 10),
      expires(oids::timestamptz, count, count * 8), versions(oids::int8, count, count * 8),
      lives(oids::int8, count, count * 8), labels(oids::text, count, 0), modes(oids::text, count, 0),
      consumed(oids::text, count, 0);
  for (const auto* write : folded) {
    const auto& row = *write->changed;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    add_or_null(titles, row.title);
    metadata.add(row.metadata);
    states.add(to_string(row.status));
    add_or_null(expires, row.expires_at);
    versions.add_int8(row.version);
    add_or_null(lives, row.expires_in);
    add_labels(labels, row);
    add_mode(modes, row);
    add_consumption(consumed, row);
  }
  return statement_call{&update_sessions,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(titles).finish(),
                         std::move(metadata).finish(), std::move(states).finish(), std::move(expires).finish(),
                         std::move(versions).finish(), std::move(lives).finish(), std::move(labels).finish(),
                         std::move(modes).finish(), std::move(consumed).finish()}};
}

std::optional<statement_call> deleted_call(writes_view writes) {
  array_builder tenants(oids::text, 1, 0), sessions(oids::uuid, 1, 0), logs(oids::uuid, 1, 0), firsts(oids::int8, 1, 0),
      lasts(oids::int8, 1, 0);
  bool any = false;
  for (const auto& write : writes)
    for (const auto& range : write->deleted) {
      any = true;
      tenants.add(write->session.tenant.text());
      sessions.add_uuid(write->session.id.bytes);
      logs.add_uuid(write->log.bytes);
      firsts.add_int8(range.first);
      lasts.add_int8(range.last);
    }
  if (!any)
    return std::nullopt;
  return statement_call{&delete_events,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(logs).finish(),
                         std::move(firsts).finish(), std::move(lasts).finish()}};
}

std::optional<statement_call> counters_call(writes_view writes) {
  const auto folded = fold_counters(writes);
  if (folded.empty())
    return std::nullopt;
  const auto count = folded.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      turns(oids::int8, count, count * 8), tokens(oids::int8, count, count * 8);
  for (const auto& entry : folded) {
    tenants.add(entry.session->tenant.text());
    sessions.add_uuid(entry.session->id.bytes);
    turns.add_int8(entry.turns);
    tokens.add_int8(entry.tokens);
  }
  return statement_call{&count_turns,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(turns).finish(),
                         std::move(tokens).finish()}};
}

std::optional<statement_call> erasures_call(writes_view writes) {
  array_builder tenants(oids::text, 1, 0), sessions(oids::uuid, 1, 0);
  bool any = false;
  for (const auto& write : writes) {
    if (!write->erases)
      continue;
    any = true;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
  }
  if (!any)
    return std::nullopt;
  return statement_call{&begin_erasures, {std::move(tenants).finish(), std::move(sessions).finish()}};
}

} // namespace colloquy::db
