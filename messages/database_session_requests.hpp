// What may be asked about database sessions: SQL on a backend of a tenant's own login role, whose state (settings,
// prepared statements, temporary tables, a transaction) survives from call to call. Plain values, as in
// session_requests.hpp.
//
// A database session belongs to whom it was opened for: tenant and principal. To anybody else it is not_found. Once it
// was given back (idle for too long, at the end of its life, its backend lost), its owner is told so for an hour:
// session_expired, with when and why.
//
// Errors that each may end with: invalid_request, forbidden (database sessions are switched off, or the database gives
// no roles for them: the message says why), not_found, session_expired, overloaded, database_unavailable,
// deadline_exceeded, internal.
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"
#include "messages/session_requests.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {

namespace limits {

inline constexpr std::size_t sql_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t sql_parameters_max = 1000;
inline constexpr std::size_t sql_rows_default = 1000;
inline constexpr std::size_t sql_rows_max = 10'000;
inline constexpr std::size_t sql_result_bytes_default = std::size_t{1} << 20;
inline constexpr std::size_t sql_result_bytes_min = std::size_t{1} << 10;
inline constexpr std::size_t sql_result_bytes_max = std::size_t{16} << 20;
inline constexpr std::chrono::seconds sql_timeout_default{30};
inline constexpr std::chrono::seconds sql_timeout_max{300};
inline constexpr std::chrono::seconds database_session_idle_max{3600};
inline constexpr std::chrono::seconds notifications_wait_max{60};
/// Calls of one database session that may wait while another runs.
inline constexpr std::size_t database_session_queue_max = 16;

} // namespace limits

enum class database_access : std::uint8_t { read_only, read_write };
enum class database_parking : std::uint8_t {
  automatic, ///< its backend is given to others while it has nothing but what can be done again
  never
};

constexpr const char* to_string(database_access access) noexcept {
  return access == database_access::read_only ? "read_only" : "read_write";
}

/// Who may use it. The principal is what the edge tells callers apart by, as in "key:<id>"; never a secret.
struct database_session_owner {
  tenant_id tenant;
  std::string principal;
  auto operator<=>(const database_session_owner&) const = default;
};

struct database_session_record {
  std::string id; ///< 32 hexadecimal digits, of 128 random bits: who knows it can use it, if it is theirs
  database_access access = database_access::read_only;
  timestamp expires_at{}; ///< unless it is used before; each use moves it
};

/// Errors: overloaded (the tenant, or all together, have as many as they may have); idempotency_mismatch.
struct open_database_session {
  using reply = database_session_record;
  database_session_owner owner;
  database_access access = database_access::read_only;
  std::optional<std::chrono::seconds> idle_timeout{}; ///< none: the setting's
  database_parking parking = database_parking::automatic;
  std::optional<idempotency> repeat{}; ///< known while the session lasts, and by this process alone
};

/// A value for $1, $2 and so on. Texts and nulls take the type that the statement gives them; numbers are int4, int8 or
/// numeric, whichever is the first that holds them; JSON is jsonb.
struct sql_parameter {
  enum class kind : std::uint8_t { null, boolean, number, text, json };
  kind is = kind::null;
  std::string value{}; ///< true or false, the number's digits, the text, the JSON
};

/// How a column's values are best shown to a program. Each value is the server's text all the same.
enum class sql_value_kind : std::uint8_t { text, number, boolean, json };

struct sql_column {
  std::string name;
  std::string type; ///< as in "integer", "timestamp with time zone"
  sql_value_kind kind = sql_value_kind::text;
};

using sql_row = std::vector<std::optional<std::string>>; ///< none: null

struct sql_notice {
  std::string severity; ///< NOTICE, WARNING and the like
  std::string sqlstate;
  std::string message;
};

/// What the server said against a statement.
struct sql_refusal {
  std::string sqlstate;
  std::string message;
  std::string detail{};
  std::string hint{};
  std::int64_t position = 0;      ///< in the statement, in characters from 1; 0: none
  bool was_cancelled = false;     ///< by us: its time was over, or cancel_sql asked for it
  bool ended_the_session = false; ///< the backend is gone, and the database session with it
};

enum class sql_transaction_status : std::uint8_t {
  idle,           ///< none is open
  in_transaction, ///< one is open
  failed,         ///< one is open and takes nothing but ROLLBACK
  active          ///< the statement has more rows to give
};

constexpr const char* to_string(sql_transaction_status status) noexcept {
  switch (status) {
  case sql_transaction_status::idle:
    return "idle";
  case sql_transaction_status::in_transaction:
    return "in_transaction";
  case sql_transaction_status::failed:
    return "failed";
  case sql_transaction_status::active:
    return "active";
  }
  return "idle";
}

/// What became of one statement. `refused` is set if the server would not run it: then there are no rows.
struct sql_outcome {
  std::optional<sql_refusal> refused{};
  std::string command{}; ///< its tag, as in "INSERT 0 3"; "" while there are more rows
  std::vector<sql_column> columns{};
  std::vector<sql_row> rows{};
  std::int64_t row_count = 0; ///< rows in this reply; of a statement that gives none, those it has touched
  bool truncated = false;     ///< there are more; `cursor` goes on
  std::string cursor{};
  sql_transaction_status transaction_status = sql_transaction_status::idle;
  std::string pinned{}; ///< why it keeps its backend while it is idle; "" if it does not
  std::vector<sql_notice> notices{};
};

/// Runs one statement, or goes on with the last one's rows. A statement that comes while another one's rows are not all
/// read ends those first. Statements of one session run in the order in which they come.
/// Errors: overloaded (limits::database_session_queue_max calls wait, or no backend is free in time),
/// deadline_exceeded (its time was over before it was begun; a statement that was begun is an outcome).
struct execute_sql {
  using reply = sql_outcome;
  database_session_owner owner;
  std::string id;
  std::string sql{}; ///< 1 to limits::sql_bytes_max bytes; "" with a cursor
  std::vector<sql_parameter> parameters{};
  std::size_t rows_max = limits::sql_rows_default;          ///< 1 to limits::sql_rows_max
  std::size_t bytes_max = limits::sql_result_bytes_default; ///< a row that is larger is refused: 54000
  std::chrono::milliseconds timeout = limits::sql_timeout_default;
  std::string cursor{};     ///< what the last reply gave
  std::uint64_t number = 0; ///< what cancel_sql tells it by, chosen by who asks; 0: it cannot be cancelled
  bool may_write = true;    ///< who asks; if not, a session that may is forbidden, whoever of the same owner opened it
};

/// The statement with this number, if it is not done: one that waits is not begun, one that runs is cancelled in the
/// server (and its connection ended if it does not obey). It is answered as refused with 57014, was_cancelled.
/// Errors: not_found (there is no such database session, or no such statement in it any more).
struct sql_cancelled {};
struct cancel_sql {
  using reply = sql_cancelled;
  database_session_owner owner;
  std::string id;
  std::uint64_t number = 0;
};

struct database_notification {
  std::string channel;
  std::string payload;
};
/// What NOTIFY has sent to the channels that the session listens to: from its own tenant's read_write backends alone.
struct database_notifications {
  std::vector<database_notification> notifications{};
  bool missed_some = false; ///< since the last reply: too many came, or nobody listened for a moment
};
struct read_database_notifications {
  using reply = database_notifications;
  database_session_owner owner;
  std::string id;
  std::chrono::milliseconds wait{0}; ///< for the first one; up to limits::notifications_wait_max
};

/// Rolls back what is open, and forgets the session.
struct database_session_closed {};
struct close_database_session {
  using reply = database_session_closed;
  database_session_owner owner;
  std::string id;
};

/// All that one owner has, as by close_database_session; each is told to have ended because of `why`.
struct database_sessions_closed {
  std::size_t count = 0;
};
struct close_database_sessions_of {
  using reply = database_sessions_closed;
  database_session_owner owner;
  std::string why;
};

struct schema_column {
  std::string name;
  std::string type;
  bool is_nullable = true;
  std::string default_value{}; ///< its expression; "" if there is none
  std::string comment{};
};
struct schema_key {
  std::string name;
  std::string definition; ///< as in "PRIMARY KEY (id)", "FOREIGN KEY (a) REFERENCES b(id)"
};
struct schema_table {
  std::string schema;
  std::string name;
  std::string kind; ///< table, view, materialized view, foreign table
  std::string comment{};
  std::vector<schema_column> columns{};
  std::vector<schema_key> keys{};
  bool is_writable = false; ///< for the access that was asked about
};
/// Tables and views that a database session of this tenant and access sees, by schema and name.
struct database_schema {
  std::vector<schema_table> tables{};
  bool truncated = false; ///< there are more than schema_tables_max
};
inline constexpr std::size_t schema_tables_max = 1000;
struct describe_database {
  using reply = database_schema;
  database_session_owner owner;
  database_access access = database_access::read_only;
};

/// For metrics and for people.
struct database_session_figures {
  bool is_available = false;
  std::string why_not{}; ///< what an administrator can do about it
  std::size_t open = 0;
  std::size_t parked = 0;
  std::size_t pinned = 0; ///< hold a backend, and would not give it away
  std::size_t backends = 0;
  std::size_t backends_max = 0;
  std::size_t waiting = 0;  ///< calls that wait for a backend
  std::uint64_t opened = 0; // counted since the start, like all that follows
  std::uint64_t closed = 0;
  std::uint64_t given_back = 0;
  std::uint64_t statements = 0;
  std::uint64_t refused = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t terminated = 0;
  std::uint64_t parkings = 0;
  std::uint64_t replays = 0;
};
struct get_database_session_figures {
  using reply = database_session_figures;
};

} // namespace colloquy
