#include "tests/support/stepped_pool.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::test {

using namespace actors;
using namespace std::chrono_literals;

// --- who asks --------------------------------------------------------------------------------------------------------

pool_client::pool_client(caf::actor_system& system, pool_control_actor pool)
  : pool_(std::move(pool))
  , self_(system.spawn([heard = heard_](caf::event_based_actor* self) -> caf::behavior {
    return {[self](client_job& job) { job.what(self); }, [](const backend_notified&) {},
            [heard](const lease_recalled& recalled) { heard->recalled.push_back(recalled.lease); },
            [heard](const lease_lost& lost) { heard->lost.push_back(lost.lease); },
            [heard](const pool_event& event) { heard->events.push_back(event); }};
  })) {}

template <class Value, class Handle, class Request>
std::shared_ptr<pool_answer<Value>> pool_client::ask(const Handle& to, Request request) {
  auto answer = std::make_shared<pool_answer<Value>>();
  caf::anon_send(self_, client_job{[answer, to, request](caf::event_based_actor* self) {
                   answer->asked_at = self->clock().now();
                   self->request(to, caf::infinite, request)
                       .then(
                           [answer, self](Value& value) {
                             ++answer->times;
                             answer->value = std::move(value);
                             answer->came_at = self->clock().now();
                           },
                           [answer, self](const caf::error& failed) {
                             ++answer->times;
                             answer->caf_error = self->system().render(failed);
                             answer->came_at = self->clock().now();
                           });
                 }});
  return answer;
}

unit_answer pool_client::run(run_unit unit) {
  return ask<db::unit_outcome>(pool_, std::move(unit));
}

lease_answer pool_client::lease(lease_connection terms) {
  return ask<result<leased_connection>>(pool_, std::move(terms));
}

unit_answer pool_client::run_on(const lease_answer& lease, run_unit unit) {
  unit.lease = lease->value->value().lease;
  return ask<db::unit_outcome>(lease->value->value().connection, std::move(unit));
}

void pool_client::end(const lease_answer& lease, bool reusable) {
  caf::anon_send(self_, client_job{[to = pool_, ended = end_lease{lease->value->value().lease, reusable}](
                                       caf::event_based_actor* self) { self->send(to, ended); }});
}

void pool_client::subscribe() {
  caf::anon_send(pool_, subscribe_pool{caf::actor_cast<pool_subscriber>(self_)});
}

void pool_client::die() {
  caf::anon_send_exit(self_, caf::exit_reason::kill);
  self_ = nullptr;
}

leaseholder_actor pool_client::as_holder() const {
  return caf::actor_cast<leaseholder_actor>(self_);
}

std::size_t pool_client::count(pool_event_kind kind) const {
  return static_cast<std::size_t>(std::count_if(heard_->events.begin(), heard_->events.end(),
                                                [kind](const auto& each) { return each.kind == kind; }));
}

// --- the pool --------------------------------------------------------------------------------------------------------

pool_options pool_of(std::size_t min, std::size_t max) {
  pool_options options;
  options.connections_min = min;
  options.connections_max = max;
  options.report_interval = 1000h;
  return options;
}

run_unit unit_for(const std::string& tenant, bool idempotent) {
  static constexpr db::statement nothing{"nothing", "SELECT 1", {}};
  run_unit unit{db::unit{{{&nothing, {}}}}};
  unit.tenant = tenant;
  unit.purpose = "test";
  unit.idempotent = idempotent;
  return unit;
}

lease_connection lease_for(const std::string& tenant, const std::string& purpose) {
  lease_connection terms;
  terms.tenant = tenant;
  terms.purpose = purpose;
  return terms;
}

stepped_pool::stepped_pool(pool_options options)
  : pool(caf::actor_cast<pool_control_actor>(steps.system().spawn<supervisor>(
        std::move(options), std::make_shared<const connection_options>(), server.factory()))) {}

stepped_pool::~stepped_pool() {
  caf::anon_send_exit(pool, caf::exit_reason::user_shutdown);
  steps.run();
  server.kill_all();
  steps.run();
}

void stepped_pool::warm_up() {
  const auto min = status().min;
  for (int i = 0; i < 1000 && status().total < min; ++i)
    advance(20ms);
}

pool_status stepped_pool::status() {
  return control(get_pool_status{}).value();
}

} // namespace colloquy::test
