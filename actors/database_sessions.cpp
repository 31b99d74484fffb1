// The sessions themselves: opened, found, ended. See database_sessions.hpp for the rules.
#include "actors/database_sessions.hpp"

#include "actors/blocking_job.hpp"
#include "messages/hex.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;
constexpr std::size_t ended_max = 10'000;
constexpr std::size_t handle_bytes = 16;

const error no_such_session{error_code::not_found, "there is no such database session"};

/// Of the system's own randomness: whoever has it can use the session, if it is theirs.
std::string make_handle() {
  std::random_device random; // getrandom() with the library that we build with
  std::string text;
  for (std::size_t i = 0; i < handle_bytes; ++i) {
    const auto byte = static_cast<unsigned char>(random() & 0xff);
    text.push_back(hex::digits[byte >> 4]);
    text.push_back(hex::digits[byte & 15]);
  }
  return text;
}

} // namespace

database_backend_actor spawn_database_backend(caf::local_actor& parent, std::uint64_t slot, backend_owner owner,
                                              database_backend_options options) {
  return caf::actor_cast<database_backend_actor>(
      parent.spawn<database_backend>(slot, std::move(owner), std::move(options)));
}

database_sessions::database_sessions(caf::actor_config& config, supervisor_actor pool, listener_actor listener,
                                     database_sessions_options options)
  : database_sessions_internal::base(config)
  , pool_(std::move(pool))
  , listener_(std::move(listener))
  , options_(std::move(options)) {
  set_down_handler([this](const caf::down_msg& down) {
    for (auto& [number, entry] : slots_)
      if (entry.backend.address() == down.source)
        return on_ended({number, {db::failure_kind::connection_lost, "", "the connection's actor ended"}, true});
  });
}

database_sessions::behavior_type database_sessions::make_behavior() {
  delayed_send(this, tick_interval, database_sessions_tick{});
  return {[this](const open_database_session& request) { return open(request); },
          [this](execute_sql& request) { return execute(request); },
          [this](const cancel_sql& request) { return cancel(request); },
          [this](const read_database_notifications& request) { return read(request); },
          [this](const close_database_session& request) { return close(request); },
          [this](const close_database_sessions_of& request) { return close_all(request); },
          [this](const describe_database& request) { return describe(request); },
          [this](get_database_session_figures) -> result<database_session_figures> { return figures(); },
          [this](const backend_connected& news) { on_connected(news); },
          [this](const backend_heard& news) { on_heard(news); },
          [this](const backend_ended& news) { on_ended(news); },
          [this](const channel_notified& news) { on_channel(news); },
          [this](const channel_gap& gap) { on_gap(gap); },
          [this](const logins_made& news) { on_logins(news); },
          [this](database_sessions_tick) { on_tick(); }};
}

void database_sessions::on_exit() {
  serving_ = true; // nobody is given anything any more
  std::vector<std::string> ids;
  for (const auto& [id, each] : sessions_)
    ids.push_back(id);
  for (const auto& id : ids)
    end_session(id, "the service ends", false);
  for (auto& [number, entry] : slots_)
    send(entry.backend, close_backend{});
  for (auto& each : openings_)
    each.answer.deliver(result<database_session_record>(error{error_code::database_unavailable, "the service ends"}));
  openings_.clear();
  for (auto& [tenant, login] : logins_)
    for (auto& [answer, access] : login.describes)
      answer.deliver(result<database_schema>(error{error_code::database_unavailable, "the service ends"}));
  slots_.clear();
  logins_.clear();
  pool_ = nullptr;
  listener_ = nullptr;
  options_.reactor.reset();
}

// --- opening and closing ---------------------------------------------------------------------------------------------

std::size_t database_sessions::sessions_of(const tenant_id& tenant) const {
  auto found = sessions_of_.find(tenant.text());
  return found == sessions_of_.end() ? 0 : found->second;
}

timestamp database_sessions::expiry_of(const session& of) {
  const auto at = std::min(of.last_use + of.idle_timeout, of.ends);
  return options_.clock() + std::chrono::duration_cast<std::chrono::microseconds>(at - clock().now());
}

database_sessions::promise<database_session_record> database_sessions::open(const open_database_session& request) {
  auto answer = make_response_promise<result<database_session_record>>();
  const auto refuse = [&](error why) {
    answer.deliver(result<database_session_record>(std::move(why)));
    return answer;
  };
  const auto& tenant = request.owner.tenant;
  const auto now = clock().now();
  if (!options_.is_enabled)
    return refuse({error_code::forbidden, "database sessions are switched off (database_sessions)"});
  if (request.idle_timeout && (*request.idle_timeout < 1s || *request.idle_timeout > limits::database_session_idle_max))
    return refuse({error_code::invalid_request,
                   "idle_timeout_s is " + std::to_string(request.idle_timeout->count()) + "; 1 to 3600 are allowed"});
  if (const auto& login = logins_[tenant.text()]; login.refusal && now < login.refused_until)
    return refuse(*login.refusal);
  if (const auto* made_before = find_repeated(request)) {
    const auto& repeat = *made_before->repeat;
    if (repeat.fingerprint != request.repeat->fingerprint)
      return refuse({error_code::idempotency_mismatch,
                     "idempotency key \"" + repeat.key + "\" was used before, with another request"});
    database_session_record again{made_before->id, made_before->access, expiry_of(*made_before)};
    if (made_before->is_opening)
      openings_.push_back({tenant.text(), made_before->id, answer, std::move(again)});
    else
      answer.deliver(result<database_session_record>(std::move(again)));
    return answer;
  }
  if (sessions_.size() >= options_.sessions_max)
    return refuse({error_code::overloaded,
                   "there are " + std::to_string(sessions_.size()) +
                       " database sessions, and no more are allowed at a time (database_sessions_max)",
                   1000ms});
  if (sessions_of(tenant) >= options_.tenant_sessions_max)
    return refuse({error_code::overloaded,
                   "the tenant has " + std::to_string(sessions_of(tenant)) +
                       " database sessions, and no more are allowed at a time (tenant_database_sessions_max): close "
                       "those that are not needed",
                   1000ms});
  session made;
  made.id = make_handle();
  made.owner = request.owner;
  made.access = request.access;
  made.parking = request.parking;
  made.repeat = request.repeat;
  made.idle_timeout = request.idle_timeout ? std::chrono::milliseconds(*request.idle_timeout) : options_.idle_timeout;
  made.ends = now + options_.lifetime;
  made.last_use = now;
  ++counted_.opened;
  ++sessions_of_[tenant.text()];
  database_session_record record{made.id, made.access, expiry_of(made)};
  const auto id = made.id;
  made.is_opening = !logins_[tenant.text()].logins;
  sessions_.emplace(id, std::move(made));
  // Whether the database gives such sessions at all is told now, not at the first statement.
  if (logins_[tenant.text()].logins) {
    answer.deliver(result<database_session_record>(std::move(record)));
    return answer;
  }
  openings_.push_back({tenant.text(), id, answer, std::move(record)});
  need_logins(tenant);
  return answer;
}

const database_sessions::session* database_sessions::find_repeated(const open_database_session& request) const {
  if (!request.repeat)
    return nullptr;
  const auto found = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& each) {
    const auto& [id, of] = each;
    return of.owner == request.owner && of.repeat && of.repeat->key == request.repeat->key;
  });
  return found == sessions_.end() ? nullptr : &found->second;
}

result<database_sessions::session*> database_sessions::find(const database_session_owner& owner,
                                                            const std::string& id) {
  if (auto found = sessions_.find(id); found != sessions_.end())
    return found->second.owner == owner ? result<session*>(&found->second) : result<session*>(no_such_session);
  auto ended = ended_.find(id);
  if (ended == ended_.end() || ended->second.owner != owner)
    return no_such_session;
  return error{error_code::session_expired, "the database session was given back at " + to_rfc3339(ended->second.at) +
                                                ": " + ended->second.why + "; open another one"};
}

database_sessions::session* database_sessions::find_alive(const std::string& id) {
  auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

database_sessions::promise<database_session_closed> database_sessions::close(const close_database_session& request) {
  auto answer = make_response_promise<result<database_session_closed>>();
  auto found = find(request.owner, request.id);
  if (!found && found.failure().code != error_code::session_expired) {
    answer.deliver(result<database_session_closed>(found.failure()));
    return answer;
  }
  if (found)
    end_session(request.id, "it was closed", true);
  else
    ended_.erase(request.id); // nothing more is to be told of it
  answer.deliver(result<database_session_closed>(database_session_closed{}));
  return answer;
}

result<database_sessions_closed> database_sessions::close_all(const close_database_sessions_of& request) {
  std::vector<std::string> ids;
  for (const auto& [id, each] : sessions_)
    if (each.owner == request.owner)
      ids.push_back(id);
  for (const auto& id : ids)
    end_session(id, request.why, false);
  return database_sessions_closed{ids.size()};
}

void database_sessions::end_session(const std::string& id, const std::string& why, bool by_owner) {
  auto found = sessions_.extract(id);
  if (!found)
    return;
  auto& gone = found.mapped();
  const error told{error_code::session_expired, "the database session has ended: " + why + "; open another one"};
  if (gone.current && gone.current->answer.pending())
    gone.current->answer.deliver(result<sql_outcome>(told));
  for (auto& call : gone.queue)
    call.answer.deliver(result<sql_outcome>(told));
  for (auto& waiter : gone.waiters)
    waiter.answer.deliver(result<database_notifications>(told));
  const auto channels = gone.listens;
  for (const auto& channel : channels)
    unlisten(gone, channel);
  waiting_.remove(id);
  if (auto left = sessions_of_.find(gone.owner.tenant.text()); left != sessions_of_.end() && --left->second == 0)
    sessions_of_.erase(left);
  const bool is_clean = !gone.current && may_be_made_as_new(gone);
  if (gone.slot != 0)
    free_slot(gone.slot, is_clean);
  else
    for (auto& [number, entry] : slots_)
      if (entry.session == id)
        entry.session.clear(); // it is still connecting, and comes for whoever waits
  if (by_owner) {
    ++counted_.closed;
  } else {
    ++counted_.given_back;
    ended_.emplace(id, ended_session{gone.owner, options_.clock(), why, clock().now() + options_.remembered_for});
    ended_order_.push_back(id);
  }
  while (ended_order_.size() > ended_max ||
         (!ended_order_.empty() &&
          (!ended_.contains(ended_order_.front()) || ended_.at(ended_order_.front()).forgotten <= clock().now()))) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
  serve();
}

// --- what is there ---------------------------------------------------------------------------------------------------

database_sessions::promise<database_schema> database_sessions::describe(const describe_database& request) {
  auto answer = make_response_promise<result<database_schema>>();
  if (!options_.is_enabled) {
    answer.deliver(result<database_schema>(
        error{error_code::forbidden, "database sessions are switched off (database_sessions)"}));
    return answer;
  }
  auto& login = logins_[request.owner.tenant.text()];
  if (login.logins)
    run_describe(answer, *login.logins, request.access);
  else if (login.refusal && clock().now() < login.refused_until)
    answer.deliver(result<database_schema>(*login.refusal));
  else if (login.describes.size() >= options_.sessions_max)
    answer.deliver(result<database_schema>(error{error_code::overloaded, "too many ask for the schema", 1000ms}));
  else {
    login.describes.emplace_back(answer, request.access);
    need_logins(request.owner.tenant);
  }
  return answer;
}

void database_sessions::run_describe(promise<database_schema> answer, const db::database_logins& logins,
                                     database_access access) {
  run_unit unit{db::read_database_schema(logins, access)};
  unit.purpose = "database schema";
  unit.deadline = clock().now() + 30s;
  unit.idempotent = true;
  this->request(pool_, 30s + pool_answer_margin, std::move(unit))
      .then(
          [answer](const db::unit_outcome& outcome) mutable {
            if (outcome.failure)
              answer.deliver(result<database_schema>(error{
                  error_code::database_unavailable, "the schema could not be read: " + outcome.failure->message}));
            else
              answer.deliver(result<database_schema>(db::decode_database_schema(outcome)));
          },
          [answer](const caf::error&) mutable {
            answer.deliver(result<database_schema>(
                error{error_code::database_unavailable, "the schema could not be read: the pool does not answer"}));
          });
}

database_session_figures database_sessions::figures() {
  auto now = counted_;
  now.is_available = options_.is_enabled;
  for (const auto& [tenant, login] : logins_)
    if (login.refusal && clock().now() < login.refused_until) {
      now.is_available = false;
      now.why_not = login.refusal->message;
    }
  now.open = sessions_.size();
  now.backends = slots_.size();
  now.backends_max = options_.backends_max;
  now.waiting = waiting_.size();
  for (const auto& [id, each] : sessions_) {
    now.parked += each.slot == 0 && !each.waits ? 1 : 0;
    now.pinned += each.slot != 0 && !why_pinned(each).empty() ? 1 : 0;
  }
  return now;
}

void database_sessions::on_tick() {
  const auto now = clock().now();
  std::vector<std::pair<std::string, std::string>> over;
  std::vector<std::string> too_late;
  for (auto& [id, each] : sessions_) {
    if (each.waits && each.current && now >= each.current->deadline)
      too_late.push_back(id);
    answer_waiters(each);
    refuse_late(each, now);
    if (now >= each.ends)
      over.emplace_back(id, "its life was over (database_session_lifetime)");
    else if (each.is_at_rest() && each.waiters.empty() && now - each.last_use >= each.idle_timeout)
      over.emplace_back(id, "it was idle for " + std::to_string(each.idle_timeout.count() / 1000) + " s");
  }
  for (const auto& [id, why] : over)
    end_session(id, why, false);
  for (const auto& id : too_late)
    if (auto* late = find_alive(id))
      fail_waiting(*late, {error_code::overloaded,
                           "no connection of database sessions was free in time (database_backends_max is " +
                               std::to_string(options_.backends_max) + ")",
                           1000ms});
  for (auto& [id, each] : sessions_)
    if (may_park(each) && now - each.last_use >= options_.park_after)
      park(each);
  std::vector<slot_number> unused;
  for (const auto& [number, entry] : slots_)
    if (entry.state == slot_state::idle && now - entry.since >= options_.backend_idle_timeout)
      unused.push_back(number);
  for (const auto number : unused)
    close_slot(number);
  forget_logins();
  std::erase_if(pids_, [now](const auto& each) { return each.second.until && *each.second.until <= now; });
  serve();
  delayed_send(this, tick_interval, database_sessions_tick{});
}

} // namespace colloquy::actors
