#include "db/key_queries.hpp"

#include "db/audit_queries.hpp"
#include "db/page_place.hpp"
#include "db/row_reader.hpp"
#include "db/system_statements.hpp"
#include "db/tenant_queries.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace colloquy::db {
namespace {

constexpr oid of_key_types[] = {oids::text, oids::uuid};
constexpr statement read_key_statement{
    "read_api_key", "SELECT " COLLOQUY_KEY_COLUMNS " FROM api_keys AS k WHERE k.tenant_id = $1 AND k.id = $2",
    of_key_types};

// Before the audit's: tenant, id, prefix, digest, name, scopes, user, life in seconds.
constexpr oid insert_key_types[] = {oids::text, oids::uuid,    oids::text,          oids::bytea,
                                    oids::text, oids::boolean, oids::boolean,       oids::boolean,
                                    oids::text, oids::int8,    COLLOQUY_AUDIT_TYPES};
constexpr statement insert_key_statement{
    "insert_api_key",
    "WITH made AS (INSERT INTO api_keys (tenant_id, id, prefix, sha256, name, can_read, can_write, can_admin, user_id,"
    " expires_in_s, created_at, expires_at)"
    " SELECT t.tenant_id, $2, $3, $4, $5, $6, $7, $8, nullif($9, ''), nullif($10, 0), $11,"
    " $11 + nullif($10, 0) * interval '1 second' FROM tenants AS t WHERE t.tenant_id = $1"
    " ON CONFLICT DO NOTHING RETURNING tenant_id)" COLLOQUY_INSERT_AUDIT
    " SELECT tenant_id, $11, $12, $13, $14, $15, $16, $17 FROM made",
    insert_key_types};

// Before the audit's: tenant, the old key, the new key, its prefix and digest, the old one's seconds. If the new one is
// there already, this has been done before.
constexpr oid next_key_types[] = {oids::text,  oids::uuid, oids::uuid,          oids::text,
                                  oids::bytea, oids::int8, COLLOQUY_AUDIT_TYPES};
constexpr statement next_key_statement{
    "insert_next_api_key",
    "WITH old AS (UPDATE api_keys AS k SET expires_at = least(k.expires_at, $7 + $6 * interval '1 second')"
    " WHERE k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $7)"
    " AND NOT EXISTS (SELECT FROM api_keys AS n WHERE n.tenant_id = $1 AND n.id = $3)"
    " RETURNING k.tenant_id, k.name, k.can_read, k.can_write, k.can_admin, k.user_id, k.expires_in_s),"
    " made AS (INSERT INTO api_keys (tenant_id, id, prefix, sha256, name, can_read, can_write, can_admin, user_id,"
    " expires_in_s, created_at, expires_at)"
    " SELECT o.tenant_id, $3, $4, $5, o.name, o.can_read, o.can_write, o.can_admin, o.user_id, o.expires_in_s, $7,"
    " $7 + o.expires_in_s * interval '1 second' FROM old AS o RETURNING tenant_id)" COLLOQUY_INSERT_AUDIT
    " SELECT tenant_id, $7, $8, $9, $10, $11, $12, $13 FROM made",
    next_key_types};

constexpr oid revoke_key_types[] = {oids::text, oids::uuid, COLLOQUY_AUDIT_TYPES};
constexpr statement revoke_key_statement{
    "revoke_api_key",
    "WITH gone AS (UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL"
    " RETURNING tenant_id)" COLLOQUY_INSERT_AUDIT " SELECT tenant_id, $3, $4, $5, $6, $7, $8, $9 FROM gone",
    revoke_key_types};

constexpr oid list_keys_types[] = {oids::text, oids::timestamptz, oids::uuid, oids::int8};
constexpr statement list_keys_statement{"list_api_keys",
                                        "SELECT " COLLOQUY_KEY_COLUMNS " FROM api_keys AS k WHERE k.tenant_id = $1"
                                        " AND (k.created_at, k.id) < ($2, $3)"
                                        " ORDER BY k.created_at DESC, k.id DESC LIMIT $4",
                                        list_keys_types};

constexpr oid note_uses_types[] = {oids::text_array, oids::uuid_array, oids::timestamptz_array};
constexpr statement note_uses_statement{
    "note_api_key_uses",
    "UPDATE api_keys AS k SET last_used_at = u.at FROM unnest($1, $2, $3) AS u(tenant_id, id, at)"
    " WHERE k.tenant_id = u.tenant_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)",
    note_uses_types};

api_key_record read_key_row(const tenant_id& tenant, row_reader& row) {
  api_key_record key;
  key.tenant = tenant;
  key.id = key_id{row.uuid()};
  key.prefix = row.text();
  key.name = row.text();
  key.scopes.read = row.boolean();
  key.scopes.write = row.boolean();
  key.scopes.admin = row.boolean();
  key.user_id = row.optional_text();
  key.created_at = row.time();
  key.expires_at = row.optional_time();
  key.last_used_at = row.optional_time();
  key.revoked_at = row.optional_time();
  return key;
}

statement_call read_key_call(const tenant_id& tenant, key_id id) {
  return {&read_key_statement, {tenant.text(), encode_uuid(id.bytes)}};
}

/// The last rows are the key's.
result<api_key_record> decode_key_row(const tenant_id& tenant, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return error{error_code::not_found, "no such key"};
  row_reader row(found, 0);
  return read_key_row(tenant, row);
}

const error prefix_taken{error_code::conflict, "there is a key of that prefix already"};

} // namespace

unit insert_key(const create_key& wanted, key_id id, const audit_entry& entry) {
  statement_call insert{&insert_key_statement,
                        {wanted.tenant.text(), encode_uuid(id.bytes), wanted.digest.prefix, wanted.digest.sha256,
                         wanted.name, encode_bool(wanted.scopes.read), encode_bool(wanted.scopes.write),
                         encode_bool(wanted.scopes.admin), wanted.user_id.value_or(""),
                         encode_int8(wanted.expires_in.value_or(std::chrono::seconds{0}).count())}};
  add_audit_parameters(insert, entry);
  return {{tenant_call(wanted.tenant), std::move(insert), read_tenant_call(wanted.tenant),
           read_key_call(wanted.tenant, id)}};
}

result<api_key_record> decode_inserted_key(const create_key& wanted, const unit_outcome& outcome) {
  auto made = decode_key_row(wanted.tenant, outcome);
  if (made || made.failure().code != error_code::not_found)
    return made;
  if (outcome.results[outcome.results.size() - 2].count() == 0)
    return error{error_code::not_found, "no such tenant"};
  return prefix_taken;
}

unit insert_next_key(const rotate_key& wanted, key_id id, const audit_entry& entry) {
  statement_call insert{&next_key_statement,
                        {wanted.tenant.text(), encode_uuid(wanted.id.bytes), encode_uuid(id.bytes),
                         wanted.digest.prefix, wanted.digest.sha256, encode_int8(wanted.grace.count())}};
  add_audit_parameters(insert, entry);
  return {{tenant_call(wanted.tenant), std::move(insert), read_key_call(wanted.tenant, id)}};
}

result<api_key_record> decode_next_key(const rotate_key& wanted, const unit_outcome& outcome) {
  if (outcome.failure && outcome.failure->sqlstate == "23505") // unique_violation, seldom another tenant's prefix
    return prefix_taken;
  auto made = decode_key_row(wanted.tenant, outcome);
  if (!made && made.failure().code == error_code::not_found)
    return error{error_code::not_found, "no such key, or it is not valid any more"};
  return made;
}

unit revoke_key(const colloquy::revoke_key& wanted, const audit_entry& entry) {
  statement_call revoke{&revoke_key_statement, {wanted.tenant.text(), encode_uuid(wanted.id.bytes)}};
  add_audit_parameters(revoke, entry);
  return {{tenant_call(wanted.tenant), std::move(revoke), read_key_call(wanted.tenant, wanted.id)}};
}

result<api_key_record> decode_revoked_key(const colloquy::revoke_key& wanted, const unit_outcome& outcome) {
  return decode_key_row(wanted.tenant, outcome);
}

result<unit> list_keys_page(const list_keys& wanted) {
  const auto place = read_cursor(wanted.cursor, "keys");
  if (!place)
    return place.failure();
  const auto limit = static_cast<std::int64_t>(wanted.limit) + 1; // one more tells whether there is a next page
  return unit{{tenant_call(wanted.tenant),
               {&list_keys_statement,
                {wanted.tenant.text(), encode_timestamp(place->at), encode_uuid(place->id), encode_int8(limit)}}}};
}

result<key_page> decode_key_page(const list_keys& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  key_page page;
  for (int i = 0; i < found.count() && page.keys.size() < wanted.limit; ++i) {
    row_reader row(found, i);
    page.keys.push_back(read_key_row(wanted.tenant, row));
  }
  if (static_cast<std::size_t>(found.count()) > wanted.limit && !page.keys.empty())
    page.next_cursor = to_cursor({page.keys.back().created_at, page.keys.back().id.bytes});
  return page;
}

unit find_api_key(const std::string& prefix) {
  return {{as_system_call(), {&system_statements::find_api_key, {prefix}}}};
}

result<found_key> decode_found_key(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return found_key{};
  row_reader row(found, 0);
  const auto tenant = tenant_id::parse(row.bytes()).value_or(tenant_id{});
  known_key known;
  known.sha256 = row.text();
  known.key = read_key_row(tenant, row);
  return found_key{std::move(known)};
}

unit note_key_uses(const std::vector<note_key_use>& uses) {
  array_builder tenants(oids::text, uses.size(), uses.size() * 12), ids(oids::uuid, uses.size(), uses.size() * 16),
      times(oids::timestamptz, uses.size(), uses.size() * 8);
  std::set<std::string> names;
  for (const auto& each : uses) {
    names.insert(each.tenant.text());
    tenants.add(each.tenant.text());
    ids.add_uuid(each.id.bytes);
    times.add_timestamp(each.at);
  }
  return {{tenants_call(names),
           {&note_uses_statement, {std::move(tenants).finish(), std::move(ids).finish(), std::move(times).finish()}}}};
}

unit keep_admin_key(const std::string& sha256) {
  unit work{{as_system_call()}};
  if (!sha256.empty())
    work.calls.push_back({&system_statements::keep_admin_key, {sha256}});
  work.calls.push_back({&system_statements::read_service_keys, {}});
  return work;
}

result<service_keys> decode_service_keys(const std::string& sha256, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  service_keys keys;
  keys.admin_sha256 = row.optional_text().value_or("");
  keys.has_tenant_keys = row.boolean();
  keys.kept = !sha256.empty() && keys.admin_sha256 == sha256;
  return keys;
}

} // namespace colloquy::db
