#include "tests/support/test_pool.hpp"

#include "db/endpoint.hpp"

#include <caf/send.hpp>

#include <stdexcept>

namespace colloquy::test {

using namespace std::chrono_literals;

namespace {
constexpr auto call_timeout = 90s;

db::unit_outcome no_answer(const std::string& why) {
  return {{}, db::db_failure{db::failure_kind::fault, "", "no answer: " + why}};
}

/// One that has ended before it could look at the request has done nothing.
db::unit_outcome no_answer(const caf::error& failed) {
  auto outcome = no_answer(caf::to_string(failed));
  if (failed == caf::sec::request_receiver_down)
    outcome.failure = db::db_failure{db::failure_kind::wait, "", "the connection has ended"};
  return outcome;
}

template <class Handle>
std::vector<db::unit_outcome> ask_all(caf::scoped_actor& self, const Handle& whom,
                                      std::vector<actors::run_unit> units) {
  using answer_handle = decltype(self->request(whom, call_timeout, std::move(units.front())));
  std::vector<answer_handle> answers;
  for (auto& unit : units)
    answers.push_back(self->request(whom, call_timeout, std::move(unit)));
  std::vector<db::unit_outcome> outcomes(answers.size(), no_answer("none"));
  for (std::size_t i = 0; i < answers.size(); ++i)
    answers[i].receive([&](db::unit_outcome& answer) { outcomes[i] = std::move(answer); },
                       [&](const caf::error& failed) { outcomes[i] = no_answer(failed); });
  return outcomes;
}
} // namespace

db::unit sql(const std::string& text, std::vector<std::optional<std::string>> parameters) {
  auto statement = std::make_shared<db::caller_statement>();
  statement->sql = text;
  return {{{nullptr, std::move(parameters), std::move(statement)}}};
}

std::string only_value(const db::unit_outcome& outcome) {
  if (outcome.failure)
    return "failed: " + outcome.failure->sqlstate + " " + outcome.failure->message;
  if (outcome.results.empty() || outcome.results.back().count() == 0 || outcome.results.back().is_null(0, 0))
    return "";
  return std::string(outcome.results.back().get(0, 0));
}

test_pool::options::options() {
  pool.connections_min = 2;
  pool.connections_max = 4;
  pool.acquire_timeout = 10s;
  pool.application_name = "colloquy-test";
  connection.connect_timeout = 10s;
  connection.unit_timeout = 30s;
  connection.cancel_grace = 5s;
  timeouts = {25s, 60s, 10s};
}

test_pool::test_pool(const std::string& conninfo, options chosen)
  : system_(config_) {
  auto connecting = std::make_shared<actors::connection_options>(std::move(chosen.connection));
  connecting->endpoint.conninfo = conninfo;
  auto endpoint = db::prepare_endpoint(connecting->endpoint);
  if (!endpoint)
    throw std::runtime_error(endpoint.failure().message);
  connecting->target =
      db::service_target(endpoint->conninfo, "public", chosen.pool.application_name + " pool", chosen.timeouts);
  connecting->has_host_names = db::has_host_names(endpoint->conninfo);
  connecting->reactor = std::make_shared<actors::io_reactor>();
  pool_ = caf::actor_cast<actors::pool_control_actor>(
      system_.spawn<actors::supervisor>(std::move(chosen.pool), std::move(connecting)));
}

test_pool::~test_pool() {
  caf::scoped_actor self{system_};
  const auto handle = caf::actor_cast<caf::actor>(pool_);
  self->send_exit(handle, caf::exit_reason::user_shutdown);
  self->wait_for(handle);
}

db::unit_outcome test_pool::run(actors::run_unit unit) {
  caf::scoped_actor self{system_};
  auto outcome = no_answer("none");
  self->request(pool_, call_timeout, std::move(unit))
      .receive([&](db::unit_outcome& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) { outcome = no_answer(system_.render(failed)); });
  return outcome;
}

std::vector<db::unit_outcome> test_pool::run_all(std::vector<actors::run_unit> units) {
  caf::scoped_actor self{system_};
  return ask_all(self, pool_, std::move(units));
}

bool test_pool::wait_for_idle(std::size_t count) {
  return eventually([&] { return status().idle >= count; });
}

result<actors::leased_connection> test_owner::lease(actors::lease_connection request) {
  result<actors::leased_connection> outcome{error{error_code::internal, "no answer"}};
  (*self_)
      ->request(pool_.handle(), call_timeout, std::move(request))
      .receive([&](result<actors::leased_connection>& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) {
                 outcome = error{error_code::internal, "caf: " + pool_.system().render(failed)};
               });
  if (outcome)
    held_ = outcome.value();
  return outcome;
}

void test_owner::lease(const std::string& purpose) {
  if (auto got = lease(actors::lease_connection{purpose}); !got)
    throw std::runtime_error("no lease: " + got.failure().message);
}

db::unit_outcome test_owner::run(actors::run_unit unit) {
  unit.lease = held_.lease;
  auto outcome = no_answer("none");
  (*self_)
      ->request(held_.connection, call_timeout, std::move(unit))
      .receive([&](db::unit_outcome& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) { outcome = no_answer(pool_.system().render(failed)); });
  return outcome;
}

std::vector<db::unit_outcome> test_owner::run_all(std::vector<actors::run_unit> units) {
  for (auto& unit : units)
    unit.lease = held_.lease;
  return ask_all(*self_, held_.connection, std::move(units));
}

void test_owner::run_without_waiting(const std::string& text) {
  actors::run_unit unit{sql(text)};
  unit.lease = held_.lease;
  (*self_)->send(held_.connection, std::move(unit));
}

void test_owner::end(bool reusable) {
  caf::anon_send(pool_.handle(), actors::end_lease{held_.lease, reusable});
}

} // namespace colloquy::test
