// Requests, and the sessions that they are for. See directory.hpp for the rules.
#include "actors/directory.hpp"

#include <type_traits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1000ms;
constexpr auto full_retry = 50ms;
constexpr auto elsewhere_retry = 1000ms;
constexpr auto quota_retry = 1000ms;
constexpr auto asking_interval = 100ms;         // of one tenant's sessions to sleep
constexpr std::size_t held_requests_max = 1000; // for one session that falls asleep or drains

// An id of an owned shard is found by trying; with a single one of 1,024 this many tries miss once in 10^21.
constexpr int id_tries_max = 50'000;

const error full_error{error_code::overloaded, "too many sessions are in memory; see sessions_resident_max",
                       full_retry};

} // namespace

directory::directory(caf::actor_config& config, supervisor_actor supervisor, directory_options options)
  : directory_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options))
  , tails_(std::make_shared<tail_cache>(tail_limits{options_.tail_bytes_max}))
  , sweeps_(!options_.journal) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
}

directory::behavior_type directory::make_behavior() {
  start_catalog();
  start_sweeper();
  start_ownership();
  if (options_.journal)
    monitor(options_.journal);
  delayed_send(this, tick_interval, directory_tick{});
  return {[this](create_session& request) { return create(request); },
          [this](open_session& request) { return delegate(catalog_, std::move(request)); },
          [this](get_session& request) { return route(request); },
          [this](update_session& request) { return route(request); },
          [this](erase_session& request) { return route(request); },
          [this](erase_user& request) { return delegate(catalog_, std::move(request)); },
          [this](fork_session& request) { return route(request); },
          [this](list_sessions& request) { return delegate(catalog_, std::move(request)); },
          [this](set_participant& request) { return route(request); },
          [this](list_participants& request) { return route(request); },
          [this](get_analytics& request) { return delegate(catalog_, std::move(request)); },
          [this](append_events& request) { return route(request); },
          [this](read_events& request) { return route(request); },
          [this](delete_events& request) { return route(request); },
          [this](read_history& request) { return route(request); },
          [this](start_turn& request) { return route(request); },
          [this](renew_turn& request) { return route(request); },
          [this](end_turn& request) { return route(request); },
          [this](post_delta& request) { return route(request); },
          [this](list_turns& request) { return route(request); },
          [this](const flush&) { return flush_all(); },
          [this](get_health) { return tell_health(); },
          [this](subscribe_events& request) { return route(request); },
          [this](events_taken& news) { pass(news); },
          [this](unsubscribe_events& request) { pass(request); },
          [this](const limit_sessions& wanted) { limit(wanted); },
          [this](const session_finished& finished) {
            if (auto* entry = find(finished.session))
              put_to_sleep(*entry);
          },
          [this](const session_ended& ended) { on_session_ended(ended); },
          [this](make_fork& request) {
            const auto tenant = request.wanted.key.tenant;
            return start_new(tenant, std::move(request));
          },
          [this](const run_erasure& request) { return delegate(sweeper_, request); },
          [this](const writer_ready& ready) {
            if (ready.writer == writer_)
              on_writer_ready();
          },
          [this](const writer_fenced& fenced) { send(ownership_, fenced); },
          [this](const shards_owned& news) { on_owned(news); },
          [this](const ownership_lost& news) { on_lost(news); },
          [this](const expire_resident& request) { return expire(request); },
          [this](make_session& request) {
            const auto tenant = request.wanted.tenant;
            return start_new(tenant, std::move(request.wanted));
          },
          [this](replay_session& request) {
            auto answer = make_response_promise<result<replayed>>();
            hand_over<replay_session>(answer, request.session, session_call{std::move(request.records)});
            return answer;
          },
          [this](journal_replayed) { begin_sweeping(); },
          [this](await_ownership) { return tell_ownership(); },
          [this](const give_up& request) { return delegate(ownership_, request); },
          [this](close_directory) { return close(); },
          [this](const forget_user_here& request) { return forget(request); },
          [this](report_undurable) { return collect_undurable(); },
          [this](directory_tick) { on_tick(); }};
}

void directory::on_exit() {
  for (auto& waiting : flushes_)
    reply(waiting.answer, result<flushed>(shutting_down));
  flushes_.clear();
  for (auto& waiting : awaiting_ownership_)
    reply(waiting, result<shards_owned>(shutting_down));
  awaiting_ownership_.clear();
  oldest_ = newest_ = nullptr;
  auto residents = std::exchange(residents_, {});
  for (auto& [key, entry] : residents) {
    if (entry.held)
      for (auto& held : entry.held->requests)
        held(shutting_down);
    send_exit(entry.actor, caf::exit_reason::user_shutdown);
  }
  for (const auto& part : {caf::actor_cast<caf::actor>(writer_), caf::actor_cast<caf::actor>(catalog_),
                           caf::actor_cast<caf::actor>(sweeper_), caf::actor_cast<caf::actor>(ownership_)})
    if (part)
      send_exit(part, caf::exit_reason::user_shutdown);
  writer_ = nullptr;
  catalog_ = nullptr;
  sweeper_ = nullptr;
  ownership_ = nullptr;
  supervisor_ = nullptr;
  environment_ = nullptr;
}

// --- requests --------------------------------------------------------------------------------------------------------

template <class Request>
promise_of<Request> directory::route(Request& request) {
  auto answer = make_response_promise<result<typename Request::reply>>();
  const auto key = request.session;
  hand_over<Request>(answer, key, session_call{std::move(request)});
  return answer;
}

/// Notes without an answer, which are worth waking nobody for. One that is asked to sleep may stay awake for them.
template <class Request>
void directory::pass(Request& request) {
  auto* entry = find(request.session);
  if (entry && entry->state != residence::draining)
    send(entry->actor, session_call{std::move(request)});
}

template <class Request>
void directory::hand_over(const promise_of<Request>& answer, const session_key& key, session_call call) {
  using outcome = result<typename Request::reply>;
  auto to = answer;
  if (is_closed_)
    return reply(to, outcome(shutting_down));
  // One frees more than it takes; the other was accepted before.
  constexpr bool passes_quota = std::is_same_v<Request, erase_session> || std::is_same_v<Request, replay_session>;
  auto found = find_or_wake(key, passes_quota);
  if (!found)
    return reply(to, outcome(found.failure()));
  auto& entry = **found;
  if (entry.state == residence::awake) {
    to.delegate(entry.actor, std::move(call));
  } else if (entry.held->requests.size() >= held_requests_max) {
    reply(to, outcome(error{error_code::overloaded, "too many requests wait for this session", full_retry}));
  } else {
    entry.held->requests.push_back([to, call = std::move(call)](result<resident*> next) mutable {
      if (next)
        to.delegate((*next)->actor, std::move(call));
      else
        reply(to, outcome(next.failure()));
    });
  }
}

promise_of<create_session> directory::create(create_session& request) {
  if (!request.repeat) {
    const auto tenant = request.tenant;
    return start_new(tenant, std::move(request));
  }
  auto answer = make_response_promise<result<session_record>>();
  answer.delegate(catalog_, std::move(request));
  return answer;
}

/// A session that is to be made, in a shard of ours.
template <class Request>
promise_of<create_session> directory::start_new(const tenant_id& tenant, Request&& first) {
  auto answer = make_response_promise<result<session_record>>();
  auto id = session_id::make();
  for (int tries = 0; why_not_here(id) && tries < id_tries_max && owned_.any(); ++tries)
    id = session_id::make();
  auto problem = is_closed_ ? std::optional(shutting_down) : why_not_here(id);
  if (!problem)
    problem = make_room(tenant, false);
  if (problem) {
    reply(answer, result<session_record>(*problem));
    return answer;
  }
  auto* made = start_session({tenant, id}, session::origin::to_be_made);
  answer.delegate(made->actor, session_call{std::forward<Request>(first)});
  return answer;
}

std::optional<error> directory::why_not_here(session_id id) const {
  if (!environment_)
    return error{error_code::database_unavailable, "it is not known yet which sessions this process owns",
                 elsewhere_retry};
  if (owned_.test(db::shard_of(id)))
    return std::nullopt;
  return error{error_code::not_owner, "another process owns this session", elsewhere_retry};
}

// --- who is there ----------------------------------------------------------------------------------------------------

directory::resident* directory::find(const session_key& key) {
  const auto tenant = tenants_.find(key.tenant);
  if (tenant == tenants_.end())
    return nullptr;
  const auto at = residents_.find({&tenant->first, key.id});
  return at == residents_.end() ? nullptr : &at->second;
}

result<directory::resident*> directory::find_or_wake(const session_key& key, bool passes_quota) {
  if (auto* entry = find(key)) {
    touch(*entry);
    return entry;
  }
  if (auto problem = why_not_here(key.id))
    return *problem;
  if (auto problem = make_room(key.tenant, passes_quota))
    return *problem;
  return start_session(key, session::origin::stored);
}

directory::resident* directory::start_session(const session_key& key, session::origin from) {
  const auto& account = entry_of(key.tenant).account;
  const resident_key at{&tenants_.find(key.tenant)->first, key.id};
  auto [place, is_new] = residents_.try_emplace(at);
  auto& entry = place->second;
  if (is_new)
    ++account->resident;
  else
    unlink(entry);
  entry.actor = caf::actor_cast<session_actor>(spawn<session>(key, from, writer_, environment_, account));
  entry.key = &place->first;
  entry.state = residence::awake;
  entry.held.reset();
  entry.newer = entry.older = nullptr;
  touch(entry);
  return &entry;
}

directory::tenant_entry& directory::entry_of(const tenant_id& tenant) {
  auto& entry = tenants_[tenant];
  if (!entry.account)
    entry.account = std::make_shared<tenant_account>(options_.tenant_undurable_bytes_max);
  return entry;
}

/// Near the bound somebody is asked to sleep for each who comes; only at the bound nobody is let in.
std::optional<error> directory::make_room(const tenant_id& tenant, bool passes_quota) {
  if (!passes_quota)
    if (auto problem = make_room_of_tenant(tenant))
      return problem;
  const auto max = options_.sessions_resident_max;
  if (residents_.size() < max - max / 10)
    return std::nullopt;
  if (oldest_)
    put_to_sleep(*oldest_);
  if (residents_.size() < max)
    return std::nullopt;
  return full_error;
}

/// At its bound the tenant is refused, and finds room when it tries again: a tenth of what it may have is asked to
/// sleep, not more often than needed, because they are looked for among everybody's.
std::optional<error> directory::make_room_of_tenant(const tenant_id& tenant) {
  const auto at = tenants_.find(tenant);
  if (at == tenants_.end())
    return std::nullopt;
  auto& [account, asked] = at->second;
  const std::int64_t max = account->resident_max;
  if (account->resident < max)
    return std::nullopt;
  if (const auto now = clock().now(); asked == time_point::min() || now - asked >= asking_interval) {
    asked = now;
    put_some_to_sleep(tenant, 1 + account->resident - max + max / 10);
  }
  return error{error_code::quota_exceeded,
               "the tenant has " + std::to_string(account->resident) + " sessions in memory; its quota is " +
                   std::to_string(max),
               quota_retry};
}

/// Moves it to the end of those who are asked to sleep.
void directory::touch(resident& used) {
  used.last_used = clock().now();
  if (newest_ == &used)
    return;
  unlink(used);
  used.older = newest_;
  if (newest_)
    newest_->newer = &used;
  newest_ = &used;
  if (!oldest_)
    oldest_ = &used;
}

void directory::unlink(resident& from) {
  if (from.older)
    from.older->newer = from.newer;
  else if (oldest_ == &from)
    oldest_ = from.newer;
  if (from.newer)
    from.newer->older = from.older;
  else if (newest_ == &from)
    newest_ = from.older;
  from.older = from.newer = nullptr;
}

} // namespace colloquy::actors
