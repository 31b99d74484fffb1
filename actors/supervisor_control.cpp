// The pool's back: what its operator asks and changes, and what it tells. See supervisor.hpp for the rules.
#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// As the setting allows.
constexpr std::size_t connections_most = 1000;

constexpr std::chrono::milliseconds server_view_time{5000};

// That somebody waits is not told more often.
constexpr auto told_again_after = 10s;

std::chrono::milliseconds between(pool_time from, pool_time to) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(to - from);
}

} // namespace

// --- status ----------------------------------------------------------------------------------------------------------

supervisor::status_promise supervisor::with_status() {
  auto answer = make_response_promise<result<pool_status>>();
  answer.deliver(result<pool_status>(status()));
  return answer;
}

supervisor::status_promise supervisor::refuse(const std::string& why) {
  auto answer = make_response_promise<result<pool_status>>();
  answer.deliver(result<pool_status>(error{error_code::invalid_request, why}));
  return answer;
}

std::string supervisor::name_of(const slot& entry) {
  switch (entry.state) {
  case slot_state::connecting:
    return "connecting";
  case slot_state::usable:
    return entry.units > 0 ? "busy" : "idle";
  case slot_state::leased:
    return "leased";
  case slot_state::cleaning:
    return "cleaning";
  case slot_state::checking:
    return "checking";
  case slot_state::closing:
    return "closing";
  }
  return "";
}

supervisor::status_promise supervisor::with_fresh_view() {
  auto answer = make_response_promise<result<pool_status>>();
  look_at_server([this, answer]() mutable { answer.deliver(result<pool_status>(status())); });
  return answer;
}

pool_status supervisor::status() {
  const auto now = clock().now();
  pool_status out;
  out.min = pool_.connections_min;
  out.max = pool_.connections_max;
  out.total = ready_slots();
  out.leased = count(slot_state::leased);
  out.connecting = count(slot_state::connecting);
  out.waiting = waiting_units_.size() + waiting_leases_.size();
  out.paused = paused_;
  out.draining = draining_;
  out.kind = last_facts_.kind;
  out.mode = mode_;
  out.address = last_facts_.host + ":" + last_facts_.port;
  out.server_version = last_facts_.server_version;
  out.uses_tls = last_facts_.uses_tls;
  out.last_failure = last_failure_;
  for (const auto& [number, entry] : slots_) {
    const bool is_ready = entry.state != slot_state::connecting;
    if (entry.state == slot_state::usable)
      ++(entry.units > 0 ? out.active : out.idle);
    out.backends.push_back({number, entry.facts.backend_pid, name_of(entry), is_ready ? between(entry.since, now) : 0ms,
                            is_ready ? between(entry.last_used, now) : 0ms, entry.units, entry.terms.tenant,
                            entry.terms.purpose});
  }
  out.numbers = numbers_;
  out.at_server = at_server_;
  return out;
}

// --- control ---------------------------------------------------------------------------------------------------------

supervisor::status_promise supervisor::resize(const resize_pool& wanted) {
  if (wanted.max < connections_needed || wanted.max > connections_most || wanted.min < 1 || wanted.min > wanted.max)
    return refuse("the pool's size is to be " + std::to_string(wanted.min) + " to " + std::to_string(wanted.max) +
                  "; allowed are a min of at least 1 and a max of " + std::to_string(connections_needed) + " to " +
                  std::to_string(connections_most) + ", not below min");
  pool_.connections_min = wanted.min;
  pool_.connections_max = wanted.max;
  serve();
  return with_status();
}

void supervisor::rotate() {
  for (auto& [number, entry] : slots_)
    entry.is_old = true;
  replace_old(clock().now());
}

supervisor::status_promise supervisor::reload(const reload_credentials& with) {
  auto changed = std::make_shared<connection_options>(*connection_options_);
  changed->endpoint.conninfo = with.conninfo;
  auto endpoint = db::prepare_endpoint(changed->endpoint);
  if (!endpoint)
    return refuse(endpoint.failure().message);
  for (const auto& warning : endpoint->warnings)
    spdlog::warn("{}", warning);
  changed->target.conninfo = endpoint->conninfo;
  changed->has_host_names = db::has_host_names(endpoint->conninfo);
  connection_options_ = std::move(changed);
  gate_.forget_failures();
  // Those that are connecting do it with the old ones.
  for (auto& [number, entry] : slots_)
    if (entry.state == slot_state::connecting) {
      entry.state = slot_state::closing;
      send_exit(entry.connection, caf::exit_reason::user_shutdown);
    }
  rotate();
  serve();
  return with_status();
}

supervisor::status_promise supervisor::limit(const limit_tenant& wanted) {
  constexpr double weight_min = 0.001;
  constexpr double weight_max = 1000;
  constexpr std::size_t tenants_max = 100'000;
  if (!(wanted.weight >= weight_min && wanted.weight <= weight_max))
    return refuse("the weight of tenant \"" + wanted.tenant + "\" is " + std::to_string(wanted.weight) +
                  "; 0.001 to 1000 is allowed");
  if (backends_max_of_.size() >= tenants_max || waiting_units_.weights() >= tenants_max)
    return refuse("more than 100000 tenants have limits of their own");
  waiting_units_.set_weight(wanted.tenant, wanted.weight);
  waiting_leases_.set_weight(wanted.tenant, wanted.weight);
  if (wanted.backends_max == 0)
    backends_max_of_.erase(wanted.tenant);
  else
    backends_max_of_.insert_or_assign(wanted.tenant, wanted.backends_max);
  serve();
  return with_status();
}

supervisor::status_promise supervisor::drain(const drain_pool& wanted) {
  auto answer = make_response_promise<result<pool_status>>();
  const auto now = clock().now();
  drain_answers_.push_back(answer);
  if (!std::exchange(draining_, true))
    drain_deadline_ = now + wanted.limit;
  turn_waiters_away();
  for (auto& [number, entry] : slots_)
    if (entry.state == slot_state::connecting) {
      entry.state = slot_state::closing;
      send_exit(entry.connection, caf::exit_reason::user_shutdown);
    } else {
      close(entry);
    }
  check_drain(now);
  return answer;
}

void supervisor::check_drain(time_point now) {
  if (!draining_ || drain_answers_.empty())
    return;
  const bool is_over = now >= drain_deadline_;
  if (is_over)
    for (auto& [number, entry] : slots_)
      if (entry.state == slot_state::leased)
        cut(entry, false, "the pool shuts down");
  if (!slots_.empty() && !is_over)
    return;
  for (auto& answer : std::exchange(drain_answers_, {}))
    answer.deliver(result<pool_status>(status()));
}

supervisor::slot* supervisor::find_lease(lease_id lease) {
  auto held = leases_.find(lease);
  auto found = held == leases_.end() ? slots_.end() : slots_.find(held->second);
  return found == slots_.end() ? nullptr : &found->second;
}

// --- what it tells ---------------------------------------------------------------------------------------------------

void supervisor::on_leak(const lease_leaks& leak) {
  const auto* found = find_lease(leak.lease);
  if (!found)
    return;
  ++numbers_.leaks;
  tell(pool_event_kind::error,
       "a lease may have leaked: " + (found->terms.purpose.empty() ? "(no purpose given)" : found->terms.purpose) +
           (found->terms.tenant.empty() ? "" : " of tenant " + found->terms.tenant) + " has held backend " +
           std::to_string(found->facts.backend_pid) + " for " +
           std::to_string(between(found->leased_at, clock().now()).count() / 1000) + " s, idle for " +
           std::to_string(leak.idle.count() / 1000) + " s; its last statement was " +
           (leak.last_statement.empty() ? "none" : leak.last_statement));
}

void supervisor::note_pressure() {
  const auto waiting = waiting_units_.size() + waiting_leases_.size();
  const auto now = clock().now();
  if (waiting > 0 && !was_saturated_ && (!saturation_told_ || now - *saturation_told_ >= told_again_after)) {
    was_saturated_ = true;
    saturation_told_ = now;
    tell(pool_event_kind::saturated, std::to_string(waiting) + " wait for a connection; " +
                                         std::to_string(ready_slots()) + " of at most " +
                                         std::to_string(pool_.connections_max) + " are there (pool_max)");
  }
  if (waiting == 0)
    was_saturated_ = false;
}

void supervisor::report() {
  const auto now = status();
  // The service's own leases (the writer's, the listener's) are always there.
  const bool no_tenant_leases = std::none_of(slots_.begin(), slots_.end(), [](const auto& each) {
    return each.second.state == slot_state::leased && !each.second.terms.tenant.empty();
  });
  if (now.total > connections_needed && now.active == 0 && no_tenant_leases)
    tell(pool_event_kind::mostly_idle,
         "all " + std::to_string(now.total) + " connections are idle; a smaller pool would do (pool_min, pool_max)");
  if (pool_.logs_reports)
    spdlog::info(
        "pool: {} connections of {} to {}, {} active, {} idle, {} leased, {} waiting; {} units, wait p99 {} us, "
        "query p99 {} us; at the server {} ({} active, {} idle, {} idle in transaction, oldest {} s)",
        now.total, now.min, now.max, now.active, now.idle, now.leased, now.waiting, now.numbers.query_time.count(),
        now.numbers.wait_time.quantile(0.99).count(), now.numbers.query_time.quantile(0.99).count(), at_server_.total,
        at_server_.active, at_server_.idle, at_server_.idle_in_transaction, at_server_.oldest.count() / 1000);
  look_at_server([] {});
  delayed_send(this, pool_.report_interval, pool_report{});
}

/// `then` is called in any case, in time.
void supervisor::look_at_server(std::function<void()> then) {
  if (draining_ || paused_) // it would wait, and whoever looks is to see at once what the matter is
    return then();
  run_unit look{db::read_server_view(pool_.application_name)};
  look.purpose = "report";
  look.deadline = clock().now() + server_view_time;
  request(caf::actor_cast<supervisor_actor>(this), 2 * server_view_time, std::move(look))
      .then(
          [this, then](const db::unit_outcome& outcome) {
            at_server_ = db::decode_server_view(outcome);
            then();
          },
          [then](const caf::error&) { then(); });
}

void supervisor::tell(pool_event_kind kind, std::string what) {
  if (kind == pool_event_kind::error || kind == pool_event_kind::saturated)
    spdlog::warn("pool: {}", what);
  else
    spdlog::debug("pool: {}: {}", to_string(kind), what);
  for (const auto& subscriber : subscribers_)
    send(subscriber, pool_event{kind, what});
}

} // namespace colloquy::actors
