#include "bench/load/actor_place.hpp"

#include "actors/scheduler.hpp"
#include "bench/bench_failure.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <future>
#include <utility>

namespace colloquy::load {

actor_place::scheduling::scheduling(std::size_t threads) {
  actors::use_sparing_scheduler(*this, threads); // as the program does
}

actor_place::actor_place(const config::settings& settings, const std::string& conninfo, std::size_t tenants,
                         std::size_t threads)
  : settings_(settings)
  , scheduling_(threads)
  , system_(scheduling_) {
  auto started = actors::service::start(system_, {settings_, conninfo});
  if (!started)
    throw bench::bench_failure("the service did not start: " + started.failure().message);
  service_ = std::move(started).value();
  std::promise<void> made;
  actor_ = system_.spawn([this, tenants, &made](caf::event_based_actor* self) -> caf::behavior {
    client_ = std::make_unique<actor_client>(self, *service_, tenants);
    made.set_value();
    return {[](const to_be_done& wanted) { wanted.what(); }};
  });
  made.get_future().wait();
}

void actor_place::post(std::function<void()> what) {
  caf::anon_send(actor_, to_be_done{std::move(what)});
}

void actor_place::end() {
  if (!actor_)
    return;
  caf::scoped_actor self(system_);
  self->monitor(actor_);
  self->send_exit(actor_, caf::exit_reason::kill);
  self->receive([](const caf::down_msg&) {});
  actor_ = nullptr;
}

void actor_place::stop() {
  end();
  if (auto stopped = service_->stop(settings_.request_timeout); !stopped)
    throw bench::bench_failure("the service did not stop in order: " + stopped.failure().message);
  service_.reset();
}

} // namespace colloquy::load
