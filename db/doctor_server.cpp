#include "db/doctor_server.hpp"

#include "db/roles.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::db::doctor {
namespace {

constexpr int version_with_set_option = 160000;

constexpr const char* whose_backend = "SELECT pg_backend_pid()";

milliseconds milliseconds_of(std::int64_t count) {
  return milliseconds{count};
}

/// Of one connection, in two transactions, with the other connection's in between.
struct two_looks {
  std::int32_t first = 0;
  std::int32_t second = 0;
};

std::int32_t backend_of(session& connection, deadline until, std::optional<db_failure>& failure) {
  const auto answer = connection.query(whose_backend, {}, until);
  if (answer.failure && !failure)
    failure = answer.failure;
  return static_cast<std::int32_t>(answer.number_at(0, 0));
}

// Each in a transaction of its own, so that a pooler may give the backend away in between.
void compare_connections(session& one, session& other, deadline until, pooling_facts& facts) {
  two_looks of_one, of_other;
  of_one.first = facts.backend_pid;
  of_other.first = backend_of(other, until, facts.second_failure);
  if (facts.second_failure)
    return;
  of_one.second = backend_of(one, until, facts.failure);
  of_other.second = backend_of(other, until, facts.second_failure);
  if (facts.failure || facts.second_failure)
    return;
  facts.second_shares_backend = of_one.first == of_other.first || of_one.second == of_other.second;
  facts.backend_changes = of_one.first != of_one.second || of_other.first != of_other.second;
}

constexpr const char* version_sql = "SELECT current_setting('server_version'), pg_encoding_to_char(encoding),"
                                    " pg_is_in_recovery(), current_setting('default_transaction_read_only')"
                                    " FROM pg_database WHERE datname = current_database()";

std::string rights_sql(int server_version) {
  const std::string way = server_version >= version_with_set_option ? "SET" : "MEMBER";
  return "SELECT session_user, (SELECT rolsuper FROM pg_roles WHERE rolname = session_user), n.name, r.oid IS NOT NULL,"
         " r.oid IS NOT NULL AND pg_has_role(session_user, r.oid, '" +
         way +
         "') FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)"
         " LEFT JOIN pg_roles r ON r.rolname = n.name ORDER BY n.place";
}

/// PostgreSQL's text form of an array.
std::string array_text(const std::vector<std::string>& elements) {
  std::string out = "{";
  for (const auto& element : elements) {
    out += out.size() > 1 ? ",\"" : "\"";
    for (const char c : element) {
      if (c == '"' || c == '\\')
        out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + '}';
}

constexpr const char* apply_sql = "SELECT s.name, set_config(s.name, s.value, false)"
                                  " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s(name, value, place)"
                                  " ORDER BY s.place";
constexpr const char* read_back_sql = "SELECT s.name, current_setting(s.name)"
                                      " FROM unnest($1::text[]) WITH ORDINALITY AS s(name, place) ORDER BY s.place";

// The login's own view: as the service's role it would not see the state of its own sessions.
constexpr const char* usage_sql =
    "SELECT coalesce(state, 'not visible'), count(*),"
    " coalesce(max(extract(epoch FROM clock_timestamp() - state_change)) * 1000, 0)::bigint,"
    " coalesce(max(extract(epoch FROM clock_timestamp() - backend_start)) * 1000, 0)::bigint,"
    " count(*) FILTER (WHERE clock_timestamp() - backend_start > interval '1 hour'),"
    " count(*) FILTER (WHERE datname = current_database()"
    " AND (pid = pg_backend_pid() OR application_name = $1 OR starts_with(application_name, $1 || ' ')))"
    " FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " OR (backend_type IS NULL AND datname IS NOT NULL) GROUP BY 1 ORDER BY 2 DESC, 1";
constexpr const char* limits_sql =
    "SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections'),"
    " coalesce(nullif(current_setting('reserved_connections', true), ''), '0'),"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user),"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database())";

void read_limits(const text_answer& limits, usage_facts& facts) {
  facts.max_connections = limits.number_at(0, 0);
  facts.superuser_reserved = limits.number_at(0, 1);
  facts.reserved = limits.number_at(0, 2);
  facts.role_limit = limits.number_at(0, 3);
  facts.database_limit = limits.number_at(0, 4);
}

void read_states(const text_answer& found, usage_facts& facts) {
  for (std::size_t row = 0; row < found.rows.size(); ++row) {
    usage_facts::of_state state{found.at(row, 0), found.number_at(row, 1), milliseconds_of(found.number_at(row, 2))};
    facts.used += state.count;
    facts.oldest = std::max(facts.oldest, milliseconds_of(found.number_at(row, 3)));
    facts.long_lived += found.number_at(row, 4);
    facts.ours += found.number_at(row, 5);
    if (state.state.starts_with("idle in transaction")) {
      facts.idle_in_transaction += state.count;
      facts.idle_in_transaction_longest = std::max(facts.idle_in_transaction_longest, state.longest);
    }
    facts.states.push_back(std::move(state));
  }
}

} // namespace

login_facts describe_login(const session& connection, milliseconds took) {
  if (connection.failure())
    return {connection.failure(), "", "", false, took};
  return {std::nullopt, connection.user(), connection.database(), connection.uses_tls(), took};
}

pooling_facts look_at_pooling(session& connection, const std::string& conninfo, bool is_embedded, milliseconds limit) {
  const auto until = in(limit);
  pooling_facts facts;
  facts.host = connection.host();
  facts.port = connection.port();
  facts.reported_pid = connection.reported_pid();
  const auto user = connection.user();
  facts.backend_pid = backend_of(connection, until, facts.failure);
  if (facts.failure)
    return facts;
  facts.kind =
      is_embedded ? endpoint_kind::embedded : guess_kind(facts.host, user, facts.reported_pid, facts.backend_pid);
  // A pool that is full keeps the second one waiting: time is left for the first one's second look.
  const auto until_second = in(std::max(milliseconds{1}, limit * 3 / 5));
  session other(conninfo, until_second);
  facts.second_failure = other.failure();
  if (!facts.second_failure)
    compare_connections(connection, other, until_second, facts);
  return facts;
}

version_facts look_at_version(session& connection, milliseconds limit) {
  version_facts facts;
  facts.number = connection.server_version();
  const auto found = connection.query(version_sql, {}, in(limit));
  facts.failure = found.failure;
  facts.text = found.at(0, 0);
  facts.encoding = found.at(0, 1);
  facts.in_recovery = found.at(0, 2) == "t";
  facts.read_only = found.at(0, 3) == "on";
  return facts;
}

rights_facts look_at_rights(session& connection, milliseconds limit) {
  rights_facts facts;
  const auto found = connection.query(rights_sql(connection.server_version()),
                                      {array_text({std::string(service_role), std::string(system_role)})}, in(limit));
  facts.failure = found.failure;
  facts.login = found.at(0, 0);
  facts.is_superuser = found.at(0, 1) == "t";
  for (std::size_t row = 0; row < found.rows.size(); ++row)
    facts.roles.push_back({found.at(row, 2), found.at(row, 3) == "t", found.at(row, 4) == "t"});
  return facts;
}

settings_facts try_settings(session& connection, const connection_target& target, milliseconds limit) {
  const auto until = in(limit);
  settings_facts facts;
  std::vector<std::string> names, values;
  for (const auto& [name, value] : target.settings) {
    names.push_back(name);
    values.push_back(value);
  }
  const auto applied = connection.query(apply_sql, {array_text(names), array_text(values)}, until);
  const auto read = applied.failure ? text_answer{} : connection.query(read_back_sql, {array_text(names)}, until);
  facts.failure = applied.failure ? applied.failure : read.failure;
  for (std::size_t row = 0; row < names.size() && !facts.failure; ++row)
    facts.settings.push_back({names[row], values[row], applied.at(row, 1), read.at(row, 1)});
  connection.query("DISCARD ALL", {}, until); // the next probes are the login's own
  return facts;
}

clock_facts compare_clocks(session& connection, milliseconds limit) {
  clock_facts facts;
  const auto before = std::chrono::system_clock::now();
  const auto asked = std::chrono::steady_clock::now();
  const auto answer = connection.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", {}, in(limit));
  const auto round_trip = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - asked);
  facts.failure = answer.failure;
  facts.uncertainty = round_trip / 2;
  const auto ours = std::chrono::duration_cast<milliseconds>(before.time_since_epoch()) + round_trip / 2;
  facts.ahead = milliseconds_of(answer.number_at(0, 0)) - ours;
  return facts;
}

usage_facts look_at_usage(session& connection, const std::string& application, milliseconds limit) {
  const auto until = in(limit);
  usage_facts facts;
  const auto limits = connection.query(limits_sql, {}, until);
  const auto states = limits.failure ? text_answer{} : connection.query(usage_sql, {application}, until);
  facts.failure = limits.failure ? limits.failure : states.failure;
  if (facts.failure)
    return facts;
  read_limits(limits, facts);
  read_states(states, facts);
  return facts;
}

} // namespace colloquy::db::doctor
