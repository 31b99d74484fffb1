// The supervisor on backends that the test plays (fake_connections.hpp), on a time that stands still until it is
// advanced; and those who ask it, each an actor of its own that the test can end.
#pragma once

#include "tests/support/fake_connections.hpp"
#include "tests/support/stepped_system.hpp"

#include <caf/event_based_actor.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

/// What came of a request. One whose asker has ended is never answered.
template <class Value>
struct pool_answer {
  std::optional<Value> value{};
  std::size_t times = 0;
  actors::pool_time asked_at{};
  actors::pool_time came_at{};
  std::string caf_error{}; ///< instead of a value: nobody answers any more

  bool has_come() const { return times > 0; }
  std::chrono::milliseconds waited() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(came_at - asked_at);
  }
};
using unit_answer = std::shared_ptr<pool_answer<db::unit_outcome>>;
using lease_answer = std::shared_ptr<pool_answer<result<actors::leased_connection>>>;

/// Test to client: do this, as yourself.
struct client_job {
  std::function<void(caf::event_based_actor*)> what;
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::client_job)

namespace colloquy::test {

/// One that asks the pool, holds leases, and hears of them and of the pool. Cheap to copy.
class pool_client {
public:
  pool_client(caf::actor_system& system, actors::pool_control_actor pool);

  unit_answer run(actors::run_unit unit);
  lease_answer lease(actors::lease_connection terms = {});
  /// On the backend of a lease that was granted.
  unit_answer run_on(const lease_answer& lease, actors::run_unit unit);
  void end(const lease_answer& lease, bool reusable = true);
  void subscribe();
  void die();

  actors::leaseholder_actor as_holder() const;
  const std::vector<actors::lease_id>& recalled() const { return heard_->recalled; }
  const std::vector<actors::lease_id>& lost() const { return heard_->lost; }
  const std::vector<actors::pool_event>& events() const { return heard_->events; }
  std::size_t count(actors::pool_event_kind kind) const;

private:
  struct news {
    std::vector<actors::lease_id> recalled;
    std::vector<actors::lease_id> lost;
    std::vector<actors::pool_event> events;
  };
  template <class Value, class Handle, class Request>
  std::shared_ptr<pool_answer<Value>> ask(const Handle& to, Request request);

  actors::pool_control_actor pool_;
  std::shared_ptr<news> heard_ = std::make_shared<news>();
  caf::actor self_;
};

/// Options for tests: the pool's own report does not get in the way.
actors::pool_options pool_of(std::size_t min, std::size_t max);
/// A unit of one statement.
actors::run_unit unit_for(const std::string& tenant = "", bool idempotent = false);
actors::lease_connection lease_for(const std::string& tenant = "", const std::string& purpose = "test");

class stepped_pool {
public:
  explicit stepped_pool(actors::pool_options options);
  ~stepped_pool();
  stepped_pool(const stepped_pool&) = delete;
  stepped_pool& operator=(const stepped_pool&) = delete;

  /// Time passes in steps of `each`.
  void advance(std::chrono::milliseconds time, std::chrono::milliseconds each = std::chrono::milliseconds{5}) {
    steps.advance(time, each);
  }
  void run() { steps.run(); }
  /// Until all of the minimum are there.
  void warm_up();
  pool_client client() { return {steps.system(), pool}; }
  actors::pool_time now() { return steps.system().clock().now(); }
  actors::pool_status status();
  /// A request of control, and the status that answers it.
  template <class Request>
  result<actors::pool_status> control(Request request) {
    auto answer = steps.ask<actors::pool_status>(pool, std::move(request));
    steps.run();
    return answer->has_value() ? std::move(**answer) : result<actors::pool_status>(error{error_code::internal, "none"});
  }

  stepped_system steps;
  fake_server server;
  actors::pool_control_actor pool;
};

} // namespace colloquy::test
