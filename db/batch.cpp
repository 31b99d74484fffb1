#include "db/batch.hpp"

#include "db/batch_calls.hpp"

#include <algorithm>
#include <unordered_set>

namespace colloquy::db {
namespace {

constexpr oid begin_batch_types[] = {oids::uuid, oids::int2, oids::int8, oids::int8, oids::text};
constexpr statement begin_batch{"begin_batch", "SELECT begin_batch($1, $2, $3, $4, $5)", begin_batch_types};

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

/// What few batches have, so that the others are not searched for it again and again.
struct batch_contents {
  bool creations = false;
  bool changes = false; ///< keys, participants, changed rows, deleted events
  bool erasures = false;
};

batch_contents contents_of(std::span<const session_write_ptr> writes) {
  batch_contents holds;
  for (const auto& write : writes) {
    holds.creations = holds.creations || write->row;
    holds.changes =
        holds.changes || write->key || write->changed || !write->participants.empty() || !write->deleted.empty();
    holds.erasures = holds.erasures || write->erases;
  }
  return holds;
}

} // namespace

encoded_batch encode_batch(const batch_position& position, std::span<const session_write_ptr> writes) {
  encoded_batch batch;
  auto& calls = batch.statements.calls;
  const auto add = [&calls](std::optional<statement_call> call) {
    if (call)
      calls.push_back(std::move(*call));
  };
  calls.push_back({&begin_batch,
                   {encode_uuid(position.process.bytes), encode_int2(position.writer), encode_int8(position.epoch),
                    encode_int8(position.seq), tenants_of(writes)}});
  // What several processes may touch is locked in one order: keys, sessions, logs.
  const auto holds = contents_of(writes);
  if (holds.creations) {
    add(creation_keys_call(writes));
    batch.sessions_result = static_cast<int>(calls.size());
    add(sessions_call(writes));
    add(unused_keys_call(writes));
    add(forks_call(writes));
    add(forks_deleted_call(writes));
  }
  add(events_call(writes));
  add(turns_call(writes));
  if (holds.changes) {
    add(keys_call(writes));
    add(participants_call(writes));
    add(former_participants_call(writes));
    add(changes_call(writes));
    add(deleted_call(writes));
  }
  add(counters_call(writes));
  if (holds.erasures)
    add(erasures_call(writes));
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
