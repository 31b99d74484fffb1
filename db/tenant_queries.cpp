#include "db/tenant_queries.hpp"

#include "db/audit_queries.hpp"
#include "db/row_reader.hpp"
#include "db/system_statements.hpp"

#include <utility>

namespace colloquy::db {
namespace {

constexpr oid tenant_types[] = {oids::text};
constexpr statement read_tenant_statement{
    "read_tenant", "SELECT " COLLOQUY_TENANT_COLUMNS " FROM tenants AS t WHERE t.tenant_id = $1", tenant_types};

constexpr oid update_quotas_types[] = {oids::text, oids::int8_array, COLLOQUY_AUDIT_TYPES};
constexpr statement update_quotas_statement{
    "update_quotas",
    "WITH changed AS (UPDATE tenants SET requests_per_s = ($2)[1], request_burst = ($2)[2], sessions_max = ($2)[3],"
    " resident_sessions_max = ($2)[4], stored_bytes_max = ($2)[5], running_turns_max = ($2)[6],"
    " subscriptions_max = ($2)[7], message_bytes_max = ($2)[8], connections_max = ($2)[9]"
    " WHERE tenant_id = $1 RETURNING tenant_id)" COLLOQUY_INSERT_AUDIT
    " SELECT tenant_id, $3, $4, $5, $6, $7, $8, $9 FROM changed ON CONFLICT DO NOTHING",
    update_quotas_types};

/// An array, because a parameter is never null: an element may be, and one behind the end is.
std::string encode_quotas(const tenant_quotas& quotas) {
  array_builder values(oids::int8, 9, 72);
  for (const auto& each : {quotas.requests_per_s, quotas.request_burst, quotas.sessions_max,
                           quotas.resident_sessions_max, quotas.stored_bytes_max, quotas.running_turns_max,
                           quotas.subscriptions_max, quotas.message_bytes_max, quotas.connections_max}) {
    if (each)
      values.add_int8(*each);
    else
      values.add_null();
  }
  return std::move(values).finish();
}

tenant_record read_tenant_row(row_reader& row) {
  tenant_record record;
  record.id = tenant_id::parse(row.bytes()).value_or(tenant_id{});
  record.title = row.text();
  record.created_at = row.time();
  auto& quotas = record.quotas;
  for (auto* each : {&quotas.requests_per_s, &quotas.request_burst, &quotas.sessions_max, &quotas.resident_sessions_max,
                     &quotas.stored_bytes_max, &quotas.running_turns_max, &quotas.subscriptions_max,
                     &quotas.message_bytes_max, &quotas.connections_max})
    *each = row.optional_int8();
  record.sessions = row.int8();
  record.stored_bytes = row.int8();
  return record;
}

} // namespace

statement_call read_tenant_call(const tenant_id& tenant) {
  return {&read_tenant_statement, {tenant.text()}};
}

unit insert_tenant(const create_tenant& wanted, const audit_entry& entry) {
  const auto repeat = wanted.repeat.value_or(idempotency{});
  statement_call insert{
      &system_statements::insert_tenant,
      {wanted.id.text(), wanted.title, encode_quotas(wanted.quotas), repeat.scope, repeat.key, repeat.fingerprint}};
  add_audit_parameters(insert, entry);
  return {{as_system_call(),
           std::move(insert),
           {&system_statements::find_made_tenant,
            {wanted.id.text(), encode_timestamp(entry.at), encode_uuid(entry.id.bytes), repeat.scope, repeat.key}}}};
}

result<tenant_record> decode_inserted_tenant(const create_tenant& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    auto record = read_tenant_row(row);
    const bool is_ours = row.boolean();
    const bool has_key = row.boolean();
    if (is_ours)
      return record;
    if (has_key && (row.bytes() != wanted.repeat->fingerprint || record.id != wanted.id))
      return error{error_code::idempotency_mismatch,
                   "idempotency key \"" + wanted.repeat->key + "\" was used before, with another request"};
    if (has_key)
      return record;
  }
  return error{error_code::conflict, "there is a tenant \"" + wanted.id.text() + "\" already"};
}

unit read_tenant(const tenant_id& tenant) {
  return {{tenant_call(tenant), read_tenant_call(tenant)}};
}

unit update_quotas(const set_quotas& wanted, const audit_entry& entry) {
  statement_call update{&update_quotas_statement, {wanted.id.text(), encode_quotas(wanted.quotas)}};
  add_audit_parameters(update, entry);
  return {{tenant_call(wanted.id), std::move(update), read_tenant_call(wanted.id)}};
}

result<tenant_record> decode_tenant(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return error{error_code::not_found, "no such tenant"};
  row_reader row(found, 0);
  return read_tenant_row(row);
}

result<unit> list_tenants_page(const list_tenants& wanted) {
  if (!wanted.cursor.empty() && !tenant_id::parse(wanted.cursor))
    return error{error_code::invalid_request, "the cursor is not one that a page of tenants ended with"};
  const auto limit = static_cast<std::int64_t>(wanted.limit) + 1; // one more tells whether there is a next page
  return unit{{as_system_call(), {&system_statements::list_tenants, {wanted.cursor, encode_int8(limit)}}}};
}

result<tenant_page> decode_tenant_page(const list_tenants& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  tenant_page page;
  for (int i = 0; i < found.count() && page.tenants.size() < wanted.limit; ++i) {
    row_reader row(found, i);
    page.tenants.push_back(read_tenant_row(row));
  }
  if (static_cast<std::size_t>(found.count()) > wanted.limit && !page.tenants.empty())
    page.next_cursor = page.tenants.back().id.text();
  return page;
}

unit count_usage(const uuid_bytes& meter, std::int64_t seq, const std::vector<tenant_usage>& more) {
  array_builder tenants(oids::text, more.size(), more.size() * 12), sessions(oids::int8, more.size(), more.size() * 8),
      bytes(oids::int8, more.size(), more.size() * 8);
  for (const auto& each : more) {
    tenants.add(each.tenant.text());
    sessions.add_int8(each.sessions);
    bytes.add_int8(each.bytes);
  }
  return {{as_system_call(),
           {&system_statements::count_usage,
            {encode_uuid(meter), encode_int8(seq), std::move(tenants).finish(), std::move(sessions).finish(),
             std::move(bytes).finish()}}}};
}

result<void> decode_done(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return {};
}

} // namespace colloquy::db
