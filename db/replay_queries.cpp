#include "db/replay_queries.hpp"

#include "db/batch_calls.hpp"
#include "db/session_queries.hpp"
#include "db/system_statements.hpp"

#include <utility>

namespace colloquy::db {
namespace {

constexpr oid find_stored_types[] = {oids::text,       oids::uuid,      oids::int8_array, oids::timestamptz_array,
                                     oids::uuid_array, oids::text_array};
constexpr statement find_stored{"find_stored_events",
                                "SELECT j.place FROM unnest($3, $4, $5, $6) WITH ORDINALITY"
                                " AS j(position, created_at, turn_id, data, place)"
                                " JOIN events AS e ON e.tenant_id = $1 AND e.log_id = $2 AND e.\"offset\" = j.position"
                                " WHERE e.created_at = j.created_at AND e.turn_id IS NOT DISTINCT FROM j.turn_id"
                                " AND e.data = j.data",
                                find_stored_types};

} // namespace

unit find_stored_events(const tenant_id& tenant, log_id log, std::span<const event* const> events) {
  const auto count = events.size();
  array_builder offsets(oids::int8, count, count * 8), times(oids::timestamptz, count, count * 8),
      turns(oids::uuid, count, count * 16), data(oids::text, count, count * 64);
  for (const auto* each : events) {
    offsets.add_int8(each->offset);
    times.add_timestamp(each->created_at);
    add_or_null(turns, each->turn);
    data.add(each->data);
  }
  return {{tenant_call(tenant),
           {&find_stored,
            {tenant.text(), encode_uuid(log.bytes), std::move(offsets).finish(), std::move(times).finish(),
             std::move(turns).finish(), std::move(data).finish()}}}};
}

result<std::vector<std::size_t>> decode_stored_events(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  std::vector<std::size_t> places;
  for (int i = 0; i < found.count(); ++i)
    places.push_back(static_cast<std::size_t>(decode_int8(found.get(i, 0)) - 1)); // the server counts from 1
  return places;
}

unit find_erasure(const session_key& session) {
  return {
      {as_system_call(), {&system_statements::find_erasure, {session.tenant.text(), encode_uuid(session.id.bytes)}}}};
}

result<bool> decode_erasure_found(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  return outcome.results.back().count() > 0;
}

} // namespace colloquy::db
