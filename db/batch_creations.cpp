// Sessions that a batch makes, with the keys of their requests and the logs that they share.
#include "db/batch_calls.hpp"
#include "db/journal_codec.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

namespace colloquy::db {
namespace {

// Waits for another transaction that is inserting the same key, and then inserts nothing if that one committed it.
constexpr oid bytea_array = 1001;
constexpr oid creation_keys_types[] = {oids::text_array, oids::uuid_array, oids::text_array,        oids::text_array,
                                       oids::text_array, oids::uuid_array, oids::timestamptz_array, bytea_array};
constexpr statement insert_creation_keys{
    "insert_creation_keys",
    "INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, made_session_id, created_at,"
    " reply)"
    " SELECT k.tenant_id, k.session_id, k.scope, k.key, k.fingerprint, k.made_session_id, k.created_at,"
    " k.reply FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
    " AS k(tenant_id, session_id, scope, key, fingerprint, made_session_id, created_at, reply)"
    " ON CONFLICT (tenant_id, session_id, scope, key) DO NOTHING",
    creation_keys_types};

constexpr oid insert_sessions_types[] = {
    oids::text_array, oids::uuid_array, oids::uuid_array, oids::text_array,        oids::text_array,
    oids::text_array, oids::text_array, oids::text_array, oids::timestamptz_array, oids::timestamptz_array,
    oids::uuid_array, oids::int8_array, oids::int8_array, oids::text_array,        oids::text_array,
    oids::text_array, oids::uuid_array, oids::text_array, oids::text_array};
constexpr std::span<const oid> plain_sessions_types{insert_sessions_types, 16};

#define COLLOQUY_INSERT_SESSIONS                                                                                       \
  "INSERT INTO sessions (tenant_id, id, log_id, user_id, agent_id, external_id, title, metadata, created_at,"          \
  " updated_at, expires_at, parent_id, fork_offset, expires_in_s, labels, mode, consumption_offsets)"                  \
  " SELECT s.tenant_id, s.id, s.log_id, s.user_id, s.agent_id, s.external_id, s.title, s.metadata,"                    \
  " s.created_at, s.created_at, s.expires_at, s.parent_id, s.fork_offset, s.expires_in_s,"                             \
  " coalesce(s.labels::text[], '{}'), coalesce(s.mode, 'auto'), coalesce(s.consumption_offsets::jsonb, '{}')"
#define COLLOQUY_SESSION_COLUMNS                                                                                       \
  "tenant_id, id, log_id, user_id, agent_id, external_id, title, metadata, created_at, expires_at, parent_id,"         \
  " fork_offset, expires_in_s, labels, mode, consumption_offsets"
#define COLLOQUY_UNLESS_TAKEN                                                                                          \
  " ON CONFLICT (tenant_id, external_id) WHERE external_id IS NOT NULL DO NOTHING RETURNING id"

constexpr statement insert_sessions{"insert_sessions",
                                    COLLOQUY_INSERT_SESSIONS
                                    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
                                    " $16) AS s(" COLLOQUY_SESSION_COLUMNS ")" COLLOQUY_UNLESS_TAKEN,
                                    plain_sessions_types};

constexpr statement insert_keyed_sessions{
    "insert_keyed_sessions",
    COLLOQUY_INSERT_SESSIONS " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
                             " $18, $19) AS s(" COLLOQUY_SESSION_COLUMNS ", key_session, scope, key)"
                             " WHERE s.key IS NULL OR EXISTS (SELECT FROM idempotency_keys AS k"
                             " WHERE k.tenant_id = s.tenant_id AND k.session_id = s.key_session AND k.scope = s.scope"
                             " AND k.key = s.key AND k.made_session_id = s.id)" COLLOQUY_UNLESS_TAKEN,
    insert_sessions_types};

constexpr oid unused_keys_types[] = {oids::text_array, oids::uuid_array, oids::text_array, oids::text_array,
                                     oids::uuid_array};
constexpr statement drop_unused_keys{
    "drop_unused_keys",
    "DELETE FROM idempotency_keys AS k USING unnest($1, $2, $3, $4, $5)"
    " AS u(tenant_id, session_id, scope, key, made_session_id)"
    " WHERE k.tenant_id = u.tenant_id AND k.session_id = u.session_id AND k.scope = u.scope AND k.key = u.key"
    " AND k.made_session_id = u.made_session_id AND NOT EXISTS"
    " (SELECT FROM sessions AS s WHERE s.tenant_id = u.tenant_id AND s.id = u.made_session_id)",
    unused_keys_types};

constexpr oid fork_deleted_types[] = {oids::text_array, oids::uuid_array, oids::uuid_array, oids::uuid_array,
                                      oids::int8_array};
constexpr statement fork_deleted_events{"fork_deleted_events", "SELECT fork_deleted_events($1, $2, $3, $4, $5)",
                                        fork_deleted_types};

constexpr oid add_forks_types[] = {oids::text_array, oids::uuid_array, oids::uuid_array,
                                   oids::uuid_array, oids::int8_array, oids::int8_array};
constexpr statement add_forks{"add_forks", "SELECT add_forks($1, $2, $3, $4, $5, $6)", add_forks_types};

bool makes_with_key(const session_write& write) {
  return write.row && write.key;
}

/// Those with a key, in the order in which every batch inserts keys, so that two processes cannot wait for each other.
std::vector<const session_write*> keyed_creations(writes_view writes) {
  std::vector<const session_write*> found;
  for (const auto& write : writes)
    if (makes_with_key(*write))
      found.push_back(write.get());
  const auto place = [](const session_write* write) {
    return std::tuple(std::string_view(write->session.tenant.text()), session_of_key(*write),
                      std::string_view(write->key->scope), std::string_view(write->key->key));
  };
  std::stable_sort(found.begin(), found.end(), [&](auto* a, auto* b) { return place(a) < place(b); });
  return found;
}

/// In the order of their external ids, for the same reason.
std::vector<const session_write*> creations(writes_view writes) {
  std::vector<const session_write*> found;
  bool any_external = false;
  for (const auto& write : writes) {
    if (!write->row)
      continue;
    found.push_back(write.get());
    any_external = any_external || write->row->external_id.has_value();
  }
  if (any_external)
    std::stable_sort(found.begin(), found.end(), [](auto* a, auto* b) {
      return std::tie(a->session.tenant, a->row->external_id) < std::tie(b->session.tenant, b->row->external_id);
    });
  return found;
}

} // namespace

session_id session_of_key(const session_write& write) {
  if (write.key && (write.key->scope == "create" || write.key->scope.starts_with("create:")))
    return {};
  return write.row && write.row->parent ? *write.row->parent : write.session.id;
}

std::optional<statement_call> creation_keys_call(writes_view writes) {
  const auto found = keyed_creations(writes);
  if (found.empty())
    return std::nullopt;
  const auto count = found.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      scopes(oids::text, count, count * 8), keys(oids::text, count, count * 32), prints(oids::text, count, count * 64),
      made(oids::uuid, count, count * 16), created(oids::timestamptz, count, count * 8),
      replies(oids::bytea, count, count * 256);
  for (const auto* write : found) {
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(session_of_key(*write).bytes);
    scopes.add(write->key->scope);
    keys.add(write->key->key);
    prints.add(write->key->fingerprint);
    made.add_uuid(write->session.id.bytes);
    created.add_timestamp(write->key->made_at);
    replies.add(encode_record(*write->row));
  }
  return statement_call{&insert_creation_keys,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(scopes).finish(),
                         std::move(keys).finish(), std::move(prints).finish(), std::move(made).finish(),
                         std::move(created).finish(), std::move(replies).finish()}};
}

std::optional<statement_call> sessions_call(writes_view writes) {
  const auto found = creations(writes);
  if (found.empty())
    return std::nullopt;
  const auto count = found.size();
  array_builder tenants(oids::text, count, count * 16), ids(oids::uuid, count, count * 16),
      logs(oids::uuid, count, count * 16), users(oids::text, count, count * 16), agents(oids::text, count, 0),
      externals(oids::text, count, 0), titles(oids::text, count, 0), metadata(oids::text, count, count * 64),
      created(oids::timestamptz, count, count * 8), expires(oids::timestamptz, count, count * 8),
      parents(oids::uuid, count, 0), forks(oids::int8, count, 0), lives(oids::int8, count, count * 8),
      labels(oids::text, count, 0), modes(oids::text, count, 0), consumed(oids::text, count, 0),
      key_sessions(oids::uuid, count, 0), scopes(oids::text, count, 0), keys(oids::text, count, 0);
  bool any_key = false;
  for (const auto* write : found) {
    const auto& row = *write->row;
    tenants.add(row.key.tenant.text());
    ids.add_uuid(row.key.id.bytes);
    logs.add_uuid(row.log.bytes);
    users.add(row.user_id);
    add_or_null(agents, row.agent_id);
    add_or_null(externals, row.external_id);
    add_or_null(titles, row.title);
    metadata.add(row.metadata);
    created.add_timestamp(row.created_at);
    add_or_null(expires, row.expires_at);
    add_or_null(parents, row.parent.value_or(session_id{}));
    if (row.fork_offset)
      forks.add_int8(*row.fork_offset);
    else
      forks.add_null();
    add_or_null(lives, row.expires_in);
    add_labels(labels, row);
    add_mode(modes, row);
    add_consumption(consumed, row);
    any_key = any_key || write->key.has_value();
    if (write->key) {
      key_sessions.add_uuid(session_of_key(*write).bytes);
      scopes.add(write->key->scope);
      keys.add(write->key->key);
    } else {
      key_sessions.add_null();
      scopes.add_null();
      keys.add_null();
    }
  }
  statement_call call{any_key ? &insert_keyed_sessions : &insert_sessions,
                      {std::move(tenants).finish(), std::move(ids).finish(), std::move(logs).finish(),
                       std::move(users).finish(), std::move(agents).finish(), std::move(externals).finish(),
                       std::move(titles).finish(), std::move(metadata).finish(), std::move(created).finish(),
                       std::move(expires).finish(), std::move(parents).finish(), std::move(forks).finish(),
                       std::move(lives).finish(), std::move(labels).finish(), std::move(modes).finish(),
                       std::move(consumed).finish()}};
  if (any_key) {
    call.parameters.emplace_back(std::move(key_sessions).finish());
    call.parameters.emplace_back(std::move(scopes).finish());
    call.parameters.emplace_back(std::move(keys).finish());
  }
  return call;
}

std::optional<statement_call> unused_keys_call(writes_view writes) {
  const auto found = keyed_creations(writes);
  if (found.empty())
    return std::nullopt;
  const auto count = found.size();
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      scopes(oids::text, count, count * 8), keys(oids::text, count, count * 32), made(oids::uuid, count, count * 16);
  for (const auto* write : found) {
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(session_of_key(*write).bytes);
    scopes.add(write->key->scope);
    keys.add(write->key->key);
    made.add_uuid(write->session.id.bytes);
  }
  return statement_call{&drop_unused_keys,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(scopes).finish(),
                         std::move(keys).finish(), std::move(made).finish()}};
}

std::optional<statement_call> forks_call(writes_view writes) {
  const auto count = static_cast<std::size_t>(
      std::count_if(writes.begin(), writes.end(), [](const auto& write) { return write->row && write->parent; }));
  if (count == 0)
    return std::nullopt;
  array_builder tenants(oids::text, count, count * 12), sessions(oids::uuid, count, count * 16),
      logs(oids::uuid, count, count * 16), parents(oids::uuid, count, count * 16),
      offsets(oids::int8, count, count * 8), messages(oids::int8, count, count * 8);
  for (const auto& write : writes) {
    if (!write->row || !write->parent)
      continue;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    logs.add_uuid(write->log.bytes);
    parents.add_uuid(write->parent->log.bytes);
    offsets.add_int8(write->parent->offset);
    messages.add_int8(write->parent->messages);
  }
  return statement_call{&add_forks,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(logs).finish(),
                         std::move(parents).finish(), std::move(offsets).finish(), std::move(messages).finish()}};
}

std::optional<statement_call> forks_deleted_call(writes_view writes) {
  array_builder tenants(oids::text, 1, 0), sessions(oids::uuid, 1, 0), logs(oids::uuid, 1, 0),
      parents(oids::uuid, 1, 0), offsets(oids::int8, 1, 0);
  bool any = false;
  for (const auto& write : writes) {
    if (!write->row || !write->parent || !write->row->parent)
      continue;
    any = true;
    tenants.add(write->session.tenant.text());
    sessions.add_uuid(write->session.id.bytes);
    logs.add_uuid(write->log.bytes);
    parents.add_uuid(write->row->parent->bytes);
    offsets.add_int8(write->parent->offset);
  }
  if (!any)
    return std::nullopt;
  return statement_call{&fork_deleted_events,
                        {std::move(tenants).finish(), std::move(sessions).finish(), std::move(logs).finish(),
                         std::move(parents).finish(), std::move(offsets).finish()}};
}

} // namespace colloquy::db
