// One connection to one backend for a caller's own SQL, driven without ever blocking: one statement at a time, by the
// extended protocol, its rows read as far as they are wanted and no further.
//
// Not thread-safe: one owner (an actor) calls it. It never waits: advance() does what can be done now and says what to
// wait for on socket(). While connected() is false the socket may change, so the owner must stop watching it before
// every advance(). What is not read stays with the server: nothing here grows with a result.
#pragma once

#include "db/failure.hpp"
#include "db/pipeline_connection.hpp"
#include "messages/database_session_requests.hpp"
#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct pg_conn;   // libpq's PGconn
struct pg_result; // libpq's PGresult

namespace colloquy::db {

struct caller_sql {
  std::string text;
  std::vector<sql_parameter> parameters{};
};

struct row_limits {
  std::size_t rows = limits::sql_rows_default;
  std::size_t bytes = limits::sql_result_bytes_default; ///< a row that is larger is refused
};

struct column_type {
  std::string name;
  std::uint32_t type = 0; ///< its OID
  std::int32_t modifier = -1;
};

/// What a statement has said so far.
struct sql_progress {
  std::optional<sql_refusal> refused{};
  std::string command{};
  std::int64_t touched = 0; ///< rows, as the command's tag tells
  std::vector<column_type> columns{};
  std::vector<sql_row> rows{};
  bool has_more = false; ///< the limits are reached: go_on() or skip_rest()
  std::vector<sql_notice> notices{};
};

class session_connection {
public:
  /// Starts connecting. Host names are resolved by libpq here and that blocks: give hostaddr, an address, or a unix
  /// socket. Errors: database_unavailable.
  static result<std::unique_ptr<session_connection>> start(const std::string& conninfo);

  session_connection(const session_connection&) = delete;
  session_connection& operator=(const session_connection&) = delete;
  ~session_connection();

  io_need advance();

  bool connected() const noexcept { return is_connected_; }
  const std::optional<db_failure>& broken() const noexcept { return broken_; }
  int socket() const noexcept;
  std::int32_t backend_pid() const noexcept; ///< as the server gave it at login
  int server_version() const noexcept;

  /// Whether a statement may be begun: connected, and nothing under way or paused.
  bool idle() const noexcept { return is_connected_ && !broken_ && !running_; }
  /// Whether rows of the last statement wait for go_on() or skip_rest().
  bool paused() const noexcept { return running_ && is_paused_; }
  sql_transaction_status transaction_status() const noexcept;

  /// Begins a statement; call advance() after. Only while idle().
  void begin(const caller_sql& sql, const row_limits& limits);
  /// More rows of the statement that is paused. Call advance() after.
  void go_on(const row_limits& limits);
  /// Lets the statement that is paused come to its end, without its rows. Call advance() after.
  void skip_rest();

  /// Set once the statement has ended, or has reached its limits.
  std::optional<sql_progress> take_progress();
  std::vector<notification> take_notifications();

  /// Errors: database_unavailable, while not connected.
  result<cancel_request> make_cancel_request() const;

private:
  explicit session_connection(pg_conn* connection);

  io_need advance_connecting();
  void count_arriving();
  void take_results();
  void take_result(pg_result* result);
  bool take_row(const pg_result* result);
  void describe_columns(const pg_result* result);
  void refuse_row(std::size_t bytes);
  void take_refusal(const pg_result* result);
  void end_statement();
  bool reads_utf8() const;
  void pause();
  void fail(std::string what);
  void drain_notifications();
  static void on_notice(void* self, const pg_result* notice);

  struct closer {
    void operator()(pg_conn* connection) const noexcept;
  };
  std::unique_ptr<pg_conn, closer> connection_;
  bool is_connected_ = false;
  std::optional<db_failure> broken_;
  bool running_ = false;
  bool is_paused_ = false;
  bool skips_ = false;
  bool copies_out_ = false;
  row_limits limits_;
  std::size_t bytes_ = 0;          // of rows taken
  std::size_t arriving_ = 0;       // bytes since the last whole message
  std::optional<sql_row> carried_; // one too many, for the next reply
  sql_progress progress_;
  std::optional<sql_progress> done_;
  std::vector<notification> notifications_;
};

} // namespace colloquy::db
