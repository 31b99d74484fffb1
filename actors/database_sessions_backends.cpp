// Who gets which backend. See database_sessions.hpp for the rules.
#include "actors/database_sessions.hpp"

#include "actors/blocking_job.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto logins_max = 40s;
constexpr auto cleaning_max = 10s;
constexpr auto check_max = 10s;

// A refusal for a reason that an administrator must remove is not asked for again before this; another one sooner.
constexpr auto refused_for = 10s;
constexpr auto failed_for = 1s;

// One more with a new password, and one more after that.
constexpr unsigned tries_max = 3;

// What a backend has sent may still be on its way when it is gone.
constexpr auto pid_kept_for = 60s;

// Of tenants that nobody uses at the moment; making one again costs its other processes a new password.
constexpr std::size_t logins_kept = 1000;

bool is_about_the_login(const db::db_failure& why) {
  return why.sqlstate.starts_with("28") || why.message.find("authentication failed") != std::string::npos ||
         why.message.find("does not exist") != std::string::npos ||
         why.message.find("not permitted") != std::string::npos;
}

} // namespace

std::size_t database_sessions::slots_of(const std::string& tenant) const {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](const auto& each) { return each.second.key.first == tenant; }));
}

/// Unless it is set, some are left for the others, whatever one tenant pins.
std::size_t database_sessions::tenant_backends_max() const {
  if (options_.tenant_backends_max != 0)
    return std::min(options_.tenant_backends_max, options_.backends_max);
  return std::max<std::size_t>(1, options_.backends_max * 3 / 4);
}

void database_sessions::acquire(session& of) {
  of.waits = true;
  waiting_.push_back(of.id);
  serve();
}

/// In the order in which they came; one who has to wait does not keep those of other tenants from what is free.
void database_sessions::serve() {
  if (std::exchange(serving_, true)) {
    serve_again_ = true;
    return;
  }
  do {
    serve_again_ = false;
    const std::vector<std::string> all(waiting_.begin(), waiting_.end());
    for (const auto& id : all)
      if (auto* of = find_alive(id); of && of->waits && serve_one(*of))
        waiting_.remove(id);
  } while (serve_again_);
  serving_ = false;
}

/// Whether it need not wait in the line any more: it has one, or one is on its way to it.
bool database_sessions::serve_one(session& of) {
  auto& login = logins_[of.owner.tenant.text()];
  if (!login.logins) {
    need_logins(of.owner.tenant);
    return false;
  }
  for (auto& [number, entry] : slots_)
    if (entry.key == of.key() && entry.state == slot_state::idle) {
      assign(number, of);
      return true;
    }
  for (auto& [number, entry] : slots_) // one whose session has ended meanwhile
    if (entry.key == of.key() && entry.session.empty() &&
        (entry.state == slot_state::connecting || entry.state == slot_state::checking)) {
      entry.session = of.id;
      return true;
    }
  if (slots_.size() < options_.backends_max && slots_of(of.owner.tenant.text()) < tenant_backends_max()) {
    add_slot(of, *login.logins);
    return true;
  }
  make_room(of);
  return false;
}

/// One backend at a time for each who waits: those that are being made as new, or are closing, are there in a moment.
void database_sessions::make_room(const session& wanting) {
  const auto soon = static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const auto& each) {
    return each.second.state == slot_state::cleaning || each.second.state == slot_state::closing;
  }));
  if (soon >= waiting_.size())
    return;
  const auto& tenant = wanting.owner.tenant.text();
  const bool is_at_its_own_bound = slots_of(tenant) >= tenant_backends_max();
  const auto may_go = [&](const std::string& owner) { return !is_at_its_own_bound || owner == tenant; };
  for (auto& [number, entry] : slots_)
    if (entry.state == slot_state::idle && may_go(entry.key.first))
      return close_slot(number);
  park_longest_idle([&](const session& each) { return may_go(each.owner.tenant.text()); });
}

bool database_sessions::park_longest_idle(const std::function<bool(const session&)>& which) {
  session* chosen = nullptr;
  for (auto& [id, each] : sessions_)
    if (may_park(each) && which(each) && (!chosen || each.last_use < chosen->last_use))
      chosen = &each;
  if (chosen)
    park(*chosen);
  return chosen != nullptr;
}

void database_sessions::add_slot(session& of, const db::database_logins& logins) {
  const auto number = ++last_slot_;
  database_backend_options options;
  options.login = logins.of(of.access);
  options.place = options_.place;
  options.connect_timeout = options_.connect_timeout;
  options.reactor = options_.reactor;
  slot made;
  made.key = of.key();
  made.session = of.id;
  made.since = clock().now();
  made.backend = options_.make_backend(*this, number, caf::actor_cast<backend_owner>(this), std::move(options));
  monitor(made.backend);
  slots_.emplace(number, std::move(made));
}

void database_sessions::on_connected(const backend_connected& news) {
  auto found = slots_.find(news.slot);
  if (found == slots_.end() || found->second.state != slot_state::connecting)
    return;
  found->second.pid = news.backend_pid;
  found->second.state = slot_state::checking;
  const auto& [tenant, access] = found->second.key;
  pids_[news.backend_pid] = {access == database_access::read_write ? tenant : std::string(), std::nullopt, false};
  check_role(news.slot);
}

/// A role can give itself settings, which each login then begins with: of one session they would come to the next.
void database_sessions::check_role(slot_number number) {
  const auto& key = slots_.at(number).key;
  auto& login = logins_[key.first];
  if (!login.logins)
    return close_slot(number);
  run_unit unit{db::read_role_settings(login.logins->of(key.second).role)};
  unit.purpose = "database roles";
  unit.deadline = clock().now() + check_max;
  unit.idempotent = true;
  const auto then = [this, number](const db::unit_outcome& outcome) {
    auto found = slots_.find(number);
    if (found == slots_.end() || found->second.state != slot_state::checking)
      return;
    auto& entry = found->second;
    auto* to = find_alive(entry.session);
    if (outcome.failure || db::decode_role_settings(outcome)) {
      if (!outcome.failure)
        logins_[entry.key.first].logins.reset(); // made anew, it begins with none
      entry.session.clear();
      close_slot(number);
      if (to && to->waits)
        waiting_.push_front(to->id);
      return serve();
    }
    if (to && to->waits)
      return assign(number, *to);
    entry.state = slot_state::idle;
    entry.session.clear();
    entry.since = clock().now();
    serve();
  };
  request(pool_, check_max + pool_answer_margin, std::move(unit)).then(then, [then](const caf::error&) {
    then({{}, db::db_failure{db::failure_kind::wait, "", "the pool does not answer"}});
  });
}

void database_sessions::assign(slot_number number, session& to) {
  auto& entry = slots_.at(number);
  entry.state = slot_state::held;
  entry.session = to.id;
  to.slot = number;
  to.waits = false;
  replay(to.id, 0);
}

/// `is_reusable`: nothing was done on it that making it as new does not undo.
void database_sessions::free_slot(slot_number number, bool is_reusable) {
  auto found = slots_.find(number);
  if (found == slots_.end() || found->second.state != slot_state::held)
    return;
  found->second.session.clear();
  if (is_reusable)
    clean(number);
  else
    close_slot(number);
}

void database_sessions::clean(slot_number number) {
  auto& entry = slots_.at(number);
  entry.state = slot_state::cleaning;
  run_sql wish;
  wish.what = std::make_shared<const db::caller_sql>(db::caller_sql{"DISCARD ALL", {}});
  wish.deadline = clock().now() + cleaning_max;
  const auto then = [this, number](const sql_told& told) {
    auto found = slots_.find(number);
    if (found == slots_.end() || found->second.state != slot_state::cleaning)
      return;
    if (told.progress.refused || told.status != sql_transaction_status::idle)
      return close_slot(number);
    found->second.state = slot_state::idle;
    found->second.since = clock().now();
    serve();
  };
  request(entry.backend, cleaning_max + 60s, std::move(wish)).then(then, [this, number](const caf::error&) {
    if (slots_.contains(number))
      close_slot(number);
  });
}

void database_sessions::close_slot(slot_number number) {
  auto& entry = slots_.at(number);
  entry.state = slot_state::closing;
  entry.since = clock().now();
  send(entry.backend, close_backend{});
}

void database_sessions::on_ended(const backend_ended& news) {
  auto found = slots_.extract(news.slot);
  if (!found)
    return;
  auto& gone = found.mapped();
  demonitor(gone.backend.address());
  send(gone.backend, close_backend{});
  if (auto pid = pids_.find(gone.pid); pid != pids_.end())
    pid->second.until = clock().now() + pid_kept_for;
  auto* of = find_alive(gone.session);
  if (!of)
    return serve();
  if (gone.state == slot_state::held && of->slot == news.slot) {
    of->slot = 0;
    if (of->current) {
      of->lost = "its connection was lost: " + news.why.message; // its statement's own end comes to this
      return;
    }
    if (why_pinned(*of).empty())
      return serve(); // as if it had been parked
    return end_session(of->id, "its connection was lost: " + news.why.message, false);
  }
  if (!of->waits)
    return serve();
  if (is_about_the_login(news.why))
    logins_[gone.key.first].logins.reset(); // another process may have set a new password
  if (++of->tries < tries_max && (is_about_the_login(news.why) || news.was_connected)) {
    waiting_.push_front(of->id);
    return serve();
  }
  fail_waiting(
      *of, {error_code::database_unavailable, "no connection for the database session: " + news.why.message, 1000ms});
}

/// What was on its way to it comes for whoever waits.
void database_sessions::leave_line(session& of) {
  of.waits = false;
  waiting_.remove(of.id);
  for (auto& [number, entry] : slots_)
    if (entry.session == of.id && entry.state != slot_state::held)
      entry.session.clear();
}

void database_sessions::fail_waiting(session& of, error why) {
  leave_line(of);
  if (of.current)
    answer_current(of, std::move(why));
}

// --- logins ----------------------------------------------------------------------------------------------------------

void database_sessions::need_logins(const tenant_id& tenant) {
  auto& login = logins_[tenant.text()];
  if (std::exchange(login.is_being_made, true))
    return;
  const auto name = tenant.text();
  if (options_.make_logins) {
    anon_send(caf::actor_cast<database_sessions_internal>(this), logins_made{name, options_.make_logins(tenant)});
    return;
  }
  run_blocking(this, caf::actor_cast<database_sessions_internal>(this), logins_max,
               logins_made{name, error{error_code::database_unavailable,
                                       "the roles of database sessions could not be made in time", 1000ms}},
               [name, tenant, place = options_.place]() -> logins_made {
                 return {name, db::ensure_database_logins(place, tenant)};
               });
}

void database_sessions::forget_logins() {
  const auto now = clock().now();
  for (auto at = logins_.begin(); at != logins_.end() && logins_.size() > logins_kept;) {
    const auto& [tenant, login] = *at;
    const bool is_used = login.is_being_made || !login.describes.empty() || now < login.refused_until ||
                         sessions_of_.contains(tenant) || slots_of(tenant) != 0;
    at = is_used ? std::next(at) : logins_.erase(at);
  }
}

void database_sessions::on_logins(const logins_made& news) {
  auto& login = logins_[news.tenant];
  login.is_being_made = false;
  auto describes = std::exchange(login.describes, {});
  std::vector<opening> opened;
  for (auto at = openings_.begin(); at != openings_.end();)
    if (at->tenant == news.tenant) {
      opened.push_back(std::move(*at));
      at = openings_.erase(at);
    } else {
      ++at;
    }
  if (news.logins) {
    login.logins = *news.logins;
    if (!login.logins->taken_away.empty())
      spdlog::warn("database sessions: {}", login.logins->taken_away);
    login.refusal.reset();
    for (auto& [answer, access] : describes)
      run_describe(answer, *login.logins, access);
    for (auto& each : opened) {
      if (auto* begun = find_alive(each.session)) { // its time begins with the answer
        begun->is_opening = false;
        begun->last_use = clock().now();
        each.record.expires_at = expiry_of(*begun);
      }
      each.answer.deliver(result<database_session_record>(std::move(each.record)));
    }
    return serve();
  }
  const auto why = news.logins.failure();
  const bool is_final = why.code == error_code::forbidden;
  login.refusal = why;
  login.refused_until = clock().now() + (is_final ? std::chrono::milliseconds(refused_for) : failed_for);
  if (is_final)
    spdlog::warn("no database sessions: {}", why.message);
  for (auto& [answer, access] : describes)
    answer.deliver(result<database_schema>(why));
  for (auto& each : opened) {
    each.answer.deliver(result<database_session_record>(why));
    end_session(each.session, why.message, true);
  }
  std::vector<std::string> in_vain;
  for (const auto& id : waiting_)
    if (auto* of = find_alive(id); of && of->owner.tenant.text() == news.tenant)
      in_vain.push_back(id);
  for (const auto& id : in_vain)
    if (auto* of = find_alive(id))
      fail_waiting(*of, why);
}

} // namespace colloquy::actors
