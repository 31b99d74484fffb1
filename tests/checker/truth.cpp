#include "tests/checker/truth.hpp"

#include "db/libpq_handles.hpp"

#include <cstdlib>

namespace colloquy::checker {
namespace {

using test::sql_error;

std::string columns(const std::vector<std::string>& values) {
  std::string row;
  for (const auto& value : values)
    row.append(row.empty() ? "" : "\t").append(value);
  return row + "\n";
}

/// tenant and id
std::string of_session(const std::string& session) {
  const auto slash = session.find('/');
  return session.substr(0, slash) + "\t" + session.substr(slash + 1);
}

std::string optional(const std::string& value) {
  return value.empty() ? "\\N" : value;
}

} // namespace

std::int64_t truth::count(const std::string& sql) {
  return std::atoll(connection_.value(sql).c_str());
}

void truth::copy(const std::string& table, const std::string& rows) {
  PGconn* const raw = connection_.raw();
  const db::result_ptr begun(PQexec(raw, ("COPY " + table + " FROM STDIN").c_str()));
  if (PQresultStatus(begun.get()) != PGRES_COPY_IN ||
      PQputCopyData(raw, rows.data(), static_cast<int>(rows.size())) != 1 || PQputCopyEnd(raw, nullptr) != 1)
    throw sql_error("", PQerrorMessage(raw));
  const db::result_ptr done(PQgetResult(raw));
  const bool is_in = PQresultStatus(done.get()) == PGRES_COMMAND_OK;
  while (db::result_ptr(PQgetResult(raw))) {
  }
  if (!is_in)
    throw sql_error("", PQresultErrorMessage(done.get()));
}

/// The evidence itself stays with us: what a broken server lost, it must not be able to lose here too.
void truth::say(const evidence& promised) {
  connection_.exec(
      "DROP TABLE IF EXISTS said_events, said_turns, said_sessions;"
      "CREATE TEMP TABLE said_events (tenant_id text COLLATE \"C\", session_id uuid, at bigint, digest text);"
      "CREATE TEMP TABLE said_turns (tenant_id text COLLATE \"C\", session_id uuid, id uuid, status text,"
      " input bigint, output bigint);"
      "CREATE TEMP TABLE said_sessions (tenant_id text COLLATE \"C\", id uuid, parent_id uuid, at bigint)");
  std::string events, turns, sessions;
  for (const auto& each : promised.events)
    events += columns({of_session(each.session), std::to_string(each.offset), each.digest});
  for (const auto& each : promised.turns)
    turns += columns(
        {of_session(each.session), each.turn, each.status, std::to_string(each.input), std::to_string(each.output)});
  for (const auto& each : promised.sessions)
    sessions += columns({of_session(each.session), optional(each.parent.substr(each.parent.find('/') + 1)),
                         std::to_string(each.offset)});
  copy("said_events", events);
  copy("said_turns", turns);
  copy("said_sessions", sessions);
  connection_.exec("ANALYZE said_events; ANALYZE said_turns; ANALYZE said_sessions");
}

/// The statement gives the rows that should not be, each as one text. Materialized, because for the first row alone
/// the planner would choose a plan that is slow for all of them, and mostly there is none.
void truth::look(const char* rule, const std::string& sql, std::vector<std::string>& found) {
  const auto rows = connection_.exec("WITH bad AS MATERIALIZED (" + sql +
                                     ") SELECT (SELECT count(*) FROM bad), bad.* FROM bad LIMIT 1");
  if (!rows.empty())
    found.push_back(std::string(rule) + ": " + rows.front().front() + " times, as " + rows.front().back());
}

/// A log is called as its session is. After a crash the server knows nothing of how large its tables are.
void truth::choose(std::optional<double> seconds) {
  const auto recent =
      seconds ? " WHERE created_at > clock_timestamp() - interval '" + std::to_string(*seconds) + " seconds'"
              : " UNION SELECT tenant_id, id FROM sessions";
  connection_.exec("ANALYZE sessions; ANALYZE events; ANALYZE turns; ANALYZE logs;"
                   "DROP TABLE IF EXISTS looked_at, written;"
                   "CREATE TEMP TABLE looked_at AS SELECT tenant_id, log_id AS id FROM events" +
                   recent +
                   " UNION SELECT tenant_id, session_id FROM said_events UNION SELECT tenant_id, session_id"
                   " FROM said_turns UNION SELECT tenant_id, id FROM said_sessions");
  connection_.exec("ANALYZE looked_at;"
                   "CREATE TEMP TABLE written AS SELECT e.tenant_id, e.log_id, e.\"offset\" AS at, e.messages,"
                   " CASE WHEN e.kind = 'message' THEN " +
                   digest_sql("e.data") +
                   " END AS digest FROM looked_at AS l"
                   " JOIN events AS e ON e.tenant_id = l.tenant_id AND e.log_id = l.id;"
                   "ANALYZE written");
}

std::vector<std::string> truth::faults(const evidence& promised, std::optional<double> seconds) {
  std::vector<std::string> found;
  say(promised);
  choose(seconds);
  look_at_promises(found);
  look_at_logs(found);
  look_at_turns(found);
  return found;
}

void truth::look_at_promises(std::vector<std::string>& found) {
  look("an event that was promised is not at its offset",
       "SELECT format('%s %s offset %s', s.tenant_id, s.session_id, s.at) FROM said_events AS s LEFT JOIN written AS w"
       " ON w.tenant_id = s.tenant_id AND w.log_id = s.session_id AND w.at = s.at"
       " WHERE s.at >= 0 AND s.digest IS DISTINCT FROM w.digest",
       found);
  look("a turn's last message that was promised is not in its log",
       "SELECT format('%s %s', s.tenant_id, s.session_id) FROM said_events AS s LEFT JOIN written AS w"
       " ON w.tenant_id = s.tenant_id AND w.log_id = s.session_id AND w.digest = s.digest"
       " WHERE s.at < 0 AND w.digest IS NULL",
       found);
  look("a session that was promised is not there, or no fork of what it was forked from",
       "SELECT format('%s %s', s.tenant_id, s.id) FROM said_sessions AS s"
       " LEFT JOIN sessions AS n ON n.tenant_id = s.tenant_id AND n.id = s.id"
       " WHERE n.id IS NULL OR n.log_id <> s.id OR n.parent_id IS DISTINCT FROM s.parent_id"
       " OR n.fork_offset IS DISTINCT FROM nullif(s.at, -1)",
       found);
  look("a turn is not as its answer was",
       "SELECT format('%s %s turn %s said %s, is %s', s.tenant_id, s.session_id, s.id, s.status, t.status)"
       " FROM said_turns AS s LEFT JOIN turns AS t ON t.tenant_id = s.tenant_id AND t.session_id = s.session_id"
       " AND t.id = s.id WHERE t.id IS NULL OR (s.status <> 'running' AND (t.status <> s.status"
       " OR coalesce(t.input_tokens, 0) <> s.input OR coalesce(t.output_tokens, 0) <> s.output))",
       found);
}

void truth::look_at_logs(std::vector<std::string>& found) {
  look("a log has a gap, or two events at one offset",
       "SELECT format('%s %s: %s events, %s to %s', w.tenant_id, w.log_id, count(*), min(w.at), max(w.at))"
       " FROM written AS w LEFT JOIN logs AS l ON l.tenant_id = w.tenant_id AND l.id = w.log_id"
       " GROUP BY w.tenant_id, w.log_id, l.fork_offset"
       " HAVING min(w.at) <> coalesce(l.fork_offset, -1) + 1 OR max(w.at) - min(w.at) + 1 <> count(*)"
       " OR count(DISTINCT w.at) <> count(*)",
       found);
  look("a log counts its messages wrongly",
       "SELECT format('%s %s offset %s', c.tenant_id, c.log_id, c.at) FROM (SELECT w.tenant_id, w.log_id, w.at,"
       " w.messages, coalesce(l.messages, 0) + count(w.digest)"
       " OVER (PARTITION BY w.tenant_id, w.log_id ORDER BY w.at) AS counted FROM written AS w"
       " LEFT JOIN logs AS l ON l.tenant_id = w.tenant_id AND l.id = w.log_id) AS c WHERE c.messages <> c.counted",
       found);
  look("an event is of no session",
       "SELECT format('%s %s', w.tenant_id, w.log_id) FROM (SELECT DISTINCT tenant_id, log_id FROM written) AS w"
       " WHERE NOT EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = w.tenant_id AND s.log_id = w.log_id)",
       found);
  look("a message was written twice",
       "SELECT min(tenant_id || ' ' || log_id || ' ' || at) FROM written WHERE digest IS NOT NULL"
       " GROUP BY digest HAVING count(*) > 1",
       found);
}

void truth::look_at_turns(std::vector<std::string>& found) {
  look("two turns of a session run at once",
       "SELECT format('%s %s', tenant_id, session_id) FROM turns WHERE status = 'running'"
       " GROUP BY tenant_id, session_id HAVING count(*) > 1",
       found);
  look("a session counts its turns or their tokens wrongly",
       "SELECT format('%s %s: %s turns and %s tokens, not %s and %s', s.tenant_id, s.id, s.turn_count, s.total_tokens,"
       " coalesce(t.turns, 0), coalesce(t.tokens, 0)) FROM sessions AS s LEFT JOIN (SELECT tenant_id, session_id,"
       " count(*) AS turns, sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS tokens FROM turns"
       " WHERE status IN ('completed', 'failed') GROUP BY tenant_id, session_id) AS t"
       " ON t.tenant_id = s.tenant_id AND t.session_id = s.id"
       " WHERE s.turn_count <> coalesce(t.turns, 0) OR s.total_tokens <> coalesce(t.tokens, 0)",
       found);
}

std::vector<line> truth::sessions(std::size_t newest) {
  std::vector<line> known;
  for (const auto& row : connection_.exec("SELECT n.name FROM (SELECT tenant_id || '/' || id AS name, created_at, id"
                                          " FROM sessions ORDER BY created_at DESC, id DESC LIMIT " +
                                          std::to_string(newest) + ") AS n ORDER BY n.created_at, n.id"))
    known.push_back({"session", {{"session", row[0]}}});
  return known;
}

/// Their leases go on if whoever granted them ended in order, and end with it otherwise.
std::vector<line> truth::running_turns(std::size_t limit) {
  std::vector<line> known;
  for (const auto& row : connection_.exec(
           "SELECT t.tenant_id || '/' || t.session_id, t.id,"
           " CASE WHEN p.ended_at IS NULL THEN 'lost' ELSE 'kept' END"
           " FROM turns AS t LEFT JOIN processes AS p ON p.process_id = t.process_id"
           " WHERE t.status = 'running' AND (p.ended_at IS NULL OR t.lease_expires_at > now() + interval '30 seconds')"
           " ORDER BY t.started_at DESC LIMIT " +
           std::to_string(limit)))
    known.push_back({"turn", {{"session", row[0]}, {"turn", row[1]}, {"expect", row[2]}}});
  return known;
}

} // namespace colloquy::checker
