// Pages of sessions: filtered, then cut, each by the index that fits what is asked for.
#include "db/row_reader.hpp"

#include <algorithm>
#include <array>

namespace colloquy::db {
namespace {

// Every statement takes the same parameters: tenant, user, agent, status, now, the cursor's time and id, the limit, in
// whose name it is asked, a label, and all labels.
constexpr oid list_types[] = {oids::text, oids::text, oids::text, oids::text, oids::timestamptz, oids::timestamptz,
                              oids::uuid, oids::int8, oids::text, oids::text, oids::text_array};

enum class status_filter : std::size_t { any, as_stored, expired };
constexpr std::size_t variants = 2 * 2 * 3 * 2 * 2;

constexpr const char* in_order = " AND (s.created_at, s.id) < ($6, $7) ORDER BY s.created_at DESC, s.id DESC LIMIT $8";

/// The rows that one walk of an index finds, newest first.
std::string walk(const std::string& where) {
  return "SELECT s.* FROM sessions AS s WHERE s.tenant_id = $1" + where + in_order;
}

/// What others share with a user is found by their participation, each session by its key: OFFSET 0 keeps the planner
/// from going through all sessions of the tenant, newest first, to ask of each whether it is shared.
std::string shared(const std::string& where) {
  return "SELECT s.* FROM participants AS p, LATERAL (SELECT o.* FROM sessions AS o WHERE o.tenant_id = p.tenant_id"
         " AND o.id = p.session_id OFFSET 0) AS s"
         " WHERE p.tenant_id = $1 AND p.user_id = $9 AND s.user_id <> $9" +
         where + in_order;
}

/// Found by the first label, in the order of the page; each session by its key, and its other labels looked at there.
std::string labelled(const std::string& where) {
  return "SELECT s.* FROM session_labels AS k, LATERAL (SELECT o.* FROM sessions AS o WHERE o.tenant_id = k.tenant_id"
         " AND o.id = k.session_id OFFSET 0) AS s WHERE k.tenant_id = $1 AND k.label = $10 AND s.labels @> $11" +
         where + " AND (k.created_at, k.session_id) < ($6, $7) ORDER BY k.created_at DESC, k.session_id DESC LIMIT $8";
}

std::string found_by(const std::string& where, bool by_asker, bool by_label) {
  if (by_label)
    return "(" + labelled(where + (by_asker ? " AND (s.user_id = $9 OR takes_part(s.tenant_id, s.id, $9))" : "")) + ")";
  return by_asker ? "(" + walk(" AND s.user_id = $9" + where) + ") UNION ALL (" + shared(where) + ")"
                  : "(" + walk(where) + ")";
}

/// What is overdue counts as expired before it is marked. Few are, of all tenants; the index of their expiry finds
/// them, and coalesce() keeps the planner from another one.
std::string overdue(bool by_user, bool by_agent, bool by_asker, bool by_label) {
  return std::string("SELECT s.* FROM sessions AS s WHERE s.status <> 'expired' AND s.expires_at <= $5"
                     " AND coalesce(s.tenant_id, '') = $1") +
         (by_user ? " AND coalesce(s.user_id, '') = $2" : "") + (by_agent ? " AND coalesce(s.agent_id, '') = $3" : "") +
         (by_asker ? " AND (coalesce(s.user_id, '') = $9 OR takes_part(s.tenant_id, s.id, $9))" : "") +
         (by_label ? " AND s.labels @> $11" : "") + " AND (s.created_at, s.id) < ($6, $7)";
}

std::string sql_of(bool by_user, bool by_agent, status_filter status, bool by_asker, bool by_label) {
  const std::string named =
      std::string(by_user ? " AND s.user_id = $2" : "") + (by_agent ? " AND s.agent_id = $3" : "");
  std::string found;
  if (status == status_filter::any)
    found = found_by(named, by_asker, by_label);
  else if (status == status_filter::as_stored)
    found = found_by(named + " AND s.status = $4 AND (s.expires_at IS NULL OR s.expires_at > $5)", by_asker, by_label);
  else
    found = found_by(named + " AND s.status = 'expired'", by_asker, by_label) + " UNION ALL (" +
            overdue(by_user, by_agent, by_asker, by_label) + ")";
  return "SELECT s.id, " COLLOQUY_RECORD_COLUMNS " FROM (" + found +
         ") AS s" COLLOQUY_LAST_EVENT
         " WHERE ($2::text, $3::text, $4::text, $5::timestamptz, $9::text, $10::text, $11::text[])"
         " IS NOT NULL OR true ORDER BY s.created_at DESC, s.id DESC LIMIT $8";
}

struct list_statements {
  std::array<std::string, variants> names;
  std::array<std::string, variants> texts;
  std::array<statement, variants> all;

  list_statements() {
    for (std::size_t i = 0; i < variants; ++i) {
      names[i] = "list_sessions_" + std::to_string(i);
      texts[i] =
          sql_of(i % 2 != 0, i / 2 % 2 != 0, static_cast<status_filter>(i / 4 % 3), i / 12 % 2 != 0, i / 24 != 0);
      all[i] = {names[i].c_str(), texts[i].c_str(), list_types};
    }
  }
  list_statements(const list_statements&) = delete;
};

const statement& statement_for(const list_sessions& wanted) {
  static const list_statements statements;
  auto status = status_filter::any;
  if (wanted.status)
    status = *wanted.status == session_status::expired ? status_filter::expired : status_filter::as_stored;
  return statements
      .all[(wanted.user_id ? 1u : 0u) + (wanted.agent_id ? 2u : 0u) + 4 * static_cast<std::size_t>(status) +
           (wanted.as_user ? 12u : 0u) + (wanted.labels.empty() ? 0u : 24u)];
}

/// Where a page ended.
struct place {
  timestamp created_at = timestamp::max();
  session_id id{};
};

// 16 hexadecimal digits of the time, and the id's text.
constexpr std::size_t time_digits = 16;
constexpr const char* digits = "0123456789abcdef";

std::string to_cursor(const place& at) {
  auto time = static_cast<std::uint64_t>(at.created_at.time_since_epoch().count());
  std::string out(time_digits, '0');
  for (auto digit = out.rbegin(); digit != out.rend(); ++digit, time >>= 4)
    *digit = digits[time & 15];
  return out + at.id.to_string();
}

std::optional<place> from_cursor(std::string_view text) {
  std::uint64_t time = 0;
  if (text.size() <= time_digits)
    return std::nullopt;
  for (const char c : text.substr(0, time_digits)) {
    const auto value = std::string_view(digits).find(c);
    if (value == std::string_view::npos)
      return std::nullopt;
    time = time << 4 | value;
  }
  const auto id = session_id::parse(text.substr(time_digits));
  const place found{timestamp{std::chrono::microseconds{static_cast<std::int64_t>(time)}}, id.value_or(session_id{})};
  if (!id || to_cursor(found) != text)
    return std::nullopt;
  return found;
}

// What PostgreSQL's timestamps end before, and every session of ours.
constexpr timestamp end_of_time{std::chrono::sys_days{std::chrono::year{9999} / 12 / 31}};

} // namespace

result<unit> list_sessions_page(const list_sessions& wanted, timestamp now) {
  place from{end_of_time, {}};
  if (!wanted.cursor.empty()) {
    const auto given = from_cursor(wanted.cursor);
    if (!given || given->created_at > end_of_time || given->created_at < timestamp{})
      return error{error_code::invalid_request, "the cursor is not one that a page of sessions ended with"};
    from = *given;
  }
  const auto limit = static_cast<std::int64_t>(wanted.limit) + 1; // one more tells whether there is a next page
  unit work{{tenant_call(wanted.tenant)}};
  if (wanted.as_user)
    work.calls.push_back(user_call(*wanted.as_user)); // the database looks, too
  array_builder labels(oids::text, wanted.labels.size(), 0);
  for (const auto& label : wanted.labels)
    labels.add(label);
  work.calls.push_back(
      {&statement_for(wanted),
       {wanted.tenant.text(), wanted.user_id.value_or(""), wanted.agent_id.value_or(""),
        std::string(to_string(wanted.status.value_or(session_status::active))), encode_timestamp(now),
        encode_timestamp(from.created_at), encode_uuid(from.id.bytes), encode_int8(limit), wanted.as_user.value_or(""),
        wanted.labels.empty() ? "" : wanted.labels.front(), std::move(labels).finish()}});
  return work;
}

result<session_page> decode_session_page(const list_sessions& wanted, timestamp now, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  session_page page;
  for (int i = 0; i < found.count() && page.sessions.size() < wanted.limit; ++i) {
    row_reader row(found, i);
    const session_id id{row.uuid()};
    auto record = read_record({wanted.tenant, id}, row);
    if (record.expires_at && *record.expires_at <= now)
      record.status = session_status::expired;
    page.sessions.push_back(std::move(record));
  }
  if (static_cast<std::size_t>(found.count()) > wanted.limit && !page.sessions.empty())
    page.next_cursor = to_cursor({page.sessions.back().created_at, page.sessions.back().key.id});
  return page;
}

} // namespace colloquy::db
