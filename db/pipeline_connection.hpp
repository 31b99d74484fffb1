// One connection to one backend, driven without ever blocking, in libpq's pipeline mode.
//
// Not thread-safe: one owner (the connection actor) calls it. It never waits: advance() does what can be done now and
// says what to wait for on socket(). The socket may change while connecting (TLS, several hosts), so while
// connected() is false the owner must stop watching it before every advance().
#pragma once

#include "db/statement.hpp"
#include "db/statement_cache.hpp"
#include "messages/error.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

struct pg_cancel; // libpq's PGcancel
struct pg_conn;   // libpq's PGconn

namespace colloquy::db {

/// Where to connect, and how the session is set up once connected: poolers drop options given at startup.
struct connection_target {
  std::string conninfo;                                      ///< URI or key=value; a secret
  std::vector<std::pair<std::string, std::string>> settings; ///< of the session, as in role, search_path
  std::size_t statements_max = 256;                          ///< prepared at a time
};

/// How long the server itself lets the service's own sessions run, hold and wait.
struct session_timeouts {
  std::chrono::milliseconds statement{};
  std::chrono::milliseconds idle_in_transaction{};
  std::chrono::milliseconds lock{};
};

/// The settings under which the service's own connections work: its role, schema and timeouts.
connection_target service_target(std::string conninfo, const std::string& schema, const std::string& application_name,
                                 const session_timeouts& timeouts);

enum class io_need { none, read, write, read_write };

/// What NOTIFY sent.
struct notification {
  std::string channel;
  std::string payload;
  std::int32_t sender_pid = 0;
};

/// Asks the server to cancel what one backend runs at the moment. May be used on another thread, and outlives its
/// connection.
class cancel_request {
public:
  explicit cancel_request(pg_cancel* request);
  /// Blocks for as long as connecting does. Success means that the server has signalled the backend, not that a
  /// statement was ended; the next round trip on the connection comes after it. Errors: database_unavailable.
  result<void> run() const;

private:
  std::shared_ptr<pg_cancel> request_;
};

class pipeline_connection {
public:
  /// Starts connecting. Host names are resolved by libpq here and that blocks: give hostaddr, an address, or a unix
  /// socket. Errors: database_unavailable, invalid_request (a conninfo that libpq cannot read).
  static result<std::unique_ptr<pipeline_connection>> start(const connection_target& target);

  pipeline_connection(const pipeline_connection&) = delete;
  pipeline_connection& operator=(const pipeline_connection&) = delete;
  ~pipeline_connection();

  /// Does all that can be done without waiting and says what the socket must become before the next call.
  io_need advance();

  bool connected() const noexcept; ///< the socket stays the same from now on
  bool ready() const noexcept;     ///< set up, the settings read back; units are being sent
  /// Why it is of no use any more. Every unit has been given to take_finished() by then.
  const std::optional<db_failure>& broken() const noexcept { return broken_; }

  int socket() const noexcept;
  /// The value of one of the target's settings, as the server has written it; "" for another.
  std::string_view setting(std::string_view name) const noexcept;
  std::int32_t backend_pid() const noexcept { return backend_pid_; } ///< the true one, asked of the backend itself
  /// What the other end gave at login: a pooler's is not the backend's.
  std::int32_t reported_pid() const noexcept;
  std::string host() const; ///< the one of several that answered
  std::string port() const;
  int server_version() const noexcept; ///< as 150006
  bool uses_tls() const noexcept;

  /// Queues a unit; call advance() after. `tag` comes back with its outcome; outcomes come in the order of submission.
  void submit(std::uint64_t tag, const unit& work);
  std::size_t units_under_way() const noexcept { return in_flight_.size() + waiting_.size(); }
  /// Whether a transaction was left open, or failed, at the end of the last unit. Not while units are under way.
  bool in_transaction() const noexcept;

  /// Makes the session as new: rolls back, discards all, checks that nothing is left, applies the settings again. The
  /// outcome comes under `tag`; after a failure the connection is not to be used again. Not while units are under way.
  void reset_session(std::uint64_t tag);

  struct finished_unit {
    std::uint64_t tag;
    unit_outcome outcome;
  };
  std::vector<finished_unit> take_finished();
  std::vector<notification> take_notifications();

  /// Errors: database_unavailable, while not connected.
  result<cancel_request> make_cancel_request() const;

private:
  enum class phase { connecting, setting_up, ready, broken };
  // Whose unit it is: a caller's, or one of the connection's own.
  enum class role { work, apply_settings, read_settings, check_clean, discard, deallocate };

  // Each command of a unit that libpq answers for: a preparation or an execution.
  struct command {
    statement_cache::entry_id statement = 0; // 0: nothing that was prepared
    bool prepares = false;
  };
  struct unit_in_flight {
    std::uint64_t tag = 0;
    role part = role::work;
    std::deque<command> commands;
    bool command_answered = false;
    unit_outcome outcome;
  };

  pipeline_connection(pg_conn* connection, connection_target target);

  io_need advance_connecting();
  void send(std::uint64_t tag, role part, const unit& work);
  bool send_call(const statement_call& call, unit_in_flight& state);
  bool send_unnamed(const char* sql, unit_in_flight& state);
  void send_own(role part, const char* sql);
  io_need exchange();
  void take_results();
  void take_result(pg_result* result);
  void take_command_failure(const pg_result* result);
  void end_command();
  void end_unit();
  void fail(db_failure why);
  void fail_from_connection(std::string what);
  void drain_notifications();

  // pipeline_setup.cpp
  void begin_setup();
  void send_settings();
  void finish_own(role part, unit_outcome outcome);
  void finish_setup();
  std::optional<db_failure> take_applied(const unit_outcome& outcome);
  std::optional<db_failure> compare_settings(const unit_outcome& outcome);
  static std::optional<db_failure> find_leftovers(const unit_outcome& outcome);

  struct closer {
    void operator()(pg_conn* connection) const noexcept;
  };
  std::unique_ptr<pg_conn, closer> connection_;
  connection_target target_;
  phase phase_ = phase::connecting;
  std::optional<db_failure> broken_;
  std::int32_t backend_pid_ = 0;
  std::vector<std::string> applied_; // the settings' values as the server wrote them, in their order
  statement_cache statements_;
  std::deque<unit_in_flight> in_flight_;
  std::deque<std::pair<std::uint64_t, unit>> waiting_; // until the session is set up
  std::optional<std::uint64_t> reset_tag_;             // of the reset under way
  std::vector<finished_unit> finished_;
  std::vector<notification> notifications_;
};

} // namespace colloquy::db
