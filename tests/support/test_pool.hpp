// The real pool on a real server, and blocking calls to it, for tests that look from outside.
#pragma once

#include "actors/supervisor.hpp"
#include "tests/support/eventually.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

/// One statement as a caller brings it: text parameters, text rows.
db::unit sql(const std::string& text, std::vector<std::optional<std::string>> parameters = {});

/// The first column of the first row; "failed: SQLSTATE message" if it failed, "" if there is no row.
std::string only_value(const db::unit_outcome& outcome);

class test_pool {
public:
  /// Two to four backends and short waits, unless changed.
  struct options {
    options();
    actors::pool_options pool;
    actors::connection_options connection;
    db::session_timeouts timeouts;
  };
  explicit test_pool(const std::string& conninfo, options chosen = options());
  ~test_pool();

  caf::actor_system& system() { return system_; }
  const actors::pool_control_actor& handle() const { return pool_; }

  db::unit_outcome run(actors::run_unit unit);
  db::unit_outcome run(const std::string& text) { return run(actors::run_unit{sql(text)}); }
  /// All at once, from one asker; the outcomes in the order of the units, when the last has come.
  std::vector<db::unit_outcome> run_all(std::vector<actors::run_unit> units);

  /// Control messages, and get_pool_status.
  template <class Request>
  result<actors::pool_status> control(Request request) {
    caf::scoped_actor self{system_};
    result<actors::pool_status> outcome{error{error_code::internal, "no answer"}};
    self->request(pool_, std::chrono::seconds{60}, std::move(request))
        .receive([&](result<actors::pool_status>& answer) { outcome = std::move(answer); },
                 [&](const caf::error& failed) {
                   outcome = error{error_code::internal, "caf: " + system_.render(failed)};
                 });
    return outcome;
  }
  actors::pool_status status() { return control(actors::get_pool_status{}).value(); }
  /// Until so many backends are idle, ready for use.
  bool wait_for_idle(std::size_t count);

private:
  caf::actor_system_config config_;
  caf::actor_system system_;
  actors::pool_control_actor pool_;
};

/// One that holds leases: an actor of its own, which can end in several ways.
class test_owner {
public:
  explicit test_owner(test_pool& pool)
    : pool_(pool)
    , self_(std::make_unique<caf::scoped_actor>(pool.system())) {}

  result<actors::leased_connection> lease(actors::lease_connection request);
  /// The lease with that purpose, without an idle timeout; throws if there is none to be had.
  void lease(const std::string& purpose = "test");
  db::unit_outcome run(actors::run_unit unit);
  db::unit_outcome run(const std::string& text) { return run(actors::run_unit{sql(text)}); }
  /// All at once, behind each other on the leased backend; the outcomes in the order of the units.
  std::vector<db::unit_outcome> run_all(std::vector<actors::run_unit> units);
  /// Sends it and does not wait; the answer is dropped.
  void run_without_waiting(const std::string& text);
  const actors::leased_connection& held() const { return held_; }
  std::int32_t backend_pid() const { return held_.backend_pid; }

  void end(bool reusable = true);
  /// As an actor that quits, or is killed.
  void die() { self_.reset(); }

private:
  test_pool& pool_;
  std::unique_ptr<caf::scoped_actor> self_;
  actors::leased_connection held_;
};

} // namespace colloquy::test
