// The database sessions actor: callers' own SQL, on backends of their tenants' own login roles.
//
// Accepts (messages/database_sessions_interface.hpp; messages/database_session_requests.hpp tells fields and errors)
//   open_database_session, execute_sql, cancel_sql, read_database_notifications, close_database_session,
//   close_database_sessions_of, describe_database, get_database_session_figures
// Ordering: the statements of one session run in the order in which they came; those of different ones at once.
// Backends: of each tenant and access some, up to `backends_max` in all; made when somebody needs one. A session that
//   holds nothing but what can be done again (db/sql_effects.hpp) is parked: its backend is made as new and given to
//   whoever waits, at once if somebody does, else after `park_after`; its settings, prepared statements and LISTENs are
//   done again on the next one. Any other is pinned to its backend, and that is closed when it ends: nothing of one
//   session is left for the next.
// Notifications: those of channels that a session listens to by a statement of its own come by the listener
//   (actors/listener.hpp), parked or not; only from read_write backends of the same tenant, told by their numbers.
//   Whose another process's is, the server is asked; what came from one that is gone by then is missed, and that is
//   told.
// Errors: overloaded past the bounds; forbidden where the database gives no roles.
// Repeats: opened again by an idempotency key of the same owner it is the same session, while it lasts.
// Ends a session: its owner, or who revokes its owner's key; nobody using it for its idle timeout; the end of its life;
//   the loss of its backend. For `remembered_for` its owner is told which.
// State it owns: the sessions, what they have done that must be done again, the backends, the logins.
// Death: every backend ends with it, and so does every session. Who waits is answered.
#pragma once

#include "actors/database_backend.hpp"
#include "actors/listener.hpp"
#include "actors/pool_interface.hpp"
#include "db/database_queries.hpp"
#include "messages/clock.hpp"
#include "messages/database_sessions_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::actors {

struct logins_made {
  std::string tenant;
  result<db::database_logins> logins;
};
struct database_sessions_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::logins_made)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::database_sessions_tick)

namespace colloquy::actors {

/// Makes a backend's actor; tests have another.
using database_backend_factory = std::function<database_backend_actor(
    caf::local_actor& parent, std::uint64_t slot, backend_owner owner, database_backend_options options)>;
database_backend_actor spawn_database_backend(caf::local_actor& parent, std::uint64_t slot, backend_owner owner,
                                              database_backend_options options);

struct database_sessions_options {
  bool is_enabled = true;
  db::database_logins_place place;
  std::size_t sessions_max = 1000;
  std::size_t tenant_sessions_max = 300;
  std::size_t backends_max = 15;
  std::size_t tenant_backends_max = 0;    ///< 0: three quarters of them
  std::size_t session_channels_max = 100; ///< that are heard for one session while it is parked; it is pinned past it
  std::size_t tenant_channels_max = 1000;
  std::size_t channels_max = 5000; ///< the service listens for others, too
  std::chrono::milliseconds idle_timeout = std::chrono::minutes{5};
  std::chrono::milliseconds lifetime = std::chrono::hours{24};
  std::chrono::milliseconds backend_idle_timeout = std::chrono::minutes{1};
  std::chrono::milliseconds park_after{1000};
  std::chrono::milliseconds remembered_for = std::chrono::hours{1};
  std::chrono::milliseconds connect_timeout{10'000};
  wall_clock clock = system_time;
  std::shared_ptr<io_reactor> reactor;
  database_backend_factory make_backend = spawn_database_backend;
  /// Makes a tenant's logins; blocks, and is called on a thread of its own. Tests have another, called at once.
  std::function<result<db::database_logins>(const tenant_id&)> make_logins{};
};

using database_sessions_internal =
    database_sessions_actor::extend<caf::reacts_to<backend_connected>, caf::reacts_to<backend_heard>,
                                    caf::reacts_to<backend_ended>, caf::reacts_to<channel_notified>,
                                    caf::reacts_to<channel_gap>, caf::reacts_to<logins_made>,
                                    caf::reacts_to<database_sessions_tick>>;

class database_sessions : public database_sessions_internal::base {
public:
  database_sessions(caf::actor_config& config, supervisor_actor pool, listener_actor listener,
                    database_sessions_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  template <class Value>
  using promise = caf::typed_response_promise<result<Value>>;
  using sql_promise = promise<sql_outcome>;
  using slot_number = std::uint64_t;                           // 0: none
  using backend_key = std::pair<std::string, database_access>; // tenant and access

  struct sql_call {
    sql_promise answer;
    execute_sql request;
    time_point deadline;
    db::sql_effects effects{};
    bool is_sent = false;              // to the backend
    bool is_cancelled = false;         // before that
    std::vector<sql_notice> notices{}; // of what was done again before it
  };
  /// What is done again on another backend.
  struct replayed {
    db::sql_kind kind = db::sql_kind::set;
    std::string name;
    std::string sql;
  };
  struct notifications_waiter {
    promise<database_notifications> answer;
    time_point deadline;
  };
  struct session {
    std::string id;
    database_session_owner owner;
    database_access access = database_access::read_only;
    database_parking parking = database_parking::automatic;
    std::optional<idempotency> repeat{};
    std::chrono::milliseconds idle_timeout{};
    time_point ends{}; // whatever happens
    time_point last_use{};
    slot_number slot = 0;
    bool waits = false;      // for a backend
    bool is_opening = false; // its opener has no answer yet
    unsigned tries = 0;      // to get one, for the call under way
    std::string lost{};      // its backend, while an answer was still being made
    std::optional<sql_call> current{};
    std::deque<sql_call> queue{};
    std::vector<replayed> journal{};
    std::size_t journal_bytes = 0;
    std::map<std::string, db::sql_effects> prepared{};
    std::string pin{};          // why it can never be parked again
    bool has_own_names = false; // of settings
    bool has_set_local = false; // in its transaction
    sql_transaction_status status = sql_transaction_status::idle;
    std::string cursor{};
    std::set<std::string> listens{};
    std::deque<database_notification> notifications{};
    std::size_t notification_bytes = 0;
    bool missed_some = false;
    std::vector<notifications_waiter> waiters{};

    backend_key key() const { return {owner.tenant.text(), access}; }
    bool is_at_rest() const { return !current && queue.empty() && !is_opening; }
  };
  using session_map = std::unordered_map<std::string, session>;
  struct heard_notification {
    std::string session; // "": for all who listen
    std::string channel;
    std::string payload;
    std::int32_t sender_pid = 0;
  };
  struct ended_session {
    database_session_owner owner;
    timestamp at;
    std::string why;
    time_point forgotten;
  };
  enum class slot_state { connecting, checking, idle, held, cleaning, closing };
  struct slot {
    database_backend_actor backend;
    backend_key key;
    slot_state state = slot_state::connecting;
    std::string session{}; // whose it is, or will be
    std::int32_t pid = 0;
    time_point since{}; // idle, or closing
  };
  using slot_map = std::map<slot_number, slot>;
  struct login_state {
    std::optional<db::database_logins> logins{};
    bool is_being_made = false;
    std::optional<error> refusal{};
    time_point refused_until{};
    std::vector<std::pair<promise<database_schema>, database_access>> describes{};
  };
  /// Answered once it is known whether the database gives such sessions.
  struct opening {
    std::string tenant;
    std::string session;
    promise<database_session_record> answer;
    database_session_record record;
  };

  // database_sessions.cpp: the sessions
  promise<database_session_record> open(const open_database_session& request);
  promise<database_session_closed> close(const close_database_session& request);
  result<database_sessions_closed> close_all(const close_database_sessions_of& request);
  promise<database_schema> describe(const describe_database& request);
  void run_describe(promise<database_schema> answer, const db::database_logins& logins, database_access access);
  const session* find_repeated(const open_database_session& request) const;
  result<session*> find(const database_session_owner& owner, const std::string& id);
  session* find_alive(const std::string& id);
  void end_session(const std::string& id, const std::string& why, bool by_owner);
  timestamp expiry_of(const session& of);
  std::size_t sessions_of(const tenant_id& tenant) const;
  database_session_figures figures();
  void on_tick();

  // database_sessions_statements.cpp: a statement, from its request to its answer
  sql_promise execute(execute_sql& request);
  result<sql_cancelled> cancel(const cancel_sql& request);
  void work(session& of);
  void begin(session& of);
  void run_statement(session& of);
  void on_told(const std::string& id, const sql_told& told);
  void conclude(const std::string& id, const std::shared_ptr<sql_told>& told);
  void look_at_hazards(session& of, const std::shared_ptr<sql_told>& told);
  void look_at_types(session& of, const std::shared_ptr<sql_told>& told);
  void answer_current(session& of, result<sql_outcome> outcome);
  void answer_cancelled(session& of);
  static void refuse_late(session& of, time_point now);
  sql_outcome outcome_of(session& of, sql_told& told);
  sql_outcome not_begun(const session& of, sql_refusal why) const;
  std::string why_pinned(const session& of) const;

  // database_sessions_parking.cpp: what must be done again, and giving a backend away
  void note_effects(session& of, const db::sql_effects& effects, const std::string& sql, bool was_refused,
                    sql_transaction_status before);
  static bool ran_nothing(const db::sql_effects& effects, const sql_refusal& refused);
  void stop_hearing(session& of, const std::string& channel);
  void note_setting(session& of, const db::sql_effects& effects, const std::string& sql);
  void note_prepared(session& of, const db::sql_effects& effects, const std::string& sql);
  void keep_in_journal(session& of, replayed entry);
  void forget_in_journal(session& of, const std::function<bool(const replayed&)>& which);
  db::sql_effects with_prepared(const session& of, db::sql_effects effects) const;
  bool may_park(const session& of) const;
  static bool may_be_made_as_new(const session& of);
  void park(session& of);
  void replay(const std::string& id, std::size_t from);
  void on_replayed(const std::string& id, std::size_t at, const sql_refusal* refused);

  // database_sessions_backends.cpp: who gets which backend
  void acquire(session& of);
  void serve();
  bool serve_one(session& of);
  void make_room(const session& wanting);
  bool park_longest_idle(const std::function<bool(const session&)>& which);
  void add_slot(session& of, const db::database_logins& logins);
  void assign(slot_number number, session& to);
  void free_slot(slot_number number, bool is_reusable);
  void clean(slot_number number);
  void close_slot(slot_number number);
  void check_role(slot_number number);
  void on_connected(const backend_connected& news);
  void on_ended(const backend_ended& news);
  void leave_line(session& of);
  void fail_waiting(session& of, error why);
  std::size_t slots_of(const std::string& tenant) const;
  std::size_t tenant_backends_max() const;
  void need_logins(const tenant_id& tenant);
  void on_logins(const logins_made& news);
  void forget_logins();

  // database_sessions_notifications.cpp
  promise<database_notifications> read(const read_database_notifications& request);
  bool may_listen(const session& of, const std::string& channel) const;
  void listen(session& of, const std::string& channel, std::function<void()> then);
  void unlisten(session& of, const std::string& channel);
  void on_heard(const backend_heard& news);
  void on_channel(const channel_notified& news);
  void on_gap(const channel_gap& gap);
  void deliver(session& to, const std::string& channel, const std::string& payload);
  void answer_waiters(session& of);
  database_notifications take_notifications(session& of);
  void hear(heard_notification news);
  void hear_next();
  void ask_whose(std::int32_t pid);

  supervisor_actor pool_;
  listener_actor listener_;
  database_sessions_options options_;
  session_map sessions_;
  std::unordered_map<std::string, ended_session> ended_;
  std::deque<std::string> ended_order_;
  std::map<std::string, std::size_t> sessions_of_;
  slot_map slots_;
  slot_number last_slot_ = 0;
  std::list<std::string> waiting_; // sessions, first come first served
  std::map<std::string, login_state> logins_;
  std::vector<opening> openings_;
  std::map<db::column_type_key, std::string> type_names_;
  std::map<std::string, std::set<std::string>> channels_; // to sessions
  struct known_pid {
    std::string tenant;                // "": of none whose notifications are for anybody
    std::optional<time_point> until{}; // none: while its slot is there
    bool is_gone = false;              // before anybody could be asked whose it was
  };
  std::unordered_map<std::int32_t, known_pid> pids_;
  std::deque<heard_notification> heard_; // in order, while it is asked whose the first one is
  bool is_asking_whose_ = false;
  bool serving_ = false;
  bool serve_again_ = false;
  database_session_figures counted_;
};

} // namespace colloquy::actors
