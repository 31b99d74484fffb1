#include "tests/checker/sabotage.hpp"

#include "tests/checker/truth.hpp"

#include <algorithm>
#include <cstdlib>

namespace colloquy::checker {
namespace {

struct harm {
  std::string name;
  std::string sql; ///< changes a row at least
};

std::string where(const std::string& session, const std::string& name = "id") {
  const auto slash = session.find('/');
  return "tenant_id = '" + session.substr(0, slash) + "' AND " + name + " = '" + session.substr(slash + 1) + "'";
}

/// The log of a session is called as the session is.
std::string at_offset(const said_event& event, std::int64_t offset) {
  return where(event.session, "log_id") + " AND \"offset\" = " + std::to_string(offset);
}

template <class Items, class Condition>
typename Items::value_type any(const Items& items, Condition condition) {
  const auto at = std::find_if(items.begin(), items.end(), condition);
  return at == items.end() ? typename Items::value_type{} : *at;
}

std::vector<harm> all_harm(const evidence& promised) {
  const auto event = any(promised.events, [](const auto& each) { return each.offset > 0; });
  const auto ended = any(promised.turns, [](const auto& each) { return each.status == "completed"; });
  const auto fork = any(promised.sessions, [](const auto& each) { return !each.parent.empty(); });
  const auto turn = where(ended.session, "session_id") + " AND id = '" + ended.turn + "'";
  return {
      {"an event is lost, and all behind it", "DELETE FROM events WHERE " + where(event.session, "log_id") +
                                                  " AND \"offset\" >= " + std::to_string(event.offset)},
      {"an event in the middle is lost",
       "DELETE FROM events WHERE " + at_offset(event, event.offset - 1) + " OR " + at_offset(event, event.offset)},
      {"an event is another", "UPDATE events SET data = data || ' ' WHERE " + at_offset(event, event.offset)},
      {"an event is one further", "UPDATE events SET \"offset\" = \"offset\" + 1000000 WHERE " +
                                      where(event.session, "log_id") +
                                      " AND \"offset\" >= " + std::to_string(event.offset)},
      {"an append was done twice",
       "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, role, data, messages)"
       " SELECT tenant_id, log_id, (SELECT max(\"offset\") + 1 FROM events WHERE " +
           where(event.session, "log_id") +
           "), created_at, kind, role, data, (SELECT max(messages) + 1 FROM events WHERE " +
           where(event.session, "log_id") + ") FROM events WHERE " + at_offset(event, event.offset)},
      {"a session is lost", "DELETE FROM sessions WHERE " + where(event.session)},
      {"a fork is none", "UPDATE sessions SET parent_id = NULL, fork_offset = NULL WHERE " + where(fork.session)},
      {"a turn is lost", "DELETE FROM turns WHERE " + turn},
      {"a turn ended otherwise", "UPDATE turns SET status = 'lost' WHERE " + turn},
      {"a turn's usage is another", "UPDATE turns SET input_tokens = input_tokens + 1 WHERE " + turn},
      {"two turns run", "INSERT INTO turns (tenant_id, session_id, number, id, status, started_at)"
                        " SELECT tenant_id, session_id, n, gen_random_uuid(), 'running', now()"
                        " FROM turns, generate_series(1000001, 1000002) AS n WHERE " +
                            turn},
      {"a turn was counted twice", "UPDATE sessions SET turn_count = turn_count + 1 WHERE " + where(ended.session)},
      {"tokens were counted twice",
       "UPDATE sessions SET total_tokens = total_tokens + 1 WHERE " + where(ended.session)},
  };
}

} // namespace

std::vector<std::string> unseen_harm(const std::string& conninfo, const evidence& promised) {
  std::vector<std::string> unseen;
  for (const auto& each : all_harm(promised)) {
    truth database(conninfo);
    database.text("BEGIN");
    const auto changed =
        std::atoi(database.text("WITH changed AS (" + each.sql + " RETURNING 1) SELECT count(*) FROM changed").c_str());
    if (changed == 0)
      unseen.push_back(each.name + ": there is nothing to try it on");
    else if (database.faults(promised).empty())
      unseen.push_back(each.name + ": not seen");
    database.text("ROLLBACK");
  }
  return unseen;
}

} // namespace colloquy::checker
