#include "actors/connection.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

// How often deadlines are looked at; they are long, so coarse is enough.
constexpr std::chrono::milliseconds tick_interval{250};

} // namespace

connection::connection(caf::actor_config& config, std::uint64_t slot, connection_owner owner,
                       std::shared_ptr<const connection_options> options)
  : connection_internal::base(config)
  , slot_(slot)
  , owner_(std::move(owner))
  , options_(std::move(options)) {}

connection::behavior_type connection::make_behavior() {
  start();
  return {[this](run_unit& request) { return run(request); }, [this](const socket_ready& ready) { on_socket(ready); },
          [this](connection_tick) { on_tick(); }};
}

void connection::on_exit() {
  owner_ = nullptr; // its supervisor learns of it by monitoring
  give_up({db::failure_kind::connection_lost, "", "the connection's actor ended"});
  options_.reset(); // the I/O thread may be the last to let go of this actor, and must not be the one to end itself
}

void connection::start() {
  connect_deadline_ = clock().now() + options_->connect_timeout;
  auto started = db::pipeline_connection::start(options_->target);
  if (!started)
    return give_up({db::failure_kind::wait, "", started.failure().message});
  link_ = std::move(started).value();
  delayed_send(this, tick_interval, connection_tick{});
  // libpq: after the start, wait until the socket is writable before the first poll.
  watch_for(db::io_need::write);
}

connection::promise connection::run(run_unit& request) {
  auto answer = make_response_promise<db::unit_outcome>();
  if (ended_) {
    answer.deliver(db::unit_outcome{{}, db::db_failure{db::failure_kind::wait, "", "the connection is gone"}});
    return answer;
  }
  const auto tag = ++last_tag_;
  pending_.emplace(tag, pending_unit{answer, clock().now() + options_->unit_timeout});
  link_->submit(tag, std::move(request.work));
  if (link_->connected())
    advance();
  return answer;
}

void connection::on_socket(const socket_ready& ready) {
  if (ended_ || ready.generation != generation_)
    return;
  (ready.what == socket_watch::readiness::readable ? read_armed_ : write_armed_) = false;
  advance();
}

void connection::on_tick() {
  if (ended_)
    return;
  const auto now = clock().now();
  if (!link_->ready() && now >= connect_deadline_)
    return give_up({db::failure_kind::wait, "", "no connection within the time allowed (connect_timeout)"});
  if (auto oldest = pending_.find(oldest_tag_);
      link_->ready() && oldest != pending_.end() && now >= oldest->second.deadline)
    return give_up(
        {db::failure_kind::connection_lost, "", "no answer within the time allowed; the connection is given up"});
  delayed_send(this, tick_interval, connection_tick{});
}

void connection::advance() {
  // Until it is connected the socket may be replaced under our feet, so it must not be watched across a poll.
  if (!link_->connected())
    watch_.reset();
  const auto need = link_->advance();
  answer_finished();
  if (link_->broken())
    return give_up(*link_->broken());
  if (link_->ready() && !reported_) {
    reported_ = true;
    send(owner_, connection_ready{slot_, link_->backend_pid()});
  }
  watch_for(need);
}

void connection::watch_for(db::io_need need) {
  if (!watch_) {
    read_armed_ = write_armed_ = false;
    const auto generation = ++generation_;
    watch_ = std::make_unique<socket_watch>(
        *options_->reactor, link_->socket(),
        [self = caf::actor_cast<connection_internal>(this), generation](socket_watch::readiness what) {
          caf::anon_send(self, socket_ready{generation, what});
        });
  }
  if ((need == db::io_need::read || need == db::io_need::read_write) && !std::exchange(read_armed_, true))
    watch_->arm_read();
  if ((need == db::io_need::write || need == db::io_need::read_write) && !std::exchange(write_armed_, true))
    watch_->arm_write();
}

void connection::answer_finished() {
  for (auto& [tag, outcome] : link_->take_finished()) {
    auto found = pending_.find(tag);
    if (found == pending_.end())
      continue;
    found->second.answer.deliver(std::move(outcome));
    pending_.erase(found);
    oldest_tag_ = tag + 1;
  }
}

void connection::give_up(db::db_failure why) {
  if (std::exchange(ended_, true))
    return;
  watch_.reset();
  if (link_)
    answer_finished();
  for (auto& [tag, unit] : pending_)
    unit.answer.deliver(db::unit_outcome{{}, db::db_failure{db::failure_kind::connection_lost, "", why.message}});
  pending_.clear();
  link_.reset();
  if (owner_)
    send(owner_, connection_failed{slot_, std::move(why)});
  quit();
}

} // namespace colloquy::actors
