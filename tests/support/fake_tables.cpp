#include "tests/support/fake_tables.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>

namespace colloquy::test {
namespace {

using db::db_failure;
using db::failure_kind;

/// All parameters from `first` on, as rows: unnest().
std::vector<columns> unnested(const db::statement_call& call, std::size_t first = 0) {
  std::vector<columns> rows;
  for (std::size_t p = first; p < call.parameters.size(); ++p) {
    auto values = elements(call.parameters[p]);
    rows.resize(std::max(rows.size(), values.size()), columns(call.parameters.size() - first));
    for (std::size_t i = 0; i < values.size(); ++i)
      rows[i][p - first] = std::move(values[i]);
  }
  return rows;
}

/// A text[] in binary, of {"a","b"} as text.
column text_array(const column& literal) {
  if (!literal)
    return std::nullopt;
  std::vector<std::string> found;
  for (std::size_t at = 1; at < literal->size(); ++at) {
    if ((*literal)[at] != '"')
      continue;
    std::string element;
    for (++at; (*literal)[at] != '"'; ++at) {
      if ((*literal)[at] == '\\')
        ++at;
      element.push_back((*literal)[at]);
    }
    found.push_back(std::move(element));
  }
  db::array_builder built(db::oids::text, found.size(), 0);
  for (const auto& each : found)
    built.add(each);
  return std::move(built).finish();
}

} // namespace

columns elements(const column& parameter) {
  columns out;
  std::string_view bytes = parameter.value();
  if (db::decode_int4(bytes) == 0)
    return out;
  const auto count = db::decode_int4(bytes.substr(12));
  bytes.remove_prefix(20);
  for (int i = 0; i < count; ++i) {
    const auto length = db::decode_int4(bytes);
    bytes.remove_prefix(4);
    if (length < 0) {
      out.emplace_back();
      continue;
    }
    out.emplace_back(bytes.substr(0, static_cast<std::size_t>(length)));
    bytes.remove_prefix(static_cast<std::size_t>(length));
  }
  return out;
}

db::rows make_rows(const std::vector<columns>& values, int count) {
  std::shared_ptr<PGresult> result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK), PQclear);
  std::vector<PGresAttDesc> attributes(static_cast<std::size_t>(count));
  char name[] = "column";
  for (auto& attribute : attributes) {
    attribute = {};
    attribute.name = name;
    attribute.format = 1;
  }
  PQsetResultAttrs(result.get(), count, attributes.data());
  for (std::size_t row = 0; row < values.size(); ++row)
    for (std::size_t at = 0; at < values[row].size(); ++at) {
      const auto& value = values[row][at];
      std::string copy = value.value_or("");
      PQsetvalue(result.get(), static_cast<int>(row), static_cast<int>(at), value ? copy.data() : nullptr,
                 value ? static_cast<int>(copy.size()) : -1);
    }
  return db::rows(std::shared_ptr<const pg_result>(result));
}

std::optional<db_failure> fake_tables::apply(const db::statement_call& call, const std::string& poison,
                                             db::rows& answer) {
  static const std::set<std::string_view> without_effect{
      "set_tenants", "as_system", "as_login_role", "end_backend", "end_backends", "plan_for_sums", "set_user"};
  const std::string_view name = call.what->name;
  if (name == "begin_batch")
    return begin_batch(call);
  if (name == "claim_writer")
    return claim_writer(call, answer);
  if (name == "insert_events" || name == "insert_plain_events")
    return insert_events(call, poison);
  if (without_effect.contains(name) || apply_batch(name, call, answer) || apply_read(name, call, answer) ||
      apply_ownership(name, call, answer) || apply_sweep(name, call, answer))
    return std::nullopt;
  return db_failure{failure_kind::fault, "42P01", "the model does not know " + std::string(name)};
}

bool fake_tables::apply_batch(std::string_view name, const db::statement_call& call, db::rows& answer) {
  if (name == "insert_sessions" || name == "insert_keyed_sessions")
    answer = insert_sessions(call);
  else if (name == "insert_creation_keys")
    insert_creation_keys(call);
  else if (name == "drop_unused_keys")
    drop_unused_keys(call);
  else if (name == "add_forks")
    add_forks(call);
  else if (name == "upsert_turns")
    upsert_turns(call);
  else if (name == "insert_keys")
    insert_keys(call);
  else if (name == "upsert_participants" || name == "delete_participants")
    change_participants(call, name.starts_with("upsert"));
  else if (name == "update_sessions")
    update_sessions(call);
  else if (name == "delete_events")
    delete_events(call);
  else if (name == "fork_deleted_events")
    fork_deleted_events(call);
  else if (name == "count_turns")
    count_turns(call);
  else if (name == "begin_erasures")
    begin_erasures(call);
  else
    return false;
  return true;
}

// --- batches ---------------------------------------------------------------------------------------------------------

std::optional<db_failure> fake_tables::insert_events(const db::statement_call& call, const std::string& poison) {
  constexpr std::size_t columns_at_most = 15;
  for (auto& row : unnested(call)) {
    row.resize(columns_at_most);
    if (row[6]->find(poison) != std::string::npos)
      return db_failure{failure_kind::data, "23514", "refused"};
    auto& log = logs[uuid_of(row[1])];
    const auto offset = db::decode_int8(*row[2]);
    for (const auto& entry : log)
      if (entry.offset == offset)
        return db_failure{failure_kind::data, "23505", "duplicate offset"};
    log.push_back({offset,
                   *row[4],
                   *row[6],
                   {row[3], row[5], row[8], row[9], row[10], text_array(row[11]), row[12], row[13], row[7], row[14]},
                   *row[0]});
  }
  return std::nullopt;
}

db::rows fake_tables::insert_sessions(const db::statement_call& call) {
  std::vector<columns> made;
  for (auto& row : unnested(call)) {
    const auto id = uuid_of(row[1]);
    if (row.size() > 16 && row[18]) {
      const auto at = keys.find({*row[0], uuid_of(row[16]), *row[17], *row[18]});
      if (at == keys.end() || uuid_of(at->second[4]) != id)
        continue;
    }
    if (row[5] && !external_ids.try_emplace({*row[0], *row[5]}, id).second)
      continue;
    session_row fresh{*row[0], columns(row.begin() + 2, row.begin() + 13), columns(row.begin() + 13, row.begin() + 16)};
    fresh.described[0] = text_array(fresh.described[0]);
    fresh.version = db::encode_int8(1);
    sessions[id] = std::move(fresh);
    made.push_back({row[1]});
  }
  return make_rows(made, 1);
}

void fake_tables::insert_creation_keys(const db::statement_call& call) {
  for (auto& row : unnested(call))
    keys.try_emplace({*row[0], uuid_of(row[1]), *row[2], *row[3]},
                     columns{row[4], std::nullopt, db::encode_int8(0), std::nullopt, row[5], row[6], row[7]});
}

void fake_tables::drop_unused_keys(const db::statement_call& call) {
  for (auto& row : unnested(call)) {
    const auto at = keys.find({*row[0], uuid_of(row[1]), *row[2], *row[3]});
    if (at != keys.end() && uuid_of(at->second[4]) == uuid_of(row[4]) && !sessions.contains(uuid_of(row[4])))
      keys.erase(at);
  }
}

void fake_tables::add_forks(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (sessions.contains(uuid_of(row[1])))
      links[uuid_of(row[2])] = {uuid_of(row[3]), db::decode_int8(*row[4]), db::decode_int8(*row[5])};
}

void fake_tables::upsert_turns(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (auto* session = find(row[0], row[1])) {
      session->turns[db::decode_int8(*row[2])] = {parse_turn_status(*row[4]).value(),
                                                  columns(row.begin() + 2, row.end())};
      if (*row[4] == "rolled_back")
        rolled_back.insert(uuid_of(row[3]));
    }
}

void fake_tables::insert_keys(const db::statement_call& call) {
  for (auto& row : unnested(call))
    keys[{*row[0], uuid_of(row[1]), *row[2], *row[3]}] = {row[4],       row[5], row[6],      row[7],
                                                          std::nullopt, row[8], std::nullopt};
}

void fake_tables::change_participants(const db::statement_call& call, bool adds) {
  for (auto& row : unnested(call))
    if (auto* session = find(row[0], row[1])) {
      if (adds)
        session->participants[*row[2]] = *row[3];
      else
        session->participants.erase(*row[2]);
    }
}

void fake_tables::update_sessions(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (auto* session = find(row[0], row[1])) {
      session->row[title] = row[2];
      session->row[metadata] = row[3];
      session->status = row[4];
      session->row[expires] = row[5];
      session->version = row[6];
      session->row[lives] = row[7];
      session->described = {text_array(row[8]), row[9], row[10]};
    }
}

void fake_tables::count_turns(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (auto* session = find(row[0], row[1])) {
      session->turn_count += db::decode_int8(*row[2]);
      session->total_tokens += db::decode_int8(*row[3]);
    }
}

void fake_tables::delete_events(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (find(row[0], row[1]))
      deleted_events[uuid_of(row[1])].push_back({db::decode_int8(*row[3]), db::decode_int8(*row[4])});
}

void fake_tables::fork_deleted_events(const db::statement_call& call) {
  for (auto& row : unnested(call)) {
    if (!find(row[0], row[1]))
      continue;
    const auto shared = db::decode_int8(*row[4]);
    const auto all = deleted_events[uuid_of(row[3])];
    for (const auto& range : all)
      if (range.first <= shared)
        deleted_events[uuid_of(row[1])].push_back({range.first, std::min(range.last, shared)});
  }
}

void fake_tables::begin_erasures(const db::statement_call& call) {
  for (auto& row : unnested(call))
    if (auto* session = find(row[0], row[1])) {
      erasures[uuid_of(row[1])] = {*row[0], uuid_of(session->row[log_id_at]),
                                   static_cast<std::int64_t>(session->turns.size()),
                                   static_cast<std::int64_t>(session->participants.size())};
      deleted_events.erase(uuid_of(row[1])); // which the steps of an erasure do in truth
      if (session->row[external])
        external_ids.erase({*row[0], *session->row[external]});
      sessions.erase(uuid_of(row[1]));
    }
}

} // namespace colloquy::test
