// How sessions leave memory: asleep, expired, dead. See directory.hpp for the rules.
#include "actors/directory.hpp"

#include "actors/log_line.hpp"

#include <caf/actor_cast.hpp>

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1000ms;
constexpr std::size_t sleeps_per_tick_max = 10'000; // so that a tick stays short

} // namespace

void directory::put_to_sleep(resident& entry) {
  if (entry.state != residence::awake)
    return;
  entry.state = residence::falling_asleep;
  entry.held = std::make_unique<holding>();
  const auto last_used = entry.last_used;
  touch(entry); // so that the next one in turn is another
  entry.last_used = last_used;
  ask_to_sleep(entry.key->full(), entry.actor);
}

void directory::ask_to_sleep(const session_key& key, const session_actor& actor) {
  request(caf::actor_cast<caf::actor>(actor), options_.request_timeout, session_call{go_to_sleep{}})
      .then([this, key, of = actor.id()](sleep_answer answer) { on_sleep_answer(key, of, answer); },
            [this, key, of = actor.id()](const caf::error& failed) {
              if (failed != caf::sec::request_timeout)
                return; // it died, and session_ended says so
              // It is only slow; what is held for it waits for the answer, so it is asked again.
              if (auto* entry = find_falling_asleep(key, of))
                ask_to_sleep(key, entry->actor);
            });
}

/// The least recently used of them. One that is busy says so, and others are asked the next time.
void directory::put_some_to_sleep(const tenant_id& tenant, std::int64_t wanted) {
  const auto* name = &tenants_.find(tenant)->first;
  auto* last = newest_; // those that are asked move behind it
  for (auto* entry = oldest_; entry && wanted > 0;) {
    auto* next = entry == last ? nullptr : entry->newer;
    if (entry->key->tenant == name && entry->state == residence::awake) {
      put_to_sleep(*entry);
      --wanted;
    }
    entry = next;
  }
}

void directory::limit(const limit_sessions& wanted) {
  auto& account = *entry_of(wanted.tenant).account;
  account.resident_max = wanted.resident_max.value_or(tenant_account::unbounded);
  account.running_turns_max = wanted.running_turns_max.value_or(tenant_account::unbounded);
  drop_if_unused(wanted.tenant);
}

void directory::drop_if_unused(const tenant_id& tenant) {
  const auto at = tenants_.find(tenant);
  if (at != tenants_.end() && at->second.account->resident == 0 && !at->second.account->is_bounded())
    tenants_.erase(at);
}

directory::resident* directory::find_falling_asleep(const session_key& key, caf::actor_id actor) {
  auto* entry = find(key);
  return entry && entry->state == residence::falling_asleep && entry->actor.id() == actor ? entry : nullptr;
}

void directory::on_sleep_answer(const session_key& key, caf::actor_id of, sleep_answer answer) {
  auto* entry = find_falling_asleep(key, of);
  if (!entry)
    return;
  if (answer.asleep)
    return end_residence(key);
  entry->state = residence::awake;
  auto held = std::move(entry->held);
  for (auto& each : held->requests)
    each(is_closed_ ? result<resident*>(shutting_down) : entry);
}

void directory::on_session_ended(const session_ended& ended) {
  auto* entry = find(ended.session);
  if (!entry || entry->actor.id() != ended.actor || entry->state == residence::draining)
    return;
  log_about(spdlog::level::err, {ended.session},
            "the session's actor ended unexpectedly; it wakes when it is asked for");
  drain(*entry);
}

void directory::drain(resident& entry) {
  entry.state = residence::draining;
  if (!entry.held)
    entry.held = std::make_unique<holding>();
  entry.held->until = clock().now() + options_.request_timeout;
  touch(entry); // nobody can ask it to make room
  await_writes_of(entry.key->full(), entry.actor.id());
}

void directory::await_writes_of(const session_key& key, caf::actor_id of) {
  // Without the barrier the next incarnation could find less in the log than there will be, and give out offsets twice.
  // Until a new writer has settled, a batch of its predecessor may still commit.
  if (!writer_settled_) {
    draining_.emplace_back(key, of);
    return;
  }
  request(writer_, options_.request_timeout + 1s, barrier{})
      .then(
          [this, key, of](const result<barrier_passed>& passed) {
            if (passed)
              end_draining(key, of);
            else
              draining_.emplace_back(key, of);
          },
          [this, key, of](const caf::error&) { draining_.emplace_back(key, of); });
}

/// Unless it is over already, all sessions of this process having been lost, and another actor is there.
void directory::end_draining(const session_key& key, caf::actor_id of) {
  const auto* entry = find(key);
  if (entry && entry->state == residence::draining && entry->actor.id() == of)
    end_residence(key);
}

void directory::drain_further() {
  if (writer_settled_)
    for (const auto& [key, of] : std::exchange(draining_, {}))
      await_writes_of(key, of);
}

void directory::refuse_held_too_long(time_point now) {
  for (const auto& [key, of] : draining_) {
    auto* entry = find(key);
    if (!entry || entry->state != residence::draining || !entry->held || entry->held->until > now)
      continue;
    entry->held->until = now + options_.request_timeout;
    for (auto& held : std::exchange(entry->held->requests, {}))
      held(error{error_code::database_unavailable,
                 "what the session wrote before it ended was not durable within the time allowed", 1000ms});
  }
}

void directory::end_residence(const session_key& key) {
  auto* entry = find(key);
  if (!entry)
    return;
  auto held = std::move(entry->held);
  unlink(*entry);
  residents_.erase(resident_key(*entry->key));
  --tenants_.at(key.tenant).account->resident;
  drop_if_unused(key.tenant);
  if (!held || held->requests.empty())
    return;
  auto next = is_closed_ ? result<resident*>(shutting_down) : find_or_wake(key);
  for (auto& request : held->requests)
    request(next);
}

void directory::on_tick() {
  const auto now = clock().now();
  std::size_t asked = 0;
  for (auto* entry = oldest_; entry && asked < sleeps_per_tick_max; ++asked) {
    auto* next = entry->newer;
    if (entry->last_used + options_.session_idle_timeout > now)
      break;
    put_to_sleep(*entry);
    entry = next;
  }
  expire_flushes(now);
  refuse_held_too_long(now);
  drain_further();
  delayed_send(this, tick_interval, directory_tick{});
}

/// Those that are in memory look at their own clock; also one that is just falling asleep, or has died and is drained.
promise_of<expire_resident> directory::expire(const expire_resident& request) {
  auto answer = make_response_promise<result<sessions_not_resident>>();
  sessions_not_resident others;
  for (const auto& key : request.sessions) {
    auto* entry = find(key);
    if (!entry)
      others.sessions.push_back(key);
    else if (entry->state != residence::draining)
      send(entry->actor, session_call{expire_session{}});
  }
  reply(answer, result<sessions_not_resident>(std::move(others)));
  return answer;
}

} // namespace colloquy::actors
