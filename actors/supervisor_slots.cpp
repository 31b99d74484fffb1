// The life of the backends: made, checked, replaced, lost. See supervisor.hpp for the rules.
#include "actors/supervisor.hpp"

#include "db/endpoint.hpp"
#include "db/symptoms.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;
constexpr auto lasting = 1000ms; // a backend that is lost sooner counts as one that could not be made

// Connections under way at once while the pool fills up to its minimum, all being well.
constexpr std::size_t connects_at_once = 4;

// Two live connections with one backend share it, transaction by transaction.
constexpr std::size_t modes_told_by = 2;

// A server that had no place for a successor is not asked for one more again before this.
constexpr auto closes_first_for = 60s;

// The same failure is not logged more often.
constexpr auto logged_again_after = 30s;

} // namespace

std::size_t supervisor::count(slot_state state) const {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [state](const auto& each) { return each.second.state == state; }));
}

std::size_t supervisor::ready_slots() const {
  return slots_.size() - count(slot_state::connecting) - count(slot_state::closing);
}

// --- what the connections say ----------------------------------------------------------------------------------------

void supervisor::on_ready(const connection_ready& ready) {
  auto found = slots_.find(ready.slot);
  if (found == slots_.end() || found->second.state != slot_state::connecting)
    return; // told to end meanwhile
  if (finds_transaction_mode(ready))
    return;
  const auto now = clock().now();
  auto& entry = found->second;
  entry.state = slot_state::usable;
  entry.facts = last_facts_ = ready.facts;
  entry.since = entry.last_used = entry.checked = now;
  // Less up to a tenth, so that what was made together does not go together.
  std::uniform_int_distribution<std::int64_t> part(900, 1000);
  entry.retires = now + pool_.max_lifetime * part(generator_) / 1000;
  if (numbers_.connects++ == 0)
    spdlog::info("connected to {} ({}, PostgreSQL {}, {})",
                 ready.facts.host.starts_with('/') ? "a unix socket" : ready.facts.host + ":" + ready.facts.port,
                 db::to_string(ready.facts.kind), ready.facts.server_version / 10000,
                 ready.facts.uses_tls ? "TLS" : "no TLS");
  gate_.connected(now);
  if (ready.facts.kind == db::endpoint_kind::direct || is_mode_known_ || ready_slots() >= modes_told_by) {
    is_mode_known_ = true;
    mode_ = db::pooling_mode::session;
    last_failure_.clear();
  }
  tell(pool_event_kind::connected, "backend " + std::to_string(ready.facts.backend_pid) + " is ready");
  if (auto old = slots_.find(std::exchange(entry.replaces, 0)); old != slots_.end())
    close(old->second);
  serve();
}

/// Two connections through one pooler whose backend is the same one share it, transaction by transaction. Other servers
/// may well have backends of the same number.
bool supervisor::finds_transaction_mode(const connection_ready& ready) {
  if (ready.facts.kind == db::endpoint_kind::direct)
    return false;
  const auto twin = std::find_if(slots_.begin(), slots_.end(), [&](const auto& each) {
    return each.first != ready.slot && each.second.state != slot_state::connecting &&
           each.second.state != slot_state::closing && each.second.facts.backend_pid == ready.facts.backend_pid &&
           each.second.facts.host == ready.facts.host && each.second.facts.port == ready.facts.port;
  });
  if (twin == slots_.end())
    return false;
  const auto why =
      db::make_failure("42P05", db::explain_transaction_mode(ready.facts.kind, ready.facts.host, ready.facts.port));
  for (const auto number : {twin->first, ready.slot})
    if (auto at = slots_.find(number); at != slots_.end()) {
      send_exit(at->second.connection, caf::exit_reason::user_shutdown); // it knows of nothing wrong
      lose(at, why, false);
    }
  return true;
}

void supervisor::on_failed(const connection_failed& failed) {
  auto found = slots_.find(failed.slot);
  if (found == slots_.end())
    return;
  if (found->second.state == slot_state::leased && found->second.leaseholder)
    lost_leases_.emplace(found->second.lease, lost_lease{found->second.connection, found->second.leaseholder});
  else
    send(found->second.connection, retire_connection{}); // behind what was on its way to it
  lose(found, failed.why, found->second.state == slot_state::closing);
}

void supervisor::on_rested(const connection_rested& rested) {
  auto found = slots_.find(rested.slot);
  if (found == slots_.end())
    return;
  auto& entry = found->second;
  numbers_.leases_cleaned += rested.was_cleaned ? 1 : 0;
  if (entry.state != slot_state::cleaning && entry.state != slot_state::checking)
    return;
  entry.state = slot_state::usable;
  entry.checked = clock().now();
  if (draining_ || entry.is_replaced)
    close(entry);
  serve();
}

void supervisor::on_down(const caf::down_msg& down) {
  forget(down.source);
  subscribers_.erase(std::remove_if(subscribers_.begin(), subscribers_.end(),
                                    [&](const auto& each) { return each.address() == down.source; }),
                     subscribers_.end());
  const auto dead = std::find_if(slots_.begin(), slots_.end(),
                                 [&](const auto& each) { return each.second.connection.address() == down.source; });
  if (dead != slots_.end())
    lose(dead, db::make_failure("", "the connection's actor ended"), dead->second.state == slot_state::closing);
}

supervisor::lost_leases::iterator supervisor::bury(lost_leases::iterator lost) {
  send(lost->second.connection, retire_connection{});
  return lost_leases_.erase(lost);
}

void supervisor::lose(slot_map::iterator at, const db::db_failure& why, bool was_expected) {
  auto gone = std::move(at->second);
  slots_.erase(at);
  if (gone.lease != 0) {
    leases_.erase(gone.lease);
    if (gone.terms.holder)
      send(gone.terms.holder, lease_lost{gone.lease, why.message});
    if (!lost_leases_.contains(gone.lease))
      unwatch(gone.leaseholder);
    forget_one(leases_of_, gone.terms.tenant);
  }
  for (const auto& [tenant, units] : gone.units_of)
    for (std::size_t i = 0; i < units; ++i)
      forget_one(units_of_, tenant);
  const auto now = clock().now();
  const bool was_ready = gone.since != time_point{}; // one that is closed while it connects never was
  if (was_ready) {
    ++numbers_.disconnects;
    tell(pool_event_kind::removed,
         "backend " + std::to_string(gone.facts.backend_pid) + " is gone" + (was_expected ? "" : ": " + why.message));
  }
  if (was_expected || (was_ready && gone.has_lasted)) {
    serve();
    return;
  }
  const auto trouble = why.known ? why.known->trouble : db::connect_trouble::other;
  const bool has_no_place = trouble == db::connect_trouble::too_many_connections;
  ++numbers_.connect_errors[std::string(db::to_string(trouble))];
  if (has_no_place && gone.replaces != 0) { // there is no place for one more: the old ones go first, for a while
    closes_first_until_ = now + closes_first_for;
    tell(pool_event_kind::error, "no place for a successor, so that the old one goes first: " + db::describe(why));
    return;
  }
  if (has_no_place && ready_slots() > 0)
    is_mode_known_ = true; // a pooler with one place gives no second one to compare it with
  last_failure_ = db::describe(why);
  if (trouble == db::connect_trouble::transaction_mode) {
    mode_ = db::pooling_mode::transaction;
    is_mode_known_ = false;
  }
  const auto delay = gate_.failed(trouble, ready_slots(), now);
  if (last_failure_ != logged_failure_ || now - logged_at_ >= logged_again_after) {
    tell(pool_event_kind::error,
         "cannot connect to the database, next try in " + std::to_string(delay.count()) + " ms: " + last_failure_);
    logged_failure_ = last_failure_;
    logged_at_ = now;
  }
  spdlog::debug("connection {} failed: {}", gone.number, last_failure_);
  if (gate_.needs_somebody() && ready_slots() == 0)
    expire(time_point::max()); // nobody has anything to wait for
}

// --- size ------------------------------------------------------------------------------------------------------------

void supervisor::fill(time_point now) {
  if (draining_ || !gate_.may_connect(now))
    return;
  auto wanted = pool_.connections_min;
  const bool somebody_waits = !paused_ && !(waiting_units_.empty() && waiting_leases_.empty());
  // Those that are being checked or made as new are there in a moment.
  const auto soon = count(slot_state::checking) + count(slot_state::cleaning);
  const bool somebody_may_be_served =
      waiting_units_.has_one_for([this](const auto& tenant) { return may_have_unit(tenant); }) ||
      waiting_leases_.has_one_for([this](const auto& tenant) { return may_have_lease(tenant); });
  if (somebody_waits && somebody_may_be_served && waiting_units_.size() + waiting_leases_.size() > soon)
    wanted = std::max(wanted, ready_slots() + 1);
  if (!is_mode_known_)
    wanted = std::max(wanted, modes_told_by);
  wanted = std::min({wanted, pool_.connections_max, gate_.ceiling(now)});
  for (auto under_way = count(slot_state::connecting); under_way < connects_allowed(); ++under_way) {
    // Those that only replace others, and those on their way out, are no part of the size.
    const auto leaving = static_cast<std::size_t>(std::count_if(
        slots_.begin(), slots_.end(), [](const auto& each) { return each.second.state == slot_state::closing; }));
    const auto replacing = static_cast<std::size_t>(
        std::count_if(slots_.begin(), slots_.end(), [](const auto& each) { return each.second.replaces != 0; }));
    if (slots_.size() - leaving - replacing >= wanted || slots_.size() > pool_.connections_max)
      break;
    add_slot();
  }
}

/// The first backend alone shows whether the way is right; beyond the minimum one is made at a time.
std::size_t supervisor::connects_allowed() const {
  const auto ready = ready_slots();
  if (gate_.is_failing() || ready == 0 || ready >= pool_.connections_min)
    return 1;
  return connects_at_once;
}

void supervisor::add_slot(std::uint64_t replaces) {
  const auto number = ++last_slot_;
  slot made;
  made.number = number;
  made.connection = make_connection_(*this, number, caf::actor_cast<connection_owner>(this), connection_options_);
  made.replaces = replaces;
  monitor(made.connection);
  slots_.emplace(number, std::move(made));
}

/// No more is given to it, and it goes as soon as nobody uses it. May be called again.
void supervisor::close(slot& chosen) {
  chosen.is_replaced = true;
  if (chosen.state == slot_state::leased && chosen.terms.holder && !std::exchange(chosen.was_recalled, true))
    send(chosen.terms.holder, lease_recalled{chosen.lease});
  if (chosen.state != slot_state::usable)
    return; // the end of a lease, of its cleaning or of a check comes back to this
  chosen.state = slot_state::closing;
  chosen.is_reserved = false;
  send(chosen.connection, retire_connection{});
}

// --- time passes -----------------------------------------------------------------------------------------------------

void supervisor::on_tick() {
  const auto now = clock().now();
  for (auto& [number, entry] : slots_)
    if (entry.state != slot_state::connecting && now - entry.since >= lasting) {
      entry.has_lasted = true;
      gate_.lasted(entry.since);
    }
  expire(now);
  age(now);
  replace_old(now);
  shrink(now);
  check_idle(now);
  note_pressure();
  serve();
  check_drain(now);
  delayed_send(this, tick_interval, supervisor_tick{});
}

void supervisor::age(time_point now) {
  for (auto& [number, entry] : slots_)
    if (entry.state != slot_state::connecting && now >= entry.retires)
      entry.is_old = true;
}

/// One at a time: its successor is made first, and closes it when it is ready. It may take its time to go, for what it
/// still has to do; the next one is not replaced before.
void supervisor::replace_old(time_point now) {
  if (draining_ || !gate_.may_connect(now) || count(slot_state::connecting) > 0 ||
      slots_.size() > pool_.connections_max)
    return;
  const auto old = std::find_if(slots_.begin(), slots_.end(), [](const auto& each) {
    return each.second.is_old && !each.second.is_replaced && each.second.state != slot_state::closing;
  });
  if (old == slots_.end())
    return;
  if (now >= closes_first_until_)
    return add_slot(old->first);
  // The server has no place for one more. Only from a full pool, so that it does not shrink away.
  if (ready_slots() >= pool_.connections_min && ready_slots() >= modes_told_by)
    close(old->second);
}

/// What is above the maximum goes whoever waits, the least busy first; but never the last one that takes units. What is
/// above the minimum goes when it has been idle for long.
void supervisor::shrink(time_point now) {
  const bool is_too_many = ready_slots() > pool_.connections_max;
  if (!is_too_many && (ready_slots() <= pool_.connections_min || !waiting_leases_.empty() || !waiting_units_.empty()))
    return;
  slot* chosen = nullptr;
  std::size_t usable = 0;
  for (auto& [number, entry] : slots_) {
    if (!is_usable(entry))
      continue;
    ++usable;
    if (!chosen || std::pair(entry.units, entry.last_used) < std::pair(chosen->units, chosen->last_used))
      chosen = &entry;
  }
  if (usable < 2)
    return; // leases may have all others, and units need one
  if (is_too_many || (chosen->units == 0 && now - chosen->last_used >= pool_.idle_timeout))
    close(*chosen);
}

void supervisor::check_idle(time_point now) {
  for (auto& [number, entry] : slots_)
    if (entry.state == slot_state::usable && entry.units == 0 &&
        now - std::max(entry.last_used, entry.checked) >= pool_.health_check_interval)
      check(entry, now);
}

void supervisor::check(slot& chosen, time_point now) {
  chosen.state = slot_state::checking;
  chosen.checked = now;
  send(chosen.connection, check_connection{});
}

} // namespace colloquy::actors
