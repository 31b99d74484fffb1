// One connection to one backend, driven without ever blocking, in libpq's pipeline mode.
//
// Not thread-safe: one owner (the connection actor) calls it. It never waits: advance() does what can be done now and
// says what to wait for on socket(). The socket may change while connecting (TLS, several hosts), so while
// connected() is false the owner must stop watching it before every advance().
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

struct pg_conn; // libpq's PGconn

namespace colloquy::db {

/// Where to connect, and how the session is set up once connected: poolers drop options given at startup.
struct connection_target {
  std::string conninfo;                                      ///< URI or key=value; a secret
  std::vector<std::pair<std::string, std::string>> settings; ///< of the session, as in role, search_path
};

/// The settings under which the service's own connections work: its role, schema and timeouts.
connection_target service_target(std::string conninfo, const std::string& schema, const std::string& application_name,
                                 std::chrono::milliseconds statement_timeout,
                                 std::chrono::milliseconds idle_in_transaction_timeout);

enum class io_need { none, read, write, read_write };

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
  bool ready() const noexcept;     ///< set up; units are being sent
  /// Why it is of no use any more. Every unit has been given to take_finished() by then.
  const std::optional<db_failure>& broken() const noexcept { return broken_; }

  int socket() const noexcept;
  std::int32_t backend_pid() const noexcept { return backend_pid_; }

  /// Queues a unit; call advance() after. `tag` comes back with its outcome; outcomes come in the order of submission.
  void submit(std::uint64_t tag, unit work);
  std::size_t units_under_way() const noexcept { return in_flight_.size() + waiting_.size(); }

  struct finished_unit {
    std::uint64_t tag;
    unit_outcome outcome;
  };
  std::vector<finished_unit> take_finished();

private:
  enum class phase { connecting, setting_up, ready, broken };

  // Each command of a unit that libpq answers for: a preparation or an execution.
  struct command {
    const statement* prepares = nullptr; // null: an execution
  };
  struct unit_in_flight {
    std::uint64_t tag = 0;
    std::deque<command> commands;
    bool command_answered = false;
    unit_outcome outcome;
  };

  pipeline_connection(pg_conn* connection, connection_target target);

  io_need advance_connecting();
  void send_setup();
  void finish_setup(unit_outcome outcome);
  void send(std::uint64_t tag, const unit& work);
  bool send_call(const statement_call& call, unit_in_flight& state);
  io_need exchange();
  void take_results();
  void take_result(pg_result* result);
  void end_command();
  void fail(db_failure why);
  void fail_from_connection(std::string what);
  void drain_notifications();

  struct closer {
    void operator()(pg_conn* connection) const noexcept;
  };
  std::unique_ptr<pg_conn, closer> connection_;
  connection_target target_;
  phase phase_ = phase::connecting;
  std::optional<db_failure> broken_;
  std::int32_t backend_pid_ = 0;
  std::unordered_set<const statement*> prepared_;
  std::deque<unit_in_flight> in_flight_;
  std::deque<std::pair<std::uint64_t, unit>> waiting_; // until the session is set up
  std::vector<finished_unit> finished_;
};

} // namespace colloquy::db
