// What a session must do again on another backend, and giving its backend away. See database_sessions.hpp for the
// rules.
#include "actors/database_sessions.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Past these a session is cheaper on a backend of its own.
constexpr std::size_t journal_entries_max = 200;
constexpr std::size_t journal_bytes_max = std::size_t{64} << 10;

constexpr auto replay_max = 10s;

// What is set to the second was read by what the first was then: a DateStyle adds to the last one.
constexpr std::pair<std::string_view, std::string_view> read_by_others[] = {
    {"datestyle", "datestyle"}, {"search_path", "default_text_search_config"}, {"intervalstyle", "timezone"}};

} // namespace

/// With what a prepared statement does, which EXECUTE only names.
db::sql_effects database_sessions::with_prepared(const session& of, db::sql_effects effects) const {
  if (effects.kind != db::sql_kind::execute)
    return effects;
  auto found = of.prepared.find(effects.name);
  if (found == of.prepared.end()) {
    if (effects.doubt.empty())
      effects.doubt = "it executes what was not prepared by a statement of its own";
    return effects;
  }
  if (effects.doubt.empty())
    effects.doubt = found->second.doubt;
  effects.writes = effects.writes || found->second.writes;
  effects.names.insert(found->second.names.begin(), found->second.names.end());
  return effects;
}

void database_sessions::note_effects(session& of, const db::sql_effects& effects, const std::string& sql,
                                     bool was_refused, sql_transaction_status before) {
  using db::sql_kind;
  // Its name is known to the backend from now on, whatever becomes of its value.
  if (effects.kind == sql_kind::set || effects.kind == sql_kind::set_local)
    of.has_own_names = of.has_own_names || effects.name.find('.') != std::string::npos;
  if (of.status == sql_transaction_status::idle)
    of.has_set_local = false;
  else if (effects.kind == sql_kind::set_local && effects.name != "transaction" && effects.name != "constraints")
    of.has_set_local = true;
  // If this is rolled back the session is pinned, and its own backend tells what it still hears.
  if (!was_refused && (effects.kind == sql_kind::unlisten || effects.kind == sql_kind::discard))
    stop_hearing(of, effects.name);
  if (!of.pin.empty())
    return;
  if (!effects.doubt.empty()) { // what was begun and failed may have left something all the same
    of.pin = effects.doubt;
    return;
  }
  if (was_refused)
    return;
  const bool in_transaction = before != sql_transaction_status::idle || of.status != sql_transaction_status::idle;
  const bool is_undone = effects.kind == sql_kind::set || effects.kind == sql_kind::listen ||
                         effects.kind == sql_kind::unlisten; // by a rollback
  if (in_transaction && is_undone) {
    of.pin = "it changed its session inside a transaction";
    return;
  }
  if (effects.kind == sql_kind::prepare && of.has_set_local) { // what was set is not in the journal
    of.pin = "it prepared a statement under a setting of the transaction";
    return;
  }
  if (effects.kind == sql_kind::set)
    note_setting(of, effects, sql);
  else if (effects.kind == sql_kind::prepare || effects.kind == sql_kind::deallocate)
    note_prepared(of, effects, sql);
  else if (effects.kind == sql_kind::listen) {
    forget_in_journal(of,
                      [&](const replayed& each) { return each.kind == sql_kind::listen && each.name == effects.name; });
    keep_in_journal(of, {sql_kind::listen, effects.name, sql});
  } else if (effects.kind == sql_kind::unlisten) {
    forget_in_journal(of, [&](const replayed& each) {
      return each.kind == sql_kind::listen && (effects.name.empty() || each.name == effects.name);
    });
  }
}

/// Whether the server found its fault while it read it. Then nothing that it names was run, but for what makes values
/// of its literals, which a domain of the tenant's can be behind.
bool database_sessions::ran_nothing(const db::sql_effects& effects, const sql_refusal& refused) {
  if (effects.kind == db::sql_kind::execute && refused.sqlstate == "26000")
    return true;
  if (refused.position <= 0 || refused.ended_the_session)
    return false;
  switch (effects.kind) {
  case db::sql_kind::query:
  case db::sql_kind::change:
  case db::sql_kind::prepare:
  case db::sql_kind::execute:
    return refused.sqlstate.starts_with("42");
  default:
    return refused.sqlstate == "42601"; // syntax_error
  }
}

void database_sessions::stop_hearing(session& of, const std::string& channel) {
  const auto channels = channel.empty() ? of.listens : std::set<std::string>{channel};
  for (const auto& each : channels)
    unlisten(of, each);
}

/// A setting that was in force when something was prepared stays in the journal: names in that were looked up by it. So
/// does one that another setting was read by.
void database_sessions::note_setting(session& of, const db::sql_effects& effects, const std::string& sql) {
  const auto is_setting = [&](const replayed& each) {
    if (each.kind != db::sql_kind::set)
      return false;
    if (each.name == "session characteristics" && !effects.name.empty())
      return each.sql == sql; // one name for several settings
    return effects.name.empty() || each.name == effects.name;
  };
  const auto is_set = [&](std::string_view name) {
    return std::any_of(of.journal.begin(), of.journal.end(),
                       [&](const auto& each) { return each.kind == db::sql_kind::set && each.name == name; });
  };
  const bool is_read_by_others =
      std::any_of(std::begin(read_by_others), std::end(read_by_others),
                  [&](const auto& each) { return each.first == effects.name && is_set(each.second); });
  const bool has_prepared = std::any_of(of.journal.begin(), of.journal.end(),
                                        [](const auto& each) { return each.kind == db::sql_kind::prepare; });
  if (!has_prepared && !is_read_by_others)
    forget_in_journal(of, is_setting);
  if (has_prepared || !effects.name.empty())
    keep_in_journal(of, {db::sql_kind::set, effects.name, sql});
}

void database_sessions::note_prepared(session& of, const db::sql_effects& effects, const std::string& sql) {
  if (effects.kind == db::sql_kind::prepare) {
    of.prepared[effects.name] = effects;
    return keep_in_journal(of, {db::sql_kind::prepare, effects.name, sql});
  }
  if (effects.name.empty())
    of.prepared.clear();
  else
    of.prepared.erase(effects.name);
  forget_in_journal(of, [&](const replayed& each) {
    return each.kind == db::sql_kind::prepare && (effects.name.empty() || each.name == effects.name);
  });
}

void database_sessions::keep_in_journal(session& of, replayed entry) {
  of.journal_bytes += entry.sql.size();
  of.journal.push_back(std::move(entry));
  if (of.journal.size() > journal_entries_max || of.journal_bytes > journal_bytes_max)
    of.pin = "it has more settings and prepared statements than are done again";
}

void database_sessions::forget_in_journal(session& of, const std::function<bool(const replayed&)>& which) {
  std::erase_if(of.journal, which);
  of.journal_bytes = 0;
  for (const auto& each : of.journal)
    of.journal_bytes += each.sql.size();
}

bool database_sessions::may_park(const session& of) const {
  return of.slot != 0 && of.is_at_rest() && why_pinned(of).empty();
}

void database_sessions::park(session& of) {
  ++counted_.parkings;
  free_slot(std::exchange(of.slot, 0), may_be_made_as_new(of));
}

/// A setting with a name of one's own leaves its name behind, whatever is discarded. What never parks is not looked
/// into.
bool database_sessions::may_be_made_as_new(const session& of) {
  return of.parking == database_parking::automatic && of.pin.empty() && of.cursor.empty() &&
         of.status == sql_transaction_status::idle && !of.has_own_names;
}

void database_sessions::replay(const std::string& id, std::size_t from) {
  auto* of = find_alive(id);
  if (!of || !of->current)
    return;
  if (of->slot == 0) { // lost between two of them
    of->lost.clear();
    return acquire(*of);
  }
  if (from >= of->journal.size())
    return run_statement(*of);
  if (from == 0)
    ++counted_.replays;
  run_sql wish;
  wish.what = std::make_shared<const db::caller_sql>(db::caller_sql{of->journal[from].sql, {}});
  wish.deadline = std::min(clock().now() + replay_max, of->current->deadline);
  const auto then = [this, id, from](const sql_told& told) {
    on_replayed(id, from, told.progress.refused ? &*told.progress.refused : nullptr);
  };
  request(slots_.at(of->slot).backend, replay_max + 60s, std::move(wish)).then(then, [then](const caf::error&) {
    sql_told told;
    told.progress.refused = sql_refusal{"08006", "the connection does not answer"};
    told.progress.refused->ended_the_session = true;
    then(told);
  });
}

void database_sessions::on_replayed(const std::string& id, std::size_t at, const sql_refusal* refused) {
  auto* of = find_alive(id);
  if (!refused)
    return replay(id, at + 1);
  if (!of || !of->current)
    return;
  const auto said = refused->message + " (SQLSTATE " + refused->sqlstate + ")";
  if (refused->sqlstate == "57014" && !refused->ended_the_session) { // a lock was in its way, say
    free_slot(std::exchange(of->slot, 0), may_be_made_as_new(*of));
    return answer_current(*of, error{error_code::deadline_exceeded, "what it had set or prepared could not be done "
                                                                    "again in time on another connection: " +
                                                                        said});
  }
  if (at >= of->journal.size() || of->journal[at].kind != db::sql_kind::prepare || refused->ended_the_session)
    return end_session(id, "what it had set or prepared could not be done again on another connection: " + said, false);
  const auto name = of->journal[at].name; // somebody has changed what it is about: only who executes it needs it
  of->journal_bytes -= of->journal[at].sql.size();
  of->journal.erase(of->journal.begin() + static_cast<std::ptrdiff_t>(at));
  of->prepared.erase(name);
  of->current->notices.push_back({"WARNING", refused->sqlstate,
                                  "the prepared statement " + name +
                                      " is forgotten: it could not be prepared again on "
                                      "another connection: " +
                                      refused->message});
  replay(id, at);
}

} // namespace colloquy::actors
