// Those who wait in vain: why, until when, and what becomes of them when they die. See supervisor.hpp for the rules.
#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {

using namespace std::chrono_literals;

std::optional<error> supervisor::why_not_now(const std::string& what) const {
  if (draining_)
    return error{error_code::database_unavailable, "the pool is shutting down; no more " + what + " are taken"};
  // There is no backend, and there will be none until somebody changes a setting: waiting is of no use.
  if (mode_ == db::pooling_mode::transaction || (gate_.needs_somebody() && ready_slots() == 0))
    return error{error_code::database_unavailable, last_failure_, 15'000ms};
  return std::nullopt;
}

error supervisor::why_unavailable() const {
  if (paused_)
    return {error_code::database_unavailable, "the pool is paused", 1000ms};
  if (!last_failure_.empty())
    return {error_code::database_unavailable, "no connection to the database: " + last_failure_, 1000ms};
  if (ready_slots() == 0)
    return {error_code::database_unavailable, "no connection to the database: it has not answered yet", 1000ms};
  return {error_code::database_unavailable,
          "no free connection within the time allowed; see pool_max (" + std::to_string(pool_.connections_max) +
              ") and acquire_timeout",
          1000ms};
}

db::unit_outcome supervisor::failed_outcome(const error& why) const {
  return {{}, db::db_failure{db::failure_kind::wait, "", why.message}};
}

error supervisor::shutting_down() {
  return {error_code::database_unavailable, "the pool is shutting down"};
}

void supervisor::turn_waiters_away() {
  for (auto& waiter : waiting_units_.take_all()) {
    unwatch(waiter.asker);
    waiter.answer.deliver(failed_outcome(shutting_down()));
  }
  for (auto& waiter : waiting_leases_.take_all()) {
    unwatch(waiter.asker);
    waiter.answer.deliver(result<leased_connection>(shutting_down()));
  }
  for (auto& [due, waiter] : retries_) {
    unwatch(waiter.asker);
    waiter.answer.deliver(failed_outcome(shutting_down()));
  }
  retries_.clear();
}

void supervisor::expire(time_point now) {
  for (auto& waiter : waiting_units_.take_expired(now)) {
    unwatch(waiter.asker);
    ++numbers_.of_tenant(waiter.request.tenant).refused;
    waiter.answer.deliver(failed_outcome(why_unavailable()));
  }
  for (auto& waiter : waiting_leases_.take_expired(now)) {
    unwatch(waiter.asker);
    ++numbers_.of_tenant(waiter.request.tenant).refused;
    waiter.answer.deliver(result<leased_connection>(why_unavailable()));
  }
}

void supervisor::watch(const caf::actor_addr& who) {
  if (who && ++watched_[who.id()] == 1)
    monitor(who);
}

void supervisor::unwatch(const caf::actor_addr& who) {
  if (!who)
    return;
  auto found = watched_.find(who.id());
  if (found == watched_.end() || --found->second > 0)
    return;
  watched_.erase(found);
  const bool is_subscriber =
      std::any_of(subscribers_.begin(), subscribers_.end(), [&](const auto& each) { return each.address() == who; });
  if (!is_subscriber)
    demonitor(who);
}

/// One that waited, or held a lease, has died: it leaves no trace.
void supervisor::forget(const caf::actor_addr& dead) {
  if (watched_.erase(dead.id()) == 0)
    return;
  waiting_units_.erase_owner(dead.id());
  waiting_leases_.erase_owner(dead.id());
  std::erase_if(retries_, [&](const auto& each) { return each.second.asker == dead; });
  for (auto at = lost_leases_.begin(); at != lost_leases_.end();)
    at = at->second.leaseholder == dead ? bury(at) : std::next(at);
  for (auto& [number, entry] : slots_)
    if (entry.leaseholder && entry.leaseholder == dead) {
      spdlog::debug("the lease of backend {} ({}) ends with its owner", entry.facts.backend_pid, entry.terms.purpose);
      entry.leaseholder = {};
      finish(entry, entry.terms.reusable);
    }
}

} // namespace colloquy::actors
