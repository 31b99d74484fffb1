// A blocking connection for the few statements that run before any actor does: migrating, and looking at the schema.
// Never used by an actor.
#pragma once

#include "db/libpq_handles.hpp"
#include "messages/error.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// What the server, or libpq in its place, said when a statement failed. No data of rows: DETAIL is left out.
struct sql_failure {
  std::string sqlstate; ///< empty if the server gave none: then the connection failed
  std::string text;     ///< the message and, if there is one, the hint
  int position = 0;     ///< in the statement's text, in characters from 1; 0 if the server named none
  bool lost = false;    ///< the connection is gone
};

/// A statement's rows, or why there are none. A null is an empty optional.
struct sql_answer {
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string tag; ///< as in "COMMIT"
  std::optional<sql_failure> failed;

  /// The first row's first column, or "" if there is none.
  std::string scalar() const;
};

/// Whether two programs doing the same at once can be why a statement failed: looking again tells.
bool is_race(const sql_failure& failed);

/// `what` says what could not be done. Codes: database_unavailable if the connection failed, deadline_exceeded if a
/// lock or the statement took too long (nothing of the transaction remains, it may be tried again), conflict if the
/// user may not, else internal.
error to_error(const sql_failure& failed, std::string_view what);

/// One connection; movable, closed with the object. Notices are dropped.
class migrator_session {
public:
  /// Connects within the connection string's connect_timeout, else PGCONNECT_TIMEOUT, else 10 s. `conninfo` is a URI or
  /// keywords and values. Fails with invalid_request if it cannot be read, database_unavailable if no connection comes
  /// about, and conflict if the server is older than PostgreSQL 15 or the database's encoding is not UTF8.
  static result<migrator_session> open(const std::string& conninfo);

  /// One statement with parameters in text form.
  sql_answer query(const std::string& sql, const std::vector<std::string>& parameters = {});

  /// Any number of statements without parameters; the answer is the last one's.
  sql_answer run(const std::string& sql);

  /// Whether a transaction is open and has not failed.
  bool in_transaction() const;

  /// What the other end gave at login: a pooler's is not the backend's.
  int reported_pid() const { return PQbackendPID(connection_.get()); }

  int server_version() const { return PQserverVersion(connection_.get()); }

private:
  explicit migrator_session(connection_ptr connection)
    : connection_(std::move(connection)) {}

  sql_answer read(const result_ptr& held) const;

  connection_ptr connection_;
};

/// As SQL: "name", with every quote in it doubled.
std::string quote_identifier(std::string_view name);

/// As SQL: 'text', or E'text' if it has a backslash, so that it means the same whatever standard_conforming_strings is.
std::string quote_literal(std::string_view text);

/// As SQL: $tag$text$tag$, with a tag that does not occur in the text.
std::string quote_dollar(std::string_view text);

} // namespace colloquy::db
