#include "db/sweep_queries.hpp"

#include "db/system_statements.hpp"

namespace colloquy::db {
namespace {

/// As get_bit() of bytea counts: bit n is in byte n / 8, from its lowest bit.
std::string encode_shards(const shard_set& shards) {
  std::string bytes(shard_count / 8, '\0');
  for (std::size_t shard = 0; shard < shard_count; ++shard)
    if (shards.test(shard))
      bytes[shard / 8] = static_cast<char>(static_cast<unsigned char>(bytes[shard / 8]) | (1u << (shard % 8)));
  return bytes;
}

std::string encode_limit(std::size_t limit) {
  return encode_int8(static_cast<std::int64_t>(limit));
}

result<std::int64_t> decode_one(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return decode_int8(outcome.results.back().get(0, 0));
}

} // namespace

unit find_overdue(timestamp now, const shard_set& shards, std::size_t limit) {
  return {{as_system_call(),
           {&system_statements::find_overdue, {encode_timestamp(now), encode_shards(shards), encode_limit(limit)}}}};
}

unit find_expired_before(timestamp then, const shard_set& shards, std::size_t limit) {
  return {{as_system_call(),
           {&system_statements::find_expired, {encode_timestamp(then), encode_shards(shards), encode_limit(limit)}}}};
}

result<std::vector<session_key>> decode_session_keys(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<session_key> keys;
  for (int i = 0; i < found.count(); ++i)
    if (auto tenant = tenant_id::parse(found.get(i, 0)))
      keys.push_back({std::move(*tenant), session_id{decode_uuid(found.get(i, 1))}});
  return keys;
}

unit mark_expired(process_id process, timestamp now, const std::vector<session_key>& sessions) {
  array_builder tenants(oids::text, sessions.size(), sessions.size() * 12),
      ids(oids::uuid, sessions.size(), sessions.size() * 16);
  for (const auto& key : sessions) {
    tenants.add(key.tenant.text());
    ids.add_uuid(key.id.bytes);
  }
  return {
      {as_system_call(),
       {&system_statements::mark_expired,
        {encode_uuid(process.bytes), encode_timestamp(now), std::move(tenants).finish(), std::move(ids).finish()}}}};
}

result<std::int64_t> decode_marked(const unit_outcome& outcome) {
  return decode_one(outcome);
}

unit forget_keys(timestamp before, std::size_t limit) {
  return {{as_system_call(), {&system_statements::forget_keys, {encode_timestamp(before), encode_limit(limit)}}}};
}

unit forget_processes(timestamp before) {
  return {{as_system_call(), {&system_statements::forget_processes, {encode_timestamp(before)}}}};
}

result<std::int64_t> decode_forgotten(const unit_outcome& outcome) {
  return decode_one(outcome);
}

} // namespace colloquy::db
