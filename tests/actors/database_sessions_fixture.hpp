// The database sessions actor on a real server, and blocking calls to it.
#pragma once

#include "actors/database_sessions.hpp"
#include "actors/listener.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/scoped_actor.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

inline database_session_owner caller(const std::string& tenant_name, const std::string& principal = "key:1") {
  return {tenant_id::parse(tenant_name).value(), principal};
}

class test_database_sessions {
public:
  explicit test_database_sessions(const std::function<void(actors::database_sessions_options&)>& change = {})
    : database_(test_database::make())
    , pool_(database_.service_conninfo()) {
    actors::database_sessions_options options;
    options.place = {database_.owner_conninfo(), "public"};
    options.reactor = std::make_shared<actors::io_reactor>();
    if (change)
      change(options);
    const auto supervisor = caf::actor_cast<actors::supervisor_actor>(pool_.handle());
    listener_ = caf::actor_cast<actors::listener_actor>(
        pool_.system().spawn<actors::listener>(supervisor, actors::listener_options{}));
    sessions_ = caf::actor_cast<database_sessions_actor>(
        pool_.system().spawn<actors::database_sessions>(supervisor, listener_, std::move(options)));
  }
  ~test_database_sessions() {
    caf::scoped_actor self{pool_.system()};
    for (const auto& each : {caf::actor_cast<caf::actor>(sessions_), caf::actor_cast<caf::actor>(listener_)}) {
      self->send_exit(each, caf::exit_reason::user_shutdown);
      self->wait_for(each);
    }
    sessions_ = nullptr;
    listener_ = nullptr;
  }
  test_database_sessions(const test_database_sessions&) = delete;
  test_database_sessions& operator=(const test_database_sessions&) = delete;

  const test_database& database() const { return database_; }
  caf::actor_system& system() { return pool_.system(); }
  const database_sessions_actor& handle() const { return sessions_; }

  template <class Request>
  result<typename Request::reply> ask(Request request) {
    using reply = typename Request::reply;
    caf::scoped_actor self{pool_.system()};
    result<reply> outcome{error{error_code::internal, "no answer"}};
    self->request(sessions_, std::chrono::seconds{120}, std::move(request))
        .receive([&](result<reply>& answer) { outcome = std::move(answer); },
                 [&](const caf::error& failed) {
                   outcome = error{error_code::internal, "caf: " + pool_.system().render(failed)};
                 });
    return outcome;
  }

  /// Its id.
  std::string open(const std::string& tenant_name, database_access access = database_access::read_write,
                   database_parking parking = database_parking::automatic) {
    open_database_session wanted;
    wanted.owner = caller(tenant_name);
    wanted.access = access;
    wanted.parking = parking;
    auto opened = ask(std::move(wanted));
    INFO((opened ? "" : opened.failure().message));
    REQUIRE(opened);
    return opened->id;
  }

  result<sql_outcome> run(const std::string& tenant_name, const std::string& id, const std::string& sql,
                          std::vector<sql_parameter> parameters = {},
                          std::chrono::milliseconds timeout = std::chrono::seconds{60}) {
    execute_sql wanted;
    wanted.owner = caller(tenant_name);
    wanted.id = id;
    wanted.sql = sql;
    wanted.parameters = std::move(parameters);
    wanted.timeout = timeout;
    return ask(std::move(wanted));
  }

  /// The first value of the first row; what the server or we said against it as "SQLSTATE message" or "code: message".
  std::string value(const std::string& tenant_name, const std::string& id, const std::string& sql,
                    std::vector<sql_parameter> parameters = {}) {
    return value_of(run(tenant_name, id, sql, std::move(parameters)));
  }
  static std::string value_of(const result<sql_outcome>& outcome) {
    if (!outcome)
      return std::string(to_string(outcome.failure().code)) + ": " + outcome.failure().message;
    if (outcome->refused)
      return outcome->refused->sqlstate + " " + outcome->refused->message;
    return outcome->rows.empty() || outcome->rows.front().empty() ? "" : outcome->rows.front().front().value_or("null");
  }
  /// Why it is pinned after the statement.
  std::string pin(const std::string& tenant_name, const std::string& id, const std::string& sql) {
    auto outcome = run(tenant_name, id, sql);
    INFO(sql << ": " << value_of(outcome));
    REQUIRE(outcome);
    return outcome->pinned;
  }

  std::vector<database_notification> notifications(const std::string& tenant_name, const std::string& id,
                                                   std::chrono::milliseconds wait) {
    read_database_notifications wanted;
    wanted.owner = caller(tenant_name);
    wanted.id = id;
    wanted.wait = wait;
    auto got = ask(std::move(wanted));
    REQUIRE(got);
    return got->notifications;
  }

  result<database_session_closed> close(const std::string& tenant_name, const std::string& id) {
    return ask(close_database_session{caller(tenant_name), id});
  }
  database_session_figures figures() { return ask(get_database_session_figures{}).value(); }

  /// Backends that the server has of the roles of database sessions.
  std::string backends(const std::string& more = "") const {
    return database_.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                           " AND usename ~ '^cq[rw]_' " +
                           more);
  }

private:
  test_database database_;
  test_pool pool_;
  actors::listener_actor listener_;
  database_sessions_actor sessions_;
};

} // namespace colloquy::test
