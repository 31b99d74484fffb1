#include "db/migrator_session.hpp"

#include "db/symptoms.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>

namespace colloquy::db {

namespace {

// security_invoker, which the view conversations needs to respect row level security, came with 15.
constexpr int server_version_min = 150000;

bool any_of(std::string_view sqlstate, std::initializer_list<std::string_view> states) {
  return std::find(states.begin(), states.end(), sqlstate) != states.end();
}

std::string trimmed(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' '))
    out.pop_back();
  return out;
}

std::string field(const PGresult* held, int code) {
  const char* value = PQresultErrorField(held, code);
  return value == nullptr ? "" : value;
}

std::optional<std::string> option(const conninfo_ptr& options, std::string_view keyword) {
  for (const PQconninfoOption* at = options.get(); at->keyword != nullptr; ++at)
    if (keyword == at->keyword && at->val != nullptr)
      return at->val;
  return std::nullopt;
}

// libpq quotes what it could not read, and in a mistyped string that may be a piece of the password: its words are
// not passed on, and a host that holds the rest of an unescaped password is never looked up.
result<void> check_conninfo(const std::string& conninfo) {
  char* said = nullptr;
  conninfo_ptr options(PQconninfoParse(conninfo.c_str(), &said));
  text_ptr said_owner(said);
  if (!options)
    return error{
        error_code::invalid_request,
        "the database's connection string cannot be read: it must be postgresql://user:password@host:port/name "
        "(with reserved characters of the password as %XX) or a list of keyword=value"};
  if (option(options, "host").value_or("").find('@') != std::string::npos)
    return error{error_code::invalid_request,
                 "the database's connection string has an @ in its host: write an @ in the password as %40"};
  return {};
}

std::string without(std::string text, const std::string& secret) {
  if (secret.empty())
    return text;
  for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3))
    text.replace(at, secret.size(), "***");
  return text;
}

// Ours, unless the environment has the user's own. (What `dbname` expands to wins over both.)
const char* connect_timeout() {
  const char* own = std::getenv("PGCONNECT_TIMEOUT");
  return own != nullptr && *own != '\0' ? own : "10";
}

connection_ptr connect(const std::string& conninfo) {
  const std::array keywords{"connect_timeout", "fallback_application_name", "tcp_user_timeout",
                            "dbname",          "client_encoding",           static_cast<const char*>(nullptr)};
  const std::array values{
      connect_timeout(), "colloquy-migrate", "60000", conninfo.c_str(), "UTF8", static_cast<const char*>(nullptr)};
  return connection_ptr(PQconnectdbParams(keywords.data(), values.data(), 1));
}

std::string reported(PGconn* connection, const char* name) {
  const char* value = PQparameterStatus(connection, name);
  return value == nullptr ? "" : value;
}

void drop_notice(void*, const PGresult*) {}

} // namespace

std::string sql_answer::scalar() const {
  return rows.empty() || rows.front().empty() ? "" : rows.front().front().value_or("");
}

bool is_race(const sql_failure& failed) {
  // duplicate_object, duplicate_schema, unique_violation, deadlock_detected, serialization_failure; and "tuple
  // concurrently updated", which comes as internal_error when two grant on one thing.
  return any_of(failed.sqlstate, {"42710", "42P06", "23505", "40P01", "40001", "XX000"});
}

error to_error(const sql_failure& failed, std::string_view what) {
  auto code = error_code::internal;
  if (failed.lost || failed.sqlstate.empty())
    code = error_code::database_unavailable;
  else if (any_of(failed.sqlstate, {"55P03", "57014", "40P01"}))
    code = error_code::deadline_exceeded;
  else if (failed.sqlstate == "42501")
    code = error_code::conflict;
  std::string message(what);
  message += ": " + failed.text;
  if (!failed.sqlstate.empty())
    message += " (SQLSTATE " + failed.sqlstate + ")";
  if (const auto* known = find_symptom(failed.sqlstate, failed.text))
    message += " — " + std::string(known->advice);
  return {code, std::move(message)};
}

result<migrator_session> migrator_session::open(const std::string& conninfo) {
  if (auto checked = check_conninfo(conninfo); !checked)
    return checked.failure();
  migrator_session made(connect(conninfo));
  PGconn* raw = made.connection_.get();
  if (raw == nullptr)
    return error{error_code::database_unavailable, "no memory for a connection to the database"};
  if (PQstatus(raw) != CONNECTION_OK) {
    const char* password = PQpass(raw);
    auto said = without(trimmed(PQerrorMessage(raw)), password ? password : "");
    return error{error_code::database_unavailable,
                 "cannot connect to the database: " + describe(make_failure("", std::move(said), true))};
  }
  PQsetNoticeReceiver(raw, drop_notice, nullptr);
  if (PQserverVersion(raw) < server_version_min)
    return error{error_code::conflict, "the server is PostgreSQL " + reported(raw, "server_version") +
                                           "; 15 or later is needed, because a view uses security_invoker"};
  if (const auto encoding = reported(raw, "server_encoding"); encoding != "UTF8")
    return error{error_code::conflict,
                 "the database's encoding is " + encoding + "; UTF8 is needed, because all text is kept as UTF-8"};
  return made;
}

sql_answer migrator_session::query(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters)
    values.push_back(parameter.c_str());
  return read(result_ptr(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                                      values.data(), nullptr, nullptr, 0)));
}

sql_answer migrator_session::run(const std::string& sql) {
  return read(result_ptr(PQexec(connection_.get(), sql.c_str())));
}

bool migrator_session::in_transaction() const {
  return PQtransactionStatus(connection_.get()) == PQTRANS_INTRANS;
}

sql_answer migrator_session::read(const result_ptr& held) const {
  sql_answer out;
  const auto status = PQresultStatus(held.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
    sql_failure failed;
    failed.lost = PQstatus(connection_.get()) != CONNECTION_OK;
    failed.sqlstate = field(held.get(), PG_DIAG_SQLSTATE);
    failed.text = field(held.get(), PG_DIAG_MESSAGE_PRIMARY);
    if (auto hint = field(held.get(), PG_DIAG_MESSAGE_HINT); !hint.empty())
      failed.text += "; hint: " + hint;
    if (failed.text.empty())
      failed.text = trimmed(PQerrorMessage(connection_.get()));
    if (auto position = field(held.get(), PG_DIAG_STATEMENT_POSITION); !position.empty())
      failed.position = std::atoi(position.c_str());
    out.failed = std::move(failed);
    return out;
  }
  out.tag = PQcmdStatus(held.get());
  const int columns = PQnfields(held.get());
  for (int row = 0; row < PQntuples(held.get()); ++row) {
    auto& values = out.rows.emplace_back();
    for (int column = 0; column < columns; ++column) {
      if (PQgetisnull(held.get(), row, column) != 0)
        values.emplace_back();
      else
        values.emplace_back(std::string(PQgetvalue(held.get(), row, column),
                                        static_cast<size_t>(PQgetlength(held.get(), row, column))));
    }
  }
  return out;
}

std::string quote_identifier(std::string_view name) {
  std::string out = "\"";
  for (char c : name)
    out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

std::string quote_literal(std::string_view text) {
  std::string out = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (char c : text)
    out.append(c == '\'' || c == '\\' ? 2 : 1, c);
  return out + '\'';
}

std::string quote_dollar(std::string_view text) {
  std::string tag = "$colloquy$";
  while (text.find(tag.substr(0, tag.size() - 1)) != std::string_view::npos)
    tag.insert(tag.size() - 1, "_");
  return tag + std::string(text) + tag;
}

} // namespace colloquy::db
