#include "db/session_queries.hpp"

#include "db/journal_codec.hpp"
#include "db/row_reader.hpp"
#include "messages/content.hpp"

#include <algorithm>
#include <charconv>

namespace colloquy::db {
namespace {

constexpr oid set_tenants_types[] = {oids::text};
constexpr statement set_tenants{"set_tenants", "SELECT set_config('colloquy.tenants', $1, true)", set_tenants_types};

constexpr oid set_user_types[] = {oids::text};
constexpr statement set_user{"set_user", "SELECT set_config('colloquy.user_id', $1, true)", set_user_types};

constexpr oid of_session_types[] = {oids::text, oids::uuid};
constexpr statement read_session_statement{
    "read_session",
    "SELECT " COLLOQUY_RECORD_COLUMNS ", coalesce(e.messages, f.messages, 0),"
    " ARRAY(SELECT p.user_id FROM participants AS p WHERE p.tenant_id = s.tenant_id AND p.session_id = s.id"
    " ORDER BY p.user_id),"
    " ARRAY(SELECT p.role FROM participants AS p WHERE p.tenant_id = s.tenant_id AND p.session_id = s.id"
    " ORDER BY p.user_id),"
    " EXISTS (SELECT FROM deleted_events AS d WHERE d.tenant_id = s.tenant_id AND d.session_id = s.id),"
    " EXISTS (SELECT FROM processes AS p WHERE p.process_id = t.process_id AND p.ended_at IS NOT NULL),"
    " " COLLOQUY_TURN_COLUMNS " FROM sessions AS s" COLLOQUY_LAST_EVENT
    " LEFT JOIN logs AS f ON s.parent_id IS NOT NULL AND f.tenant_id = s.tenant_id AND f.id = s.log_id"
    " LEFT JOIN LATERAL (SELECT * FROM turns AS t WHERE t.tenant_id = s.tenant_id AND t.session_id = s.id"
    " ORDER BY t.number DESC LIMIT 1) AS t ON true"
    " WHERE s.tenant_id = $1 AND s.id = $2",
    of_session_types};

constexpr oid find_session_types[] = {oids::text, oids::text};
constexpr statement find_session_statement{
    "find_session", "SELECT id FROM sessions WHERE tenant_id = $1 AND external_id = $2", find_session_types};

constexpr oid read_turns_types[] = {oids::text, oids::uuid, oids::int8, oids::int8};
constexpr statement read_turns_statement{"read_turns",
                                         "SELECT " COLLOQUY_TURN_COLUMNS
                                         " FROM turns AS t WHERE t.tenant_id = $1 AND t.session_id = $2"
                                         " AND t.number < $3 ORDER BY t.number DESC LIMIT $4",
                                         read_turns_types};

constexpr oid read_turn_types[] = {oids::text, oids::uuid, oids::uuid};
constexpr statement read_turn_statement{"read_turn",
                                        "SELECT " COLLOQUY_TURN_COLUMNS
                                        " FROM turns AS t WHERE t.tenant_id = $1 AND t.session_id = $2 AND t.id = $3",
                                        read_turn_types};

constexpr oid find_key_types[] = {oids::text, oids::uuid, oids::text, oids::text};
constexpr statement find_key_statement{
    "find_key",
    "SELECT k.scope, k.key, k.fingerprint, k.first_offset, k.count, k.turn_id, k.made_session_id, k.created_at,"
    " CASE WHEN EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = k.tenant_id AND s.id = k.made_session_id)"
    " THEN k.reply END FROM idempotency_keys AS k"
    " WHERE k.tenant_id = $1 AND k.session_id = $2 AND k.scope = $3 AND k.key = $4",
    find_key_types};

constexpr oid read_keys_types[] = {oids::text, oids::uuid, oids::timestamptz, oids::int8};
constexpr statement read_keys_statement{
    "read_keys",
    "SELECT scope, key FROM idempotency_keys WHERE tenant_id = $1 AND session_id = $2 AND created_at > $3"
    " ORDER BY created_at DESC LIMIT $4",
    read_keys_types};

constexpr statement check_service_statement{
    "check_service", "SELECT (SELECT count(*) FROM sessions WHERE false), current_tenants()", {}};

std::vector<participant> read_participants(row_reader& row) {
  const auto users = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  const auto roles = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  std::vector<participant> found;
  for (std::size_t i = 0; i < std::min(users.size(), roles.size()); ++i)
    found.push_back({users[i], parse_participant_role(roles[i]).value_or(participant_role::reader)});
  return found;
}

consumption_map read_consumption(std::string_view json) {
  consumption_map found;
  if (const auto members = split_object(json))
    for (const auto& [client, value] : *members) {
      std::int64_t offset = 0;
      std::from_chars(value.data(), value.data() + value.size(), offset);
      found.emplace(client, offset);
    }
  return found;
}

} // namespace

statement_call tenant_call(const tenant_id& tenant) {
  return {&set_tenants, {tenant.text()}};
}

statement_call user_call(const std::string& user) {
  return {&set_user, {user}};
}

session_record read_record(const session_key& key, row_reader& row) {
  session_record record;
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
  if (const auto seconds = row.optional_int8())
    record.expires_in = std::chrono::seconds{*seconds};
  record.turn_count = row.int8();
  record.total_tokens = row.int8();
  record.version = row.int8();
  record.metadata = row.text();
  if (auto parent = row.optional_uuid())
    record.parent = session_id{*parent};
  record.fork_offset = row.optional_int8();
  record.durable_offset = row.int8();
  record.next_offset = record.durable_offset + 1;
  record.labels = decode_text_array(row.bytes()).value_or(std::vector<std::string>{});
  record.mode = parse_session_mode(row.bytes()).value_or(session_mode::automatic);
  record.consumption_offsets = read_consumption(row.bytes());
  return record;
}

turn_row read_turn_row(row_reader& row) {
  turn_row turn;
  turn.number = row.int8();
  turn.id = turn_id{row.uuid()};
  turn.status = parse_turn_status(row.bytes()).value_or(turn_status::lost);
  turn.trace_id = row.optional_text().value_or("");
  turn.started_at = row.time();
  turn.ended_at = row.optional_time();
  turn.lease_expires_at = row.optional_time();
  const auto input = row.optional_int8();
  const auto output = row.optional_int8();
  if (input)
    turn.usage = token_usage{*input, output.value_or(0)};
  turn.granted_by = row.id<process_id>();
  turn.first_offset = row.optional_int8().value_or(0);
  turn.messages = row.optional_int8().value_or(0);
  return turn;
}

unit read_session(const session_key& key) {
  return {{tenant_call(key.tenant), {&read_session_statement, {key.tenant.text(), encode_uuid(key.id.bytes)}}}};
}

result<stored_session> decode_session(const session_key& key, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return error{error_code::not_found, "no such session"};
  row_reader row(found, 0);
  stored_session stored;
  stored.record = read_record(key, row);
  stored.messages = row.int8();
  stored.participants = read_participants(row);
  stored.has_deleted = row.boolean();
  stored.granter_ended_cleanly = row.boolean();
  if (!row.next_is_null())
    stored.last_turn = read_turn_row(row);
  return stored;
}

unit find_session(const tenant_id& tenant, const std::string& external_id) {
  return {{tenant_call(tenant), {&find_session_statement, {tenant.text(), external_id}}}};
}

result<std::optional<session_id>> decode_found(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return std::optional<session_id>{};
  return std::optional(session_id{decode_uuid(found.get(0, 0))});
}

unit read_turns(const session_key& key, std::int64_t before, std::size_t limit) {
  return {{tenant_call(key.tenant),
           {&read_turns_statement,
            {key.tenant.text(), encode_uuid(key.id.bytes), encode_int8(before),
             encode_int8(static_cast<std::int64_t>(limit))}}}};
}

unit read_turn(const session_key& key, turn_id turn) {
  return {{tenant_call(key.tenant),
           {&read_turn_statement, {key.tenant.text(), encode_uuid(key.id.bytes), encode_uuid(turn.bytes)}}}};
}

result<std::vector<turn_record>> decode_turns(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<turn_record> turns;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    turns.push_back(read_turn_row(row));
  }
  return turns;
}

unit find_key(const tenant_id& tenant, session_id session, const std::string& scope, const std::string& key) {
  return {{tenant_call(tenant), {&find_key_statement, {tenant.text(), encode_uuid(session.bytes), scope, key}}}};
}

result<std::optional<remembered_key>> decode_key(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return std::optional<remembered_key>{};
  row_reader row(found, 0);
  remembered_key key;
  key.scope = row.text();
  key.key = row.text();
  key.fingerprint = row.text();
  key.first_offset = row.optional_int8().value_or(-1);
  key.count = row.int8();
  key.turn = row.id<turn_id>();
  key.made = row.id<session_id>();
  key.made_at = row.time();
  if (const auto reply = row.optional_text())
    if (auto record = decode_record(*reply)) // else of another version: the session as it is has to do
      key.reply = std::make_shared<const session_record>(std::move(record).value());
  return std::optional(std::move(key));
}

unit read_key_hashes(const session_key& key, timestamp after, std::size_t limit) {
  return {{tenant_call(key.tenant),
           {&read_keys_statement,
            {key.tenant.text(), encode_uuid(key.id.bytes), encode_timestamp(after),
             encode_int8(static_cast<std::int64_t>(limit))}}}};
}

result<std::vector<std::int64_t>> decode_key_hashes(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<std::int64_t> hashes;
  hashes.reserve(static_cast<std::size_t>(found.count()));
  for (int i = 0; i < found.count(); ++i)
    hashes.push_back(idempotency_hash(found.get(i, 0), found.get(i, 1)));
  return hashes;
}

/// FNV-1a of 64 bits, with a byte between the two that no valid text has.
std::int64_t idempotency_hash(std::string_view scope, std::string_view key) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](unsigned char byte) {
    hash ^= byte;
    hash *= 0x100000001b3;
  };
  for (const char c : scope)
    add(static_cast<unsigned char>(c));
  add(0xff);
  for (const char c : key)
    add(static_cast<unsigned char>(c));
  return static_cast<std::int64_t>(hash);
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
