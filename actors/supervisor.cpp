#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;
constexpr auto connect_delay_first = 50ms;
constexpr auto connect_delay_max = 5000ms; // a returning database is found within this
constexpr auto lasting = 1000ms;           // a connection that is lost sooner counts as one that could not be made

std::chrono::milliseconds with_jitter(std::chrono::milliseconds delay) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> spread(delay.count() * 3 / 4, delay.count() * 5 / 4);
  return std::chrono::milliseconds{spread(generator)};
}

db::unit_outcome failed_outcome(const error& why) {
  return {{}, db::db_failure{db::failure_kind::wait, "", why.message}};
}

} // namespace

supervisor::supervisor(caf::actor_config& config, pool_options pool,
                       std::shared_ptr<const connection_options> connection)
  : supervisor_internal::base(config)
  , pool_(pool)
  , connection_options_(std::move(connection))
  , connect_delay_(connect_delay_first) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
}

supervisor::behavior_type supervisor::make_behavior() {
  fill();
  delayed_send(this, tick_interval, supervisor_tick{});
  return {[this](run_unit& request) { return run(request); },
          [this](const lease_connection& request) { return lease(request); },
          [this](const connection_ready& ready) { on_ready(ready); },
          [this](const connection_failed& failed) { on_failed(failed); },
          [this](supervisor_tick) { on_tick(); },
          [this](fill_slots) {
            fill_scheduled_ = false;
            fill();
          }};
}

void supervisor::on_exit() {
  const error gone{error_code::database_unavailable, "the pool is shutting down"};
  for (auto& waiter : waiting_units_)
    waiter.answer.deliver(failed_outcome(gone));
  for (auto& waiter : waiting_leases_)
    waiter.answer.deliver(result<leased_connection>(gone));
  waiting_units_.clear();
  waiting_leases_.clear();
  for (auto& [number, entry] : slots_)
    send_exit(entry.connection, caf::exit_reason::user_shutdown);
  slots_.clear();
  connection_options_.reset();
}

supervisor::unit_promise supervisor::run(run_unit& request) {
  auto answer = make_response_promise<db::unit_outcome>();
  if (auto* chosen = pick_shared()) {
    answer.delegate(chosen->connection, std::move(request));
    return answer;
  }
  if (waiting_units_.size() >= pool_.waiters_max)
    answer.deliver(failed_outcome({error_code::overloaded, "too many wait for a connection"}));
  else
    waiting_units_.push_back({answer, std::move(request), clock().now() + pool_.acquire_timeout});
  return answer;
}

supervisor::lease_promise supervisor::lease(const lease_connection& request) {
  auto answer = make_response_promise<result<leased_connection>>();
  if (waiting_leases_.size() >= pool_.waiters_max) {
    answer.deliver(result<leased_connection>(error{error_code::overloaded, "too many wait for a connection", 100ms}));
    return answer;
  }
  waiting_leases_.push_back({answer, current_sender(), request.purpose, clock().now() + pool_.acquire_timeout});
  serve_waiters();
  return answer;
}

void supervisor::on_ready(const connection_ready& ready) {
  auto found = slots_.find(ready.slot);
  if (found == slots_.end())
    return;
  found->second.ready = true;
  found->second.ready_since = clock().now();
  found->second.backend_pid = ready.backend_pid;
  last_failure_.clear();
  spdlog::debug("connection {} is ready, backend {}", ready.slot, ready.backend_pid);
  serve_waiters();
}

void supervisor::on_failed(const connection_failed& failed) {
  auto found = slots_.find(failed.slot);
  if (found == slots_.end())
    return;
  const bool was_ready = found->second.ready;
  const bool had_lasted = has_lasted(found->second);
  slots_.erase(found);
  last_failure_ = failed.why.message;
  if (was_ready) {
    spdlog::warn("connection {} lost: {}", failed.slot, failed.why.message);
    if (had_lasted)
      return schedule_fill(0ms);
  } else {
    spdlog::warn("cannot connect to the database, next try in about {} ms: {}", connect_delay_.count(),
                 failed.why.message);
  }
  schedule_fill(with_jitter(connect_delay_));
  connect_delay_ = std::min(connect_delay_ * 2, std::chrono::milliseconds{connect_delay_max});
}

void supervisor::on_down(const caf::down_msg& down) {
  for (auto at = slots_.begin(); at != slots_.end(); ++at) {
    const bool holder_died = at->second.leaseholder == down.source;
    const bool connection_died = at->second.connection.address() == down.source;
    if (!holder_died && !connection_died)
      continue;
    if (holder_died) {
      spdlog::debug("connection {} ends with its leaseholder", at->first);
      send_exit(at->second.connection, caf::exit_reason::user_shutdown);
    }
    slots_.erase(at);
    schedule_fill(0ms);
    return;
  }
}

bool supervisor::has_lasted(const slot& entry) {
  return entry.ready && clock().now() - entry.ready_since >= lasting;
}

void supervisor::on_tick() {
  const auto now = clock().now();
  if (std::any_of(slots_.begin(), slots_.end(), [this](const auto& entry) { return has_lasted(entry.second); }))
    connect_delay_ = connect_delay_first;
  while (!waiting_units_.empty() && waiting_units_.front().deadline <= now) {
    waiting_units_.front().answer.deliver(failed_outcome(why_unavailable()));
    waiting_units_.pop_front();
  }
  while (!waiting_leases_.empty() && waiting_leases_.front().deadline <= now) {
    waiting_leases_.front().answer.deliver(result<leased_connection>(why_unavailable()));
    waiting_leases_.pop_front();
  }
  fill();
  delayed_send(this, tick_interval, supervisor_tick{});
}

void supervisor::fill() {
  if (fill_scheduled_) // a failed try decides when the next one is due
    return;
  while (slots_.size() < pool_.connections_min)
    add_slot();
  // Someone waits, and leases have taken what there is: grow, one at a time.
  const bool wanted = !waiting_leases_.empty() || !waiting_units_.empty();
  const bool connecting =
      std::any_of(slots_.begin(), slots_.end(), [](const auto& entry) { return !entry.second.ready; });
  if (wanted && !connecting && slots_.size() < pool_.connections_max)
    add_slot();
}

void supervisor::add_slot() {
  const auto number = ++last_slot_;
  auto spawned = spawn<connection>(number, caf::actor_cast<connection_owner>(this), connection_options_);
  monitor(spawned);
  slots_.emplace(number, slot{spawned, 0, false, {}});
}

void supervisor::schedule_fill(std::chrono::milliseconds delay) {
  if (std::exchange(fill_scheduled_, true))
    return;
  delayed_send(this, delay, fill_slots{});
}

void supervisor::serve_waiters() {
  while (!waiting_leases_.empty()) {
    auto* chosen = pick_for_lease();
    if (!chosen) {
      fill();
      break;
    }
    grant(*chosen, waiting_leases_.front());
    waiting_leases_.pop_front();
  }
  while (!waiting_units_.empty()) {
    auto* chosen = pick_shared();
    if (!chosen)
      break;
    waiting_units_.front().answer.delegate(chosen->connection, std::move(waiting_units_.front().request));
    waiting_units_.pop_front();
  }
}

supervisor::slot* supervisor::pick_shared() {
  const auto usable = [](const auto& entry) { return entry.second.ready && !entry.second.is_leased(); };
  auto found = std::find_if(slots_.upper_bound(last_picked_), slots_.end(), usable);
  if (found == slots_.end())
    found = std::find_if(slots_.begin(), slots_.end(), usable);
  if (found == slots_.end())
    return nullptr;
  last_picked_ = found->first;
  return &found->second;
}

supervisor::slot* supervisor::pick_for_lease() {
  // The last shared connection is not leased away while another can still be made: units need one.
  if (shared_and_ready() < 2 && slots_.size() < pool_.connections_max)
    return nullptr;
  return pick_shared();
}

void supervisor::grant(slot& chosen, waiting_lease& waiter) {
  if (waiter.asker) {
    chosen.leaseholder = caf::actor_cast<caf::actor_addr>(waiter.asker);
    monitor(chosen.leaseholder);
  }
  spdlog::debug("backend {} is leased: {}", chosen.backend_pid, waiter.purpose);
  waiter.answer.deliver(result<leased_connection>(leased_connection{chosen.connection, chosen.backend_pid}));
}

std::size_t supervisor::shared_and_ready() const {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const auto& entry) { return entry.second.ready && !entry.second.is_leased(); }));
}

error supervisor::why_unavailable() const {
  if (!last_failure_.empty())
    return {error_code::database_unavailable, "no connection to the database: " + last_failure_, 1000ms};
  return {error_code::database_unavailable, "no free connection within the time allowed; see pool_max", 1000ms};
}

} // namespace colloquy::actors
