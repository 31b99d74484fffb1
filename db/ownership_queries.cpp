#include "db/ownership_queries.hpp"

#include "db/system_statements.hpp"

namespace colloquy::db {
namespace {

constexpr oid register_types[] = {oids::uuid, oids::text, oids::int8, oids::int8};
constexpr statement register_statement{
    "register_process", "INSERT INTO processes (process_id, machine, pid, started_ticks) VALUES ($1, $2, $3, $4)",
    register_types};

constexpr oid process_types[] = {oids::uuid};
constexpr statement read_processes_statement{
    "read_processes",
    "SELECT process_id, machine, pid, started_ticks FROM processes"
    " WHERE process_id <> $1 AND ended_at IS NULL AND lost_at IS NULL ORDER BY process_id",
    process_types};

constexpr statement renew_statement{"renew_process",
                                    "UPDATE processes SET renewed_at = clock_timestamp()"
                                    " WHERE process_id = $1 AND ended_at IS NULL AND lost_at IS NULL RETURNING 1",
                                    process_types};
constexpr statement owned_shards{"owned_shards", "SELECT shard FROM shards WHERE process_id = $1", process_types};

error incomplete(const char* what) {
  return {error_code::internal, std::string(what) + " was not answered as it should be"};
}

std::size_t read_shard(std::string_view bytes) {
  return static_cast<std::size_t>(decode_int2(bytes));
}

} // namespace

std::size_t shard_of(const session_id& id) noexcept {
  return (static_cast<std::size_t>(id.bytes[14] & 3u) << 8) | id.bytes[15];
}

unit register_process(process_id process, const process_place& place) {
  return {{{&register_statement,
            {encode_uuid(process.bytes), place.machine, encode_int8(place.pid), encode_int8(place.started_ticks)}}}};
}

unit read_processes(process_id own) {
  return {{{&read_processes_statement, {encode_uuid(own.bytes)}}}};
}

result<std::vector<other_process>> decode_processes(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<other_process> others;
  for (int i = 0; i < found.count(); ++i) {
    row_reader row(found, i);
    other_process other;
    other.process = process_id{row.uuid()};
    other.place = {row.text(), row.int8(), row.int8()};
    others.push_back(std::move(other));
  }
  return others;
}

unit renew_process(process_id process) {
  return {{{&renew_statement, {encode_uuid(process.bytes)}}, {&owned_shards, {encode_uuid(process.bytes)}}}};
}

result<std::optional<shard_set>> decode_renewal(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  if (outcome.results.size() != 2)
    return incomplete("the renewal of this process");
  if (outcome.results[0].count() == 0)
    return std::optional<shard_set>{};
  shard_set owned;
  for (int i = 0; i < outcome.results[1].count(); ++i)
    if (const auto shard = read_shard(outcome.results[1].get(i, 0)); shard < shard_count)
      owned.set(shard);
  return std::optional(owned);
}

unit take_shards(process_id process, const std::vector<process_id>& dead) {
  array_builder known(oids::uuid, dead.size(), dead.size() * 16);
  for (const auto& each : dead)
    known.add_uuid(each.bytes);
  const auto own = encode_uuid(process.bytes);
  return {{as_system_call(),
           {&system_statements::begin_takeover, {own, std::move(known).finish()}},
           {&system_statements::as_login, {}},
           {&system_statements::end_backends, {}},
           as_system_call(),
           {&system_statements::finish_takeover, {own}}}};
}

result<taken_shards> decode_taken(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  taken_shards taken;
  taken.previous.resize(shard_count);
  const auto& found = outcome.results.back();
  for (int i = 0; i < found.count(); ++i) {
    const auto shard = read_shard(found.get(i, 0));
    if (shard >= shard_count)
      return incomplete("taking free shards");
    taken.taken.set(shard);
    if (!found.is_null(i, 1))
      taken.previous[shard] = process_id{decode_uuid(found.get(i, 1))};
  }
  return taken;
}

unit end_process(process_id process) {
  return {{as_system_call(), {&system_statements::end_process, {encode_uuid(process.bytes)}}}};
}

} // namespace colloquy::db
