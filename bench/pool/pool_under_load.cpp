#include "bench/pool/pool_under_load.hpp"

#include "actors/scheduler.hpp"
#include "db/embedded_roles.hpp"

#include <thread>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

caf::actor_system_config& configured(caf::actor_system_config& config) {
  actors::use_sparing_scheduler(config, 2);
  return config;
}

} // namespace

db::unit caller_unit(const std::string& text) {
  auto statement = std::make_shared<db::caller_statement>();
  statement->sql = text;
  return {{{nullptr, {}, std::move(statement)}}};
}

pool_under_load::pool_under_load(std::size_t connections_min, std::size_t connections_max)
  : database_(bench_options{})
  , system_(configured(config_)) {
  const auto& settings = database_.settings();
  auto connecting = std::make_shared<actors::connection_options>();
  connecting->target =
      db::service_target(database_.service_conninfo(), settings.schema, settings.application_name + " pool",
                         {settings.statement_timeout, settings.idle_in_transaction_timeout, settings.lock_timeout});
  connecting->reactor = std::make_shared<actors::io_reactor>();
  actors::pool_options pool;
  pool.connections_min = connections_min;
  pool.connections_max = connections_max;
  pool.acquire_timeout = 60s;
  pool.application_name = settings.application_name;
  pool_ = caf::actor_cast<actors::pool_control_actor>(system_.spawn<actors::supervisor>(pool, std::move(connecting)));
  wait_until_ready(connections_min, 10s);
}

pool_under_load::~pool_under_load() {
  caf::scoped_actor self{system_};
  const auto handle = caf::actor_cast<caf::actor>(pool_);
  self->send_exit(handle, caf::exit_reason::user_shutdown);
  self->wait_for(handle);
}

actors::pool_status pool_under_load::status() {
  caf::scoped_actor self{system_};
  actors::pool_status found;
  bool answered = false;
  self->request(pool_, 10s, actors::get_pool_status{})
      .receive(
          [&](result<actors::pool_status>& answer) {
            answered = answer.has_value();
            if (answer)
              found = std::move(answer).value();
          },
          [](const caf::error&) {});
  if (!answered)
    throw bench_failure("the pool does not answer");
  return found;
}

std::chrono::milliseconds pool_under_load::wait_until_ready(std::size_t count, std::chrono::milliseconds limit) {
  const auto begun = std::chrono::steady_clock::now();
  for (;;) {
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    if (status().total >= count)
      return passed;
    if (passed > limit)
      throw bench_failure("the pool is not back at " + std::to_string(count) + " connections after " +
                          std::to_string(passed.count()) + " ms");
    std::this_thread::sleep_for(5ms);
  }
}

db::connection_ptr pool_under_load::superuser() const {
  db::connection_ptr made(PQconnectdb(database_.superuser_conninfo().c_str()));
  if (PQstatus(made.get()) != CONNECTION_OK)
    throw bench_failure(PQerrorMessage(made.get()));
  return made;
}

} // namespace colloquy::bench
