// A statement, from its request to its answer. See database_sessions.hpp for the rules.
#include "actors/database_sessions.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// The backend keeps the deadline itself; who waits this much longer only guards against an actor that is gone.
constexpr auto backend_answer_margin = 60s;

// It waits for no lock of anybody's; a statement is not told much later for it.
constexpr auto lookup_max = 2s;

constexpr std::size_t type_names_max = 10'000;

constexpr const char* read_only_sqlstate = "25006"; // read_only_sql_transaction
constexpr const char* cancelled_sqlstate = "57014"; // query_canceled

const error needs_write{error_code::forbidden,
                        "this database session has access read_write, and needs a key or token with the scope write"};

const error too_late{error_code::deadline_exceeded, "its time was over before it was begun (timeout_s)"};

std::optional<error> why_refused(const execute_sql& request) {
  const auto refuse = [](std::string why) { return error{error_code::invalid_request, std::move(why)}; };
  if (request.sql.empty() == request.cursor.empty())
    return refuse("either sql or cursor is needed, and not both");
  if (request.sql.size() > limits::sql_bytes_max)
    return refuse("sql has " + std::to_string(request.sql.size()) + " bytes; " + std::to_string(limits::sql_bytes_max) +
                  " are allowed");
  if (request.sql.find('\0') != std::string::npos)
    return refuse("sql has a NUL character in it");
  if (request.parameters.size() > limits::sql_parameters_max)
    return refuse("params has " + std::to_string(request.parameters.size()) + " values; " +
                  std::to_string(limits::sql_parameters_max) + " are allowed");
  if (!request.cursor.empty() && !request.parameters.empty())
    return refuse("params belong to a statement, and not to a cursor");
  for (std::size_t i = 0; i < request.parameters.size(); ++i)
    if (request.parameters[i].value.find('\0') != std::string::npos)
      return refuse("params[" + std::to_string(i) + "] has a NUL character in it");
  if (request.rows_max < 1 || request.rows_max > limits::sql_rows_max)
    return refuse("max_rows is " + std::to_string(request.rows_max) + "; 1 to " + std::to_string(limits::sql_rows_max) +
                  " are allowed");
  if (request.bytes_max < limits::sql_result_bytes_min || request.bytes_max > limits::sql_result_bytes_max)
    return refuse("max_bytes is " + std::to_string(request.bytes_max) + "; " +
                  std::to_string(limits::sql_result_bytes_min) + " to " + std::to_string(limits::sql_result_bytes_max) +
                  " are allowed");
  if (request.timeout < 1ms || request.timeout > limits::sql_timeout_max)
    return refuse("timeout_s is " + std::to_string(request.timeout.count() / 1000) + "; up to " +
                  std::to_string(limits::sql_timeout_max.count()) + " are allowed");
  return std::nullopt;
}

sql_refusal cancelled_before() {
  sql_refusal refused{cancelled_sqlstate, "it was cancelled before it was begun"};
  refused.was_cancelled = true;
  return refused;
}

} // namespace

database_sessions::sql_promise database_sessions::execute(execute_sql& request) {
  auto answer = make_response_promise<result<sql_outcome>>();
  const auto refuse = [&](error why) {
    answer.deliver(result<sql_outcome>(std::move(why)));
    return answer;
  };
  auto found = find(request.owner, request.id);
  if (!found)
    return refuse(found.failure());
  if (auto problem = why_refused(request))
    return refuse(std::move(*problem));
  auto& of = **found;
  if (of.access == database_access::read_write && !request.may_write)
    return refuse(needs_write);
  if (of.queue.size() >= limits::database_session_queue_max)
    return refuse({error_code::overloaded,
                   "the database session has " + std::to_string(of.queue.size()) + " statements that wait", 1000ms});
  of.last_use = clock().now();
  const auto deadline = of.last_use + request.timeout;
  of.queue.push_back({answer, std::move(request), deadline, {}});
  work(of);
  return answer;
}

void database_sessions::work(session& of) {
  while (!of.current && !of.queue.empty()) {
    of.current = std::move(of.queue.front());
    of.queue.pop_front();
    of.tries = 0;
    begin(of);
  }
}

/// Those that wait behind another one, which may have a longer time than theirs.
void database_sessions::refuse_late(session& of, time_point now) {
  std::erase_if(of.queue, [now](sql_call& call) {
    const bool is_late = now >= call.deadline;
    if (is_late)
      call.answer.deliver(result<sql_outcome>(too_late));
    return is_late;
  });
}

void database_sessions::begin(session& of) {
  auto& call = *of.current;
  if (clock().now() >= call.deadline)
    return answer_current(of, too_late);
  if (!call.request.cursor.empty()) {
    if (call.request.cursor != of.cursor || of.slot == 0)
      return answer_current(of, error{error_code::invalid_request,
                                      "the cursor is not (or no longer) one of this session: only the last reply's is, "
                                      "until another statement runs"});
    return run_statement(of);
  }
  call.effects = with_prepared(of, db::judge(call.request.sql));
  if (of.access == database_access::read_only && !db::may_be_read_only(call.effects.kind)) {
    sql_refusal refused{read_only_sqlstate,
                        "a read_only database session takes queries, and what is about its own session: SELECT, WITH, "
                        "VALUES, TABLE, SHOW, EXPLAIN, SET, PREPARE, LISTEN, BEGIN and the like"};
    refused.hint = "Open a database session with access read_write.";
    ++counted_.refused;
    return answer_current(of, not_begun(of, std::move(refused)));
  }
  if (of.slot == 0)
    return acquire(of);
  run_statement(of);
}

result<sql_cancelled> database_sessions::cancel(const cancel_sql& request) {
  auto found = find(request.owner, request.id);
  if (!found)
    return found.failure();
  auto& of = **found;
  const auto is_meant = [&](const sql_call& call) {
    return request.number != 0 && call.request.number == request.number;
  };
  if (of.current && is_meant(*of.current)) {
    if (of.current->is_sent) {
      if (of.slot != 0)
        send(slots_.at(of.slot).backend, cancel_running_sql{});
    } else if (of.waits) {
      leave_line(of);
      answer_cancelled(of);
    } else {
      of.current->is_cancelled = true; // what it waits for comes to run_statement()
    }
    return sql_cancelled{};
  }
  const auto waiting = std::find_if(of.queue.begin(), of.queue.end(), is_meant);
  if (waiting == of.queue.end())
    return error{error_code::not_found, "there is no such statement in the database session (any more)"};
  auto answer = std::move(waiting->answer);
  of.queue.erase(waiting);
  ++counted_.cancelled;
  answer.deliver(result<sql_outcome>(not_begun(of, cancelled_before())));
  return sql_cancelled{};
}

sql_outcome database_sessions::not_begun(const session& of, sql_refusal why) const {
  sql_outcome outcome;
  outcome.refused = std::move(why);
  outcome.transaction_status = of.status;
  outcome.pinned = why_pinned(of);
  return outcome;
}

void database_sessions::answer_cancelled(session& of) {
  ++counted_.cancelled;
  answer_current(of, not_begun(of, cancelled_before()));
}

void database_sessions::run_statement(session& of) {
  auto& call = *of.current;
  if (call.is_cancelled)
    return answer_cancelled(of);
  call.is_sent = true;
  const auto& request = call.request;
  const db::row_limits wanted{request.rows_max, request.bytes_max};
  const auto id = of.id;
  const auto then = [this, id](const sql_told& told) { on_told(id, told); };
  const auto lost = [this, id](const caf::error&) {
    sql_told told;
    told.progress.refused = sql_refusal{"08006", "the connection does not answer"};
    told.progress.refused->ended_the_session = true;
    on_told(id, told);
  };
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::max(call.deadline - clock().now(), decltype(call.deadline - clock().now()){}));
  const auto& backend = slots_.at(of.slot).backend;
  ++counted_.statements;
  if (!request.cursor.empty()) {
    this->request(backend, limit + backend_answer_margin, go_on_with_sql{wanted, call.deadline}).then(then, lost);
    return;
  }
  run_sql wish;
  wish.what = std::make_shared<const db::caller_sql>(db::caller_sql{request.sql, request.parameters});
  wish.limits = wanted;
  wish.deadline = call.deadline;
  this->request(backend, limit + backend_answer_margin, std::move(wish)).then(then, lost);
}

void database_sessions::on_told(const std::string& id, const sql_told& told) {
  auto* of = find_alive(id);
  if (!of || !of->current)
    return;
  auto kept = std::make_shared<sql_told>(told);
  const auto& refused = kept->progress.refused;
  counted_.refused += refused ? 1 : 0;
  counted_.cancelled += refused && refused->was_cancelled ? 1 : 0;
  counted_.terminated += kept->was_terminated ? 1 : 0;
  if (refused && refused->ended_the_session) {
    // Told with the outcome, and again to whoever comes after.
    const auto why = kept->was_terminated ? "a statement obeyed no cancel, and its connection was ended"
                                          : "its connection was lost: " + refused->message;
    auto outcome = outcome_of(*of, *kept); // takes the message
    answer_current(*of, std::move(outcome));
    return end_session(id, why, false);
  }
  const bool goes_on = !of->current->request.cursor.empty();
  const auto before = of->status;
  of->status = kept->progress.has_more ? sql_transaction_status::active : kept->status;
  of->cursor.clear();
  if (!goes_on && refused && ran_nothing(of->current->effects, *refused)) {
    auto& effects = of->current->effects;
    effects.doubt.clear();
    effects.names.clear();
    effects.writes = false;
  }
  if (!goes_on)
    note_effects(*of, of->current->effects, of->current->request.sql, refused.has_value(), before);
  const bool is_heard = !goes_on && !refused && of->current->effects.kind == db::sql_kind::listen && of->pin.empty();
  if (is_heard && !may_listen(*of, of->current->effects.name))
    of->pin = "it, or its tenant, listens to more channels than are heard for it while it is parked";
  else if (is_heard)
    return listen(*of, of->current->effects.name, [this, id, kept] {
      if (auto* still = find_alive(id); still && still->current)
        look_at_hazards(*still, kept);
    });
  look_at_hazards(*of, kept);
}

/// What the tenant's own objects may have done behind the statement's back. Looked at anew each time: somebody may have
/// made them a moment ago.
void database_sessions::look_at_hazards(session& of, const std::shared_ptr<sql_told>& told) {
  const auto& effects = of.current->effects;
  const bool matters = of.parking == database_parking::automatic && of.pin.empty() &&
                       of.current->request.cursor.empty() && !effects.touches_nothing &&
                       (effects.kind == db::sql_kind::query || effects.kind == db::sql_kind::change ||
                        effects.kind == db::sql_kind::prepare || effects.kind == db::sql_kind::execute);
  if (!matters)
    return look_at_types(of, told);
  auto login = logins_.find(of.owner.tenant.text());
  if (login == logins_.end() || !login->second.logins) { // they are being made anew
    of.pin = "what the tenant's own objects do could not be looked up";
    return look_at_types(of, told);
  }
  run_unit unit{db::read_database_hazards(*login->second.logins, of.access)};
  unit.purpose = "database hazards";
  unit.deadline = clock().now() + lookup_max;
  unit.idempotent = true;
  const auto finish = [this, id = of.id, told](const db::unit_outcome& outcome) {
    auto* still = find_alive(id);
    if (!still || !still->current)
      return;
    still->pin = db::doubt_about(still->current->effects, db::decode_database_hazards(outcome));
    look_at_types(*still, told);
  };
  this->request(pool_, lookup_max + pool_answer_margin, std::move(unit)).then(finish, [finish](const caf::error&) {
    finish({{}, db::db_failure{db::failure_kind::wait, "", "the pool does not answer"}});
  });
}

void database_sessions::look_at_types(session& of, const std::shared_ptr<sql_told>& told) {
  std::vector<db::column_type_key> unknown;
  for (const auto& column : told->progress.columns)
    if (const db::column_type_key key{column.type, column.modifier}; !type_names_.contains(key))
      unknown.push_back(key);
  if (unknown.empty())
    return conclude(of.id, told);
  if (type_names_.size() >= type_names_max)
    type_names_.clear();
  run_unit unit{db::read_type_names(unknown)};
  unit.purpose = "type names";
  unit.deadline = clock().now() + lookup_max;
  unit.idempotent = true;
  const auto finish = [this, id = of.id, told](const db::unit_outcome& outcome) {
    for (auto& [key, name] : db::decode_type_names(outcome))
      if (name != "???") // of a transaction that is not committed, for one
        type_names_[key] = name;
    conclude(id, told);
  };
  this->request(pool_, lookup_max + pool_answer_margin, std::move(unit)).then(finish, [finish](const caf::error&) {
    finish({{}, db::db_failure{db::failure_kind::wait, "", "the pool does not answer"}});
  });
}

void database_sessions::conclude(const std::string& id, const std::shared_ptr<sql_told>& told) {
  auto* of = find_alive(id);
  if (!of || !of->current)
    return;
  if (told->progress.has_more)
    of->cursor = of->id.substr(0, 8) + "." + std::to_string(counted_.statements);
  auto outcome = outcome_of(*of, *told);
  const auto lost = std::exchange(of->lost, {});
  if (lost.empty() || outcome.pinned.empty())
    return answer_current(*of, std::move(outcome));
  auto answer = of->current->answer;
  of->current.reset();
  answer.deliver(result<sql_outcome>(std::move(outcome)));
  end_session(id, lost, false);
}

sql_outcome database_sessions::outcome_of(session& of, sql_told& told) {
  auto& progress = told.progress;
  sql_outcome outcome;
  outcome.refused = std::move(progress.refused);
  outcome.command = std::move(progress.command);
  if (!outcome.refused)
    for (auto& column : progress.columns) {
      auto name = type_names_.find({column.type, column.modifier});
      outcome.columns.push_back({std::move(column.name), name == type_names_.end() ? "unknown" : name->second,
                                 db::value_kind_of(column.type)});
    }
  outcome.rows = std::move(progress.rows);
  outcome.row_count = outcome.columns.empty() ? progress.touched : static_cast<std::int64_t>(outcome.rows.size());
  outcome.truncated = progress.has_more;
  outcome.cursor = progress.has_more ? of.cursor : "";
  outcome.transaction_status = progress.has_more ? sql_transaction_status::active : told.status;
  outcome.notices = std::move(progress.notices);
  if (of.current && !of.current->notices.empty())
    outcome.notices.insert(outcome.notices.begin(), of.current->notices.begin(), of.current->notices.end());
  outcome.pinned = why_pinned(of);
  return outcome;
}

std::string database_sessions::why_pinned(const session& of) const {
  if (of.parking == database_parking::never)
    return "its parking is never";
  if (!of.pin.empty())
    return of.pin;
  if (!of.cursor.empty())
    return "not all rows of its last statement are read";
  if (of.status == sql_transaction_status::in_transaction || of.status == sql_transaction_status::failed)
    return "a transaction is open";
  return "";
}

void database_sessions::answer_current(session& of, result<sql_outcome> outcome) {
  auto call = std::move(*of.current);
  of.current.reset();
  of.last_use = clock().now();
  call.answer.deliver(std::move(outcome));
  if (!of.queue.empty()) // not from here, where its caller still works with it
    work(of);
  else if (!waiting_.empty())
    serve();
}

} // namespace colloquy::actors
