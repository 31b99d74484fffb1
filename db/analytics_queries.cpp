#include "db/analytics_queries.hpp"

#include "db/row_reader.hpp"

#include <array>
#include <map>

namespace colloquy::db {
namespace {

// Ranges of time are found by bitmaps, and many sessions' rows are better hashed than looked up one by one.
constexpr statement plan_for_sums{
    "plan_for_sums",
    "SELECT set_config('enable_bitmapscan', 'on', true), set_config('enable_hashjoin', 'on', true)",
    {}};

// Every statement takes the same parameters: tenant, from, to, user, agent, now, and the width of a bucket.
constexpr oid sum_types[] = {oids::text, oids::timestamptz, oids::timestamptz, oids::text,
                             oids::text, oids::timestamptz, oids::text};

enum sums_kind : std::size_t { of_sessions, of_turns, of_turns_over_time, of_messages_over_time, kinds };
constexpr std::size_t filters = 4; // by user, by agent
constexpr const char* kind_names[] = {"sum_sessions_", "sum_turns_", "turns_over_time_", "messages_over_time_"};

std::string sql_of(std::size_t kind, bool by_user, bool by_agent) {
  const std::string named =
      std::string(by_user ? " AND s.user_id = $4" : "") + (by_agent ? " AND s.agent_id = $5" : "");
  const bool is_filtered = by_user || by_agent;
  const auto of_wanted = [&](const std::string& column, const std::string& in) {
    return is_filtered
               ? " AND " + column + " IN (SELECT s." + in + " FROM sessions AS s WHERE s.tenant_id = $1" + named + ")"
               : std::string{};
  };
  const std::string ended = " FROM turns AS t WHERE t.tenant_id = $1 AND t.ended_at >= $2 AND t.ended_at < $3" +
                            of_wanted("t.session_id", "id");
  const std::string took = "(extract(epoch FROM t.ended_at - t.started_at) * 1000000)";
  switch (kind) {
  case of_sessions:
    return "SELECT count(*) FILTER (WHERE s.lives AND s.status = 'active'),"
           " count(*) FILTER (WHERE s.lives AND s.status = 'paused'),"
           " count(*) FILTER (WHERE s.lives AND s.status = 'completed'), count(*) FILTER (WHERE NOT s.lives)"
           " FROM (SELECT s.status, s.status <> 'expired' AND (s.expires_at IS NULL OR s.expires_at > $6) AS lives"
           " FROM sessions AS s WHERE s.tenant_id = $1 AND s.created_at >= $2 AND s.created_at < $3" +
           named + ") AS s";
  case of_turns:
    return "SELECT count(*) FILTER (WHERE t.status = 'completed'), count(*) FILTER (WHERE t.status = 'failed'),"
           " count(*) FILTER (WHERE t.status NOT IN ('completed', 'failed')),"
           " coalesce(sum(t.input_tokens), 0)::bigint, coalesce(sum(t.output_tokens), 0)::bigint,"
           " coalesce(sum(" +
           took + "), 0)::bigint, coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY " + took +
           "::double precision), 0)::bigint, coalesce(max(" + took + "), 0)::bigint" + ended;
  case of_turns_over_time:
    return "SELECT date_bin($7::interval, t.ended_at, timestamptz 'epoch'), count(*)" + ended + " GROUP BY 1";
  default:
    return "SELECT date_bin($7::interval, e.created_at, timestamptz 'epoch'), count(*) FROM events AS e"
           " WHERE e.tenant_id = $1 AND e.created_at >= $2 AND e.created_at < $3 AND e.kind = 'message'" +
           of_wanted("e.log_id", "log_id") + " GROUP BY 1";
  }
}

struct sum_statements {
  static constexpr std::size_t count = kinds * filters;
  std::array<std::string, count> names;
  std::array<std::string, count> texts;
  std::array<statement, count> all;

  sum_statements() {
    for (std::size_t i = 0; i < count; ++i) {
      names[i] = kind_names[i / filters] + std::to_string(i % filters);
      texts[i] = sql_of(i / filters, i % 2 != 0, i % filters / 2 != 0);
      all[i] = {names[i].c_str(), texts[i].c_str(), sum_types};
    }
  }
  sum_statements(const sum_statements&) = delete;
};

/// Whose sessions are looked at: nobody's, if one user asks for another's.
std::optional<std::string> owner_of(const get_analytics& wanted) {
  if (wanted.as_user && wanted.user_id && *wanted.user_id != *wanted.as_user)
    return "";
  return wanted.as_user ? wanted.as_user : wanted.user_id;
}

bool is_short(const get_analytics& wanted) {
  return wanted.to - wanted.from <= std::chrono::hours{48};
}

} // namespace

unit read_analytics(const get_analytics& wanted, timestamp now) {
  static const sum_statements statements;
  const auto owner = owner_of(wanted);
  const std::vector<std::optional<std::string>> parameters{wanted.tenant.text(),
                                                           encode_timestamp(wanted.from),
                                                           encode_timestamp(wanted.to),
                                                           owner.value_or(""),
                                                           wanted.agent_id.value_or(""),
                                                           encode_timestamp(now),
                                                           std::string(is_short(wanted) ? "1 hour" : "1 day")};
  const std::size_t filter = (owner ? 1u : 0u) + (wanted.agent_id ? 2u : 0u);
  unit work{{tenant_call(wanted.tenant), {&plan_for_sums, {}}}};
  if (wanted.as_user)
    work.calls.push_back(user_call(*wanted.as_user)); // the database looks, too
  for (std::size_t kind = 0; kind < kinds; ++kind)
    work.calls.push_back({&statements.all[kind * filters + filter], parameters});
  return work;
}

result<analytics> decode_analytics(const get_analytics& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const std::size_t first = wanted.as_user ? 3 : 2; // behind the tenant, the planner's settings and the user
  if (outcome.results.size() != first + kinds)
    return error{error_code::internal, "the sums were not answered as they should be"};
  analytics sums;
  row_reader sessions(outcome.results[first + of_sessions], 0), turns(outcome.results[first + of_turns], 0);
  for (auto* count : {&sums.sessions_active, &sums.sessions_paused, &sums.sessions_completed, &sums.sessions_expired})
    *count = sessions.int8();
  for (auto* count :
       {&sums.turns_completed, &sums.turns_failed, &sums.turns_otherwise, &sums.input_tokens, &sums.output_tokens})
    *count = turns.int8();
  for (auto* time : {&sums.turn_time_sum, &sums.turn_time_median, &sums.turn_time_max})
    *time = std::chrono::microseconds{turns.int8()};
  std::map<timestamp, analytics_bucket> buckets;
  const auto add = [&](sums_kind kind, std::int64_t analytics_bucket::*count) {
    const auto& found = outcome.results[first + kind];
    for (int i = 0; i < found.count(); ++i)
      buckets[decode_timestamp(found.get(i, 0))].*count = decode_int8(found.get(i, 1));
  };
  add(of_turns_over_time, &analytics_bucket::turns);
  add(of_messages_over_time, &analytics_bucket::messages);
  for (auto& [from, bucket] : buckets) {
    bucket.from = from;
    sums.messages += bucket.messages;
    sums.over_time.push_back(bucket);
  }
  return sums;
}

} // namespace colloquy::db
