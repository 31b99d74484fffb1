// One backend of a tenant's own login role: runs a caller's SQL, one statement at a time, without blocking.
//
// Accepts
//   run_sql       -> sql_told. Rows that an earlier statement has left unread are skipped first. Always answered.
//   go_on_with_sql-> sql_told, with more rows of the statement that is paused.
//   cancel_running_sql what runs is cancelled, as past its deadline; nothing if nothing runs.
//   close_backend    what runs is cancelled, and the connection closed once that has ended.
// Sends, to its owner: backend_connected once; backend_heard, what NOTIFY has sent; backend_ended before it ends, and
//   not before the server's backend is gone too: with whatever runs it would keep its locks, outside every bound.
// Deadlines: the connecting's; each statement's, kept here and not by a setting: past it the statement is cancelled,
// and
//   what does not obey is ended by the backend's number, from another connection. So is what goes on without its
//   connection: no setting that its SQL can change is relied on.
// A cancel that came too late for its statement must not hit the next one: none is begun before a round trip has gone
//   well after it.
// State it owns: the connection, and its watch on the I/O thread.
// Death: what is under way is answered. When its owner ends, it closes.
#pragma once

#include "actors/io_reactor.hpp"
#include "actors/pool_interface.hpp"
#include "db/database_logins.hpp"
#include "db/session_connection.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::actors {

struct run_sql {
  std::shared_ptr<const db::caller_sql> what;
  db::row_limits limits{};
  pool_time deadline{};
};
struct go_on_with_sql {
  db::row_limits limits{};
  pool_time deadline{};
};
struct sql_told {
  db::sql_progress progress;
  sql_transaction_status status = sql_transaction_status::idle;
  bool was_terminated = false;
};
struct cancel_running_sql {};
struct close_backend {};

struct backend_connected {
  std::uint64_t slot = 0;
  std::int32_t backend_pid = 0;
};
struct backend_heard {
  std::uint64_t slot = 0;
  std::vector<db::notification> notifications;
};
struct backend_ended {
  std::uint64_t slot = 0;
  db::db_failure why;
  bool was_connected = false;
};
using backend_owner =
    caf::typed_actor<caf::reacts_to<backend_connected>, caf::reacts_to<backend_heard>, caf::reacts_to<backend_ended>>;

struct backend_socket_ready {
  std::uint64_t generation = 0;
};
struct backend_tick {};
struct backend_cancelled {
  std::uint64_t statement = 0;
  bool was_sent = false;
};
struct backend_terminated {
  enum class finding : std::uint8_t { gone, told, unknown };
  finding is = finding::unknown;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_sql)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::go_on_with_sql)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::sql_told)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::cancel_running_sql)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::close_backend)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_connected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_socket_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_cancelled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::backend_terminated)

namespace colloquy::actors {

using database_backend_actor =
    caf::typed_actor<caf::replies_to<run_sql>::with<sql_told>, caf::replies_to<go_on_with_sql>::with<sql_told>,
                     caf::reacts_to<cancel_running_sql>, caf::reacts_to<close_backend>>;
using database_backend_internal =
    database_backend_actor::extend<caf::reacts_to<backend_socket_ready>, caf::reacts_to<backend_tick>,
                                   caf::reacts_to<backend_cancelled>, caf::reacts_to<backend_terminated>>;

struct database_backend_options {
  db::database_login login;
  db::database_logins_place place; ///< from where a backend is ended that obeys no cancel
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds cancel_grace{2'000};
  std::shared_ptr<io_reactor> reactor;
};

class database_backend : public database_backend_internal::base {
public:
  database_backend(caf::actor_config& config, std::uint64_t slot, backend_owner owner,
                   database_backend_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using promise = caf::typed_response_promise<sql_told>;
  // lingering: the connection is gone, and the server's backend perhaps not
  enum class state { connecting, idle, skipping, running, probing, lingering, ended };
  enum class watchdog { calm, cancelling, terminating };

  bool is_over() const { return state_ == state::lingering || state_ == state::ended; }
  bool runs() const;
  void start();
  promise run(run_sql& request);
  promise go_on(const go_on_with_sql& request);
  void on_socket(const backend_socket_ready& ready);
  void advance();
  void take_progress();
  void answer();
  void probe();
  void on_tick();
  void cancel();
  void terminate();
  void on_terminated(const backend_terminated& news);
  void close();
  void give_up(db::db_failure why, bool ran = false);
  void answer_lost(const db::db_failure& why);
  void finish(db::db_failure why);
  void watch_for(db::io_need need);
  sql_told nothing_but(std::string sqlstate, std::string why, bool ended) const;

  const std::uint64_t slot_;
  backend_owner owner_;
  database_backend_options options_;
  std::unique_ptr<db::session_connection> link_;
  std::unique_ptr<socket_watch> watch_; // after link_: it must go first
  std::uint64_t generation_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool advancing_ = false;
  bool advance_again_ = false;
  state state_ = state::connecting;
  time_point deadline_; // of the connecting, then of the statement
  promise answer_;
  std::optional<sql_told> told_; // held back until a cancel is known to have landed
  std::shared_ptr<const db::caller_sql> next_;
  db::row_limits next_limits_;
  std::vector<sql_notice> earlier_notices_;
  std::uint64_t statement_ = 0; // counts them
  watchdog watchdog_ = watchdog::calm;
  time_point patience_; // of the watchdog's step
  bool cancel_is_away_ = false;
  bool was_cancelled_ = false;
  bool was_terminated_ = false;
  bool termination_is_away_ = false;
  unsigned unknown_ends_ = 0; // in a row: nobody could be asked whether the backend is gone
  bool is_closing_ = false;   // nobody waits for anything any more
  std::int32_t pid_ = 0;      // 0: not connected yet
};

} // namespace colloquy::actors
