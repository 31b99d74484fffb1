#include "bench/sessions/sessions_service.hpp"

#include "actors/session_interface.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <thread>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto check_pause = 100ms;
constexpr auto poll_pause = 500us;
constexpr auto sleep_limit = 60s;
constexpr std::size_t resident_bytes_a_session = 2048; // what the service reckons with

config::settings with_room(config::settings settings, const memory_room& room) {
  settings.request_timeout = config::settings{}.request_timeout;
  // From nine tenths on, one is asked to sleep for each who comes.
  settings.sessions_resident_max = room.sessions + room.sessions / 4 + 100;
  settings.resident_bytes_max =
      std::max(settings.resident_bytes_max, settings.sessions_resident_max * resident_bytes_a_session);
  settings.tail_cache_bytes_max = room.tail_cache_bytes_max;
  return settings;
}

} // namespace

sessions_service::sessions_service(const bench_options& options, const memory_room& room, interruption_check check)
  : check_(std::move(check))
  , database_(options)
  , settings_(with_room(database_.settings(), room))
  , system_config_(options)
  , system_(system_config_) {
  auto started = actors::service::start(system_, {settings_, database_.service_conninfo()});
  if (!started)
    throw bench_failure("the service did not start: " + started.failure().message);
  service_ = std::move(started).value();
}

void sessions_service::await(const caf::actor& actor) {
  caf::scoped_actor self(system_);
  self->monitor(actor);
  bool has_ended = false;
  while (!has_ended)
    self->receive([&](const caf::down_msg&) { has_ended = true; }, caf::after(check_pause) >> [this] { check_(); });
}

void sessions_service::pause(std::chrono::milliseconds length) {
  const auto until = steady::now() + length;
  for (; steady::now() < until; std::this_thread::sleep_for(std::min<steady::duration>(check_pause, length)))
    check_();
}

std::size_t sessions_service::resident() {
  return must(get_health{}).sessions_resident;
}

void sessions_service::put_to_sleep(const std::vector<session_key>& sessions) {
  const auto before = resident();
  const auto others = before - std::min(before, sessions.size());
  const auto directory = caf::actor_cast<caf::actor>(service_->directory());
  for (const auto& each : sessions)
    caf::anon_send(directory, actors::session_finished{each});
  for (const auto begun = steady::now(); resident() > others; std::this_thread::sleep_for(poll_pause)) {
    check_();
    if (steady::now() - begun > sleep_limit)
      throw bench_failure(std::to_string(resident() - others) + " sessions did not fall asleep");
  }
}

void sessions_service::stop() {
  if (auto stopped = service_->stop(settings_.request_timeout); !stopped)
    throw bench_failure("the service did not stop in order: " + stopped.failure().message);
  database_.stop();
}

} // namespace colloquy::bench
