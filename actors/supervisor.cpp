// The pool's front: who wants something, and who gets it. See supervisor.hpp for the rules.
#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// A backend that was idle for longer makes a round trip before it is given out: its network may have gone since.
constexpr auto fresh_for = 10s;

// One that is told to come back later.
constexpr auto full_retry_after = 100ms;

constexpr std::size_t retries_max = 10'000;

constexpr std::size_t subscribers_max = 1000;

std::chrono::microseconds since(pool_time then, pool_time now) {
  return std::chrono::duration_cast<std::chrono::microseconds>(now - then);
}

} // namespace

managed_connection_actor spawn_connection(caf::local_actor& parent, std::uint64_t slot, connection_owner owner,
                                          std::shared_ptr<const connection_options> options) {
  return caf::actor_cast<managed_connection_actor>(
      parent.spawn<connection>(slot, std::move(owner), std::move(options)));
}

supervisor::supervisor(caf::actor_config& config, pool_options pool,
                       std::shared_ptr<const connection_options> connection, connection_factory make_connection)
  : supervisor_internal::base(config)
  , pool_(std::move(pool))
  , connection_options_(std::move(connection))
  , make_connection_(std::move(make_connection))
  , gate_(pool_.reconnect, pool_.seed)
  , waiting_units_(pool_.waiters_max, pool_.tenant_waiters_max)
  , waiting_leases_(pool_.waiters_max, pool_.tenant_waiters_max)
  , generator_(pool_.seed) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
}

supervisor::behavior_type supervisor::make_behavior() {
  on_tick();
  delayed_send(this, pool_.report_interval, pool_report{});
  return {[this](run_unit& request) { return run(request); },
          [this](lease_connection& request) { return lease(request); },
          [this](const end_lease& ended) { release(ended); },
          [this](const get_pool_status& wanted) { return wanted.looks_at_server ? with_fresh_view() : with_status(); },
          [this](pause_pool) {
            paused_ = true;
            return with_status();
          },
          [this](resume_pool) {
            paused_ = false;
            serve();
            return with_status();
          },
          [this](const resize_pool& wanted) { return resize(wanted); },
          [this](rotate_pool) {
            rotate();
            return with_status();
          },
          [this](const reload_credentials& with) { return reload(with); },
          [this](const limit_tenant& wanted) { return limit(wanted); },
          [this](const drain_pool& wanted) { return drain(wanted); },
          [this](const subscribe_pool& wanted) {
            if (!wanted.subscriber ||
                std::find(subscribers_.begin(), subscribers_.end(), wanted.subscriber) != subscribers_.end())
              return;
            if (subscribers_.size() >= subscribers_max)
              return spdlog::warn("pool: more than {} subscribers; another one is not taken", subscribers_max);
            monitor(wanted.subscriber);
            subscribers_.push_back(wanted.subscriber);
          },
          [this](const connection_ready& ready) { on_ready(ready); },
          [this](const connection_failed& failed) { on_failed(failed); },
          [this](const connection_rested& rested) { on_rested(rested); },
          [this](const units_done& news) { on_units_done(news); },
          [this](const lease_overdue& overdue) {
            if (auto* found = find_lease(overdue.lease))
              cut(*found, found->terms.reusable,
                  "it was idle for " + std::to_string(found->terms.idle_timeout.count()) + " ms");
          },
          [this](const lease_leaks& leak) { on_leak(leak); },
          [this](retry_unit& failed) { return retry(failed); },
          [this](supervisor_tick) { on_tick(); },
          [this](pool_report) { report(); }};
}

void supervisor::on_exit() {
  turn_waiters_away();
  for (auto& answer : drain_answers_)
    answer.deliver(result<pool_status>(shutting_down()));
  drain_answers_.clear();
  for (auto& [number, entry] : slots_)
    send_exit(entry.connection, caf::exit_reason::user_shutdown);
  for (auto& [lease, lost] : lost_leases_)
    send_exit(lost.connection, caf::exit_reason::user_shutdown);
  lost_leases_.clear();
  slots_.clear();
  subscribers_.clear();
  connection_options_.reset();
}

// --- requests --------------------------------------------------------------------------------------------------------

/// To be asked for before a promise is made, which takes the sender.
caf::actor_addr supervisor::asker() {
  return caf::actor_cast<caf::actor_addr>(current_sender());
}

supervisor::unit_promise supervisor::run(run_unit& request) {
  auto who = asker();
  auto answer = make_response_promise<db::unit_outcome>();
  if (auto refused = why_not_now("units"))
    answer.deliver(failed_outcome(*refused));
  else
    enqueue(answer, std::move(request), std::move(who));
  return answer;
}

void supervisor::enqueue(unit_promise answer, run_unit request, caf::actor_addr asker) {
  const auto now = clock().now();
  waiting_unit unit{std::move(answer), std::move(request), std::move(asker), now};
  if (may_serve() && waiting_units_.empty() && may_have_unit(unit.request.tenant))
    if (auto* chosen = pick_for_unit())
      return hand_over(*chosen, std::move(unit));
  const auto deadline = std::min(now + pool_.acquire_timeout, unit.request.deadline.value_or(time_point::max()));
  const auto who = unit.asker;
  const auto tenant = unit.request.tenant;
  if (waiting_units_.push(tenant, who ? who.id() : 0, deadline, unit) == 0) {
    ++numbers_.of_tenant(tenant).refused;
    unit.answer.deliver(
        failed_outcome({error_code::overloaded, "too many units wait for a connection (pool_waiters_max, "
                                                "tenant_waiters_max)"}));
    return;
  }
  watch(who);
  if (may_serve())
    serve_units(); // who is before it in the queue may have all that they may have
  fill(now);
}

supervisor::lease_promise supervisor::lease(lease_connection& request) {
  const auto who = asker();
  auto answer = make_response_promise<result<leased_connection>>();
  if (auto refused = why_not_now("leases")) {
    answer.deliver(result<leased_connection>(*refused));
    return answer;
  }
  const auto now = clock().now();
  const auto deadline = std::min(now + pool_.acquire_timeout, request.deadline.value_or(time_point::max()));
  const auto tenant = request.tenant;
  waiting_lease waiter{answer, std::move(request), who, now};
  if (waiting_leases_.push(tenant, who ? who.id() : 0, deadline, waiter) == 0) {
    ++numbers_.of_tenant(tenant).refused;
    answer.deliver(result<leased_connection>(error{
        error_code::overloaded, "too many wait for a lease (pool_waiters_max, tenant_waiters_max)", full_retry_after}));
    return answer;
  }
  watch(who);
  serve();
  return answer;
}

supervisor::unit_promise supervisor::retry(retry_unit& failed) {
  auto who = asker();
  auto answer = make_response_promise<db::unit_outcome>();
  waiting_unit unit{answer, std::move(failed.request), who, clock().now()};
  auto delay = 0ms;
  if (failed.was_sent) {
    ++numbers_.retries;
    std::uniform_int_distribution<std::int64_t> spread(750, 1250);
    delay = std::chrono::milliseconds{spread(generator_) << (unit.request.tries - 1)};
  }
  if (draining_ || retries_.size() >= retries_max ||
      clock().now() + delay >= unit.request.deadline.value_or(time_point::max()))
    answer.deliver(db::unit_outcome{{}, failed.last}); // no time is left for another try
  else {
    retries_.emplace(clock().now() + delay, std::move(unit));
    watch(who);
  }
  if (delay == 0ms)
    serve();
  return answer;
}

/// By the pool, for a reason that its owner did not give.
void supervisor::cut(slot& leased, bool reusable, const std::string& why) {
  spdlog::info("the lease of backend {} ({}) ends: {}", leased.facts.backend_pid, leased.terms.purpose, why);
  if (leased.terms.holder)
    send(leased.terms.holder, lease_lost{leased.lease, why});
  finish(leased, reusable);
}

void supervisor::release(const end_lease& ended) {
  if (auto* found = find_lease(ended.lease))
    finish(*found, ended.reusable);
  if (auto lost = lost_leases_.find(ended.lease); lost != lost_leases_.end()) {
    unwatch(lost->second.leaseholder);
    bury(lost);
  }
}

void supervisor::finish(slot& leased, bool reusable) {
  reusable = reusable && !leased.is_replaced;
  send(leased.connection, finish_lease{leased.lease, reusable});
  leases_.erase(leased.lease);
  unwatch(leased.leaseholder);
  forget_one(leases_of_, leased.terms.tenant);
  leased.state = reusable ? slot_state::cleaning : slot_state::closing;
  leased.lease = 0;
  leased.terms = {};
  leased.leaseholder = {};
  leased.was_recalled = false;
}

void supervisor::on_units_done(const units_done& news) {
  numbers_.cancels += news.cancels;
  for (const auto& unit : news.units) {
    for (auto* numbers : {&numbers_.of_tenant(unit.tenant), &numbers_.of_purpose(unit.purpose)}) {
      ++numbers->units;
      numbers->failures += unit.failed ? 1 : 0;
      numbers->query_time.add(unit.took);
    }
    numbers_.query_time.add(unit.took);
    numbers_.slow_statements += unit.was_slow ? 1 : 0;
    if (unit.failed)
      ++numbers_.errors[std::string(db::to_string(*unit.failed))];
  }
  auto found = slots_.find(news.slot);
  if (found == slots_.end())
    return; // lose() has settled what was under way
  auto& entry = found->second;
  for (const auto& unit : news.units) {
    auto of_tenant = unit.was_shared ? entry.units_of.find(unit.tenant) : entry.units_of.end();
    if (of_tenant == entry.units_of.end())
      continue;
    if (--of_tenant->second == 0)
      entry.units_of.erase(of_tenant);
    --entry.units;
    forget_one(units_of_, unit.tenant);
  }
  entry.last_used = clock().now();
  serve();
}

void supervisor::forget_one(counts_by_tenant& counts, const std::string& tenant) {
  if (auto found = counts.find(tenant); found != counts.end() && --found->second == 0)
    counts.erase(found);
}

// --- who gets what ---------------------------------------------------------------------------------------------------

void supervisor::serve() {
  const auto now = clock().now();
  while (!retries_.empty() && retries_.begin()->first <= now) {
    auto unit = std::move(retries_.extract(retries_.begin()).mapped());
    unwatch(unit.asker);
    enqueue(std::move(unit.answer), std::move(unit.request), std::move(unit.asker));
  }
  if (may_serve()) {
    serve_leases();
    serve_units();
  }
  fill(now);
}

void supervisor::serve_leases() {
  const auto may_have = [this](const auto& tenant) { return may_have_lease(tenant); };
  while (waiting_leases_.has_one_for(may_have)) { // for those who have all they may have, nothing is kept free
    auto* chosen = pick_for_lease();
    if (!chosen)
      return reserve_for_lease();
    grant(*chosen, std::move(*waiting_leases_.pop(may_have)));
  }
  for (auto& [number, entry] : slots_)
    entry.is_reserved = false;
}

void supervisor::serve_units() {
  while (!waiting_units_.empty()) {
    auto* chosen = pick_for_unit();
    if (!chosen)
      return;
    auto unit = waiting_units_.pop([this](const auto& tenant) { return may_have_unit(tenant); });
    if (!unit)
      return;
    unwatch(unit->asker);
    hand_over(*chosen, std::move(*unit));
  }
}

/// 0: as many as there are. The service itself has no bound of its own.
std::size_t supervisor::backends_max_of(const std::string& tenant) const {
  auto own = backends_max_of_.find(tenant);
  if (own != backends_max_of_.end())
    return own->second;
  return tenant.empty() ? 0 : pool_.tenant_backends_max;
}

bool supervisor::may_have_lease(const std::string& tenant) const {
  const auto max = backends_max_of(tenant);
  auto has = leases_of_.find(tenant);
  return max == 0 || has == leases_of_.end() || has->second < max;
}

bool supervisor::may_have_unit(const std::string& tenant) const {
  const auto max = backends_max_of(tenant);
  auto has = units_of_.find(tenant);
  return max == 0 || has == units_of_.end() || has->second < max * pool_.pipeline_depth;
}

/// The most recently used idle backend, so that the others may grow old; else the least busy one that has room.
supervisor::slot* supervisor::pick_for_unit() {
  return pick(waiting_units_.size(),
              [this](const slot& entry) { return !entry.is_reserved && entry.units < pool_.pipeline_depth; });
}

supervisor::slot* supervisor::pick_for_lease() {
  // The last backend is not leased away: units need one.
  if (std::count_if(slots_.begin(), slots_.end(), [this](const auto& each) { return is_usable(each.second); }) < 2)
    return nullptr;
  return pick(waiting_leases_.size(), [](const slot& entry) { return entry.units == 0; });
}

/// If only busy ones are there and such that have been idle for long, one for each who waits is sent to be checked;
/// they come back by connection_rested.
template <class Suits>
supervisor::slot* supervisor::pick(std::size_t waiting, Suits suits) {
  const auto now = clock().now();
  const auto is_better = [](const slot& a, const slot* b) {
    return !b || (a.units != b->units ? a.units < b->units : a.last_used > b->last_used);
  };
  slot* fresh = nullptr;
  slot* stale = nullptr;
  for (auto& [number, entry] : slots_) {
    if (!is_usable(entry) || !suits(entry))
      continue;
    const bool is_fresh = entry.units > 0 || now - std::max(entry.last_used, entry.checked) < fresh_for;
    auto*& best = is_fresh ? fresh : stale;
    if (is_better(entry, best))
      best = &entry;
  }
  const bool is_worth_it = stale && (!fresh || stale->units < fresh->units);
  if (!is_worth_it || count(slot_state::checking) > waiting)
    return fresh;
  check(*stale, now);
  return nullptr;
}

/// Under a stream of units no backend would ever be idle: the least busy one takes no more of them.
void supervisor::reserve_for_lease() {
  slot* best = nullptr;
  std::size_t usable = 0;
  for (auto& [number, entry] : slots_) {
    if (entry.is_reserved)
      return;
    if (!is_usable(entry))
      continue;
    ++usable;
    if (!best || entry.units < best->units)
      best = &entry;
  }
  if (usable >= 2)
    best->is_reserved = true;
}

void supervisor::hand_over(slot& chosen, waiting_unit unit) {
  const auto now = clock().now();
  const auto waited = since(unit.since, now);
  numbers_.wait_time.add(waited);
  numbers_.of_tenant(unit.request.tenant).wait_time.add(waited);
  numbers_.of_purpose(unit.request.purpose).wait_time.add(waited);
  ++chosen.units;
  ++chosen.units_of[unit.request.tenant];
  ++units_of_[unit.request.tenant];
  chosen.last_used = now;
  unit.answer.delegate(chosen.connection, std::move(unit.request));
}

void supervisor::grant(slot& chosen, waiting_lease waiter) {
  const auto now = clock().now();
  const auto waited = since(waiter.since, now);
  numbers_.wait_time.add(waited);
  for (auto* numbers : {&numbers_.of_tenant(waiter.request.tenant), &numbers_.of_purpose(waiter.request.purpose)}) {
    numbers->wait_time.add(waited);
    ++numbers->leases;
  }
  ++leases_of_[waiter.request.tenant];
  chosen.state = slot_state::leased;
  chosen.is_reserved = false;
  chosen.lease = ++last_lease_;
  chosen.terms = std::move(waiter.request);
  if (chosen.terms.idle_timeout == 0ms && !chosen.terms.tenant.empty())
    chosen.terms.idle_timeout = pool_.lease_idle_timeout;
  chosen.leaseholder = std::move(waiter.asker); // watched already, while it waited
  chosen.leased_at = chosen.last_used = now;
  leases_.emplace(chosen.lease, chosen.number);
  send(chosen.connection, assign_lease{chosen.lease, chosen.terms.holder, chosen.terms.idle_timeout,
                                       pool_.application_name + " " + chosen.terms.purpose});
  waiter.answer.deliver(result<leased_connection>(
      leased_connection{caf::actor_cast<connection_actor>(chosen.connection), chosen.facts.backend_pid, chosen.lease}));
}

} // namespace colloquy::actors
