#include "actors/connection.hpp"

#include "actors/blocking_job.hpp"
#include "db/fingerprint.hpp"
#include "db/resolve.hpp"
#include "db/symptoms.hpp"

#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Each host is worth a try, however many there are.
constexpr std::chrono::milliseconds host_time_min{500};

// Units that one asker may have under way on a backend. The pool's own bound for shared ones is lower.
constexpr std::size_t units_max = 256;

// Tries of a unit in all, when its failure may pass.
constexpr std::uint8_t tries_max = 3;

} // namespace

std::string connection::statement_name::text() const {
  if (ours)
    return ours->name;
  return callers ? db::fingerprint(callers->sql).text : "";
}

connection::connection(caf::actor_config& config, std::uint64_t slot, connection_owner owner,
                       std::shared_ptr<const connection_options> options)
  : connection_internal::base(config)
  , slot_(slot)
  , owner_(std::move(owner))
  , options_(std::move(options))
  , last_tag_(first_unit_tag) {
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
  set_exit_handler([this](caf::exit_msg& told) {
    is_told_to_end_ = true; // by the supervisor, which takes nothing back then
    quit(std::move(told.reason));
  });
}

connection::behavior_type connection::make_behavior() {
  start();
  return {[this](run_unit& request) { return run(request); },
          [this](const assign_lease& given) { assign(given); },
          [this](const finish_lease& request) { end_the_lease(request); },
          [this](check_connection) { begin_check(); },
          [this](retire_connection) {
            retiring_ = true;
            if (ended_)
              quit(); // the supervisor knows; nothing can be on its way any more
            else
              settle();
          },
          [this](const socket_ready& ready) { on_socket(ready); },
          [this](connection_tick) { on_tick(); },
          [this](const hosts_resolved& found) {
            if (ended_ || link_)
              return;
            if (!found.hosts)
              return give_up(db::make_failure("", found.hosts.failure().message, true));
            conninfo_ = found.hosts->conninfo;
            address_notes_ = found.hosts->notes;
            hosts_left_ = db::host_count(conninfo_);
            connect_to_next_host();
          },
          [this](const cancel_returned& returned) { on_cancel_returned(returned); }};
}

void connection::on_exit() {
  retiring_ = true;
  give_up({db::failure_kind::connection_lost, "", "the connection's actor ended"});
  owner_ = nullptr;
  leased_ = {};
  options_.reset(); // the I/O thread may be the last to let go of this actor, and must not be the one to end itself
}

// --- connecting ------------------------------------------------------------------------------------------------------

void connection::start() {
  connect_deadline_ = host_deadline_ = clock().now() + options_->connect_timeout;
  delayed_send(this, tick_interval, connection_tick{});
  conninfo_ = options_->target.conninfo;
  hosts_left_ = std::max<std::size_t>(db::host_count(conninfo_), 1);
  if (!options_->has_host_names)
    return connect_to_next_host();
  run_blocking(this, caf::actor_cast<connection_internal>(this), options_->connect_timeout,
               hosts_resolved{error{error_code::database_unavailable, "could not translate host name to address: no "
                                                                      "answer within the time allowed"}},
               [conninfo = conninfo_, preference = options_->endpoint.preferred]() -> hosts_resolved {
                 return {db::resolve_hosts(conninfo, preference)};
               });
}

/// libpq tries one host after the other, but gives each of them all the time there is; so the list is turned for each
/// try, and the time divided.
void connection::connect_to_next_host() {
  watch_.reset();
  auto target = options_->target;
  target.conninfo = db::rotate_hosts(conninfo_, db::host_count(conninfo_) - hosts_left_);
  const auto now = clock().now();
  const auto share = std::chrono::duration_cast<std::chrono::milliseconds>(connect_deadline_ - now) /
                     static_cast<std::int64_t>(std::max<std::size_t>(hosts_left_, 1));
  host_deadline_ = now + std::max(share, host_time_min);
  if (hosts_left_ > 0)
    --hosts_left_;
  auto started = db::pipeline_connection::start(target);
  if (!started)
    return give_up(db::make_failure("", started.failure().message, true));
  link_ = std::move(started).value();
  // libpq: after the start, wait until the socket is writable before the first poll.
  watch_for(db::io_need::write);
}

void connection::report_ready() {
  reported_ = true;
  last_use_ = clock().now();
  const auto kind = db::guess_kind(link_->host(), db::user_of(conninfo_), link_->reported_pid(), link_->backend_pid());
  send(owner_, connection_ready{slot_,
                                {link_->backend_pid(), kind, link_->host(), link_->port(), link_->server_version(),
                                 link_->uses_tls()}});
}

// --- units -----------------------------------------------------------------------------------------------------------

std::optional<db::db_failure> connection::refusal(const run_unit& request) const {
  if (ended_ || !link_ || !link_->ready())
    return db::db_failure{db::failure_kind::wait, "", "the connection is gone"};
  if (!request.work || std::any_of(request.work->calls.begin(), request.work->calls.end(),
                                   [](const auto& call) { return !call.what && !call.own; }))
    return db::db_failure{db::failure_kind::fault, "", "a unit of work without its statements"};
  if (request.lease != lease_ || lease_ending_)
    return db::db_failure{db::failure_kind::fault, "",
                          request.lease != 0 ? "the lease has ended" : "the connection is leased to somebody else"};
  if (sent_.size() + held_.size() >= units_max)
    return db::db_failure{db::failure_kind::wait, "",
                          "more than " + std::to_string(units_max) + " units are under way on one connection"};
  return std::nullopt;
}

connection::statement_name connection::last_statement_of(const run_unit& request) {
  if (!request.work || request.work->calls.empty())
    return {};
  const auto& call = request.work->calls.back();
  return {call.what, call.own};
}

connection::promise connection::run(run_unit& request) {
  auto asker = caf::actor_cast<caf::actor_addr>(current_sender()); // before the promise takes it
  auto answer = make_response_promise<db::unit_outcome>();
  const auto now = clock().now();
  pending_unit unit;
  unit.answer = answer;
  unit.deadline = request.deadline.value_or(now + options_->unit_timeout);
  unit.begun = now;
  unit.asker = std::move(asker);
  unit.request = std::move(request);
  if (auto refused = refusal(unit.request)) {
    if (!hand_on(unit, *refused, /*was_sent=*/false)) {
      note(unit, {{}, refused});
      unit.answer.deliver(db::unit_outcome{{}, std::move(refused)});
    }
    flush_notes();
    return answer;
  }
  last_use_ = now;
  if (lease_ != 0 && !std::exchange(lease_used_, true))
    name_the_session();
  lease_overdue_ = lease_leaks_ = false;
  held_.push_back(std::move(unit));
  send_held();
  return answer;
}

void connection::send_held() {
  if (cancelling_ != cancelling::none || ended_ || held_.empty())
    return;
  while (!held_.empty()) {
    auto unit = std::move(held_.front());
    held_.pop_front();
    if (!unit.is_answered)
      send_now(std::move(unit));
  }
  advance();
}

void connection::send_now(pending_unit unit) {
  const auto tag = ++last_tag_;
  const auto work = unit.request.work;
  sent_.emplace(tag, std::move(unit));
  link_->submit(tag, *work);
}

void connection::on_socket(const socket_ready& ready) {
  if (ended_ || ready.generation != generation_)
    return;
  (ready.what == socket_watch::readiness::readable ? read_armed_ : write_armed_) = false;
  advance();
}

/// What it calls may send more, and calls this again to say so.
void connection::advance() {
  if (ended_ || !link_ || std::exchange(advancing_, true)) {
    advance_again_ = true;
    return;
  }
  auto need = db::io_need::none;
  do {
    advance_again_ = false;
    // Until it is connected the socket may be replaced under our feet, so it must not be watched across a poll.
    if (!link_->connected())
      watch_.reset();
    need = link_->advance();
    take_finished();
    if (!ended_ && link_->broken())
      give_up(*link_->broken());
    if (!ended_ && left_open_) // the next unit would run, and be rolled back, in somebody else's
      give_up({db::failure_kind::fault, "", "a unit of work left a transaction open; its connection is given up"});
    if (!ended_)
      take_news();
  } while (advance_again_ && !ended_);
  advancing_ = false;
  if (!ended_)
    watch_for(need);
}

void connection::take_news() {
  if (link_->ready() && !reported_)
    report_ready();
  pass_notifications();
  settle();
  if (!ended_ && !sent_.empty() && sent_.begin()->second.is_doomed)
    cancel_first();
  flush_notes();
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

void connection::take_finished() {
  for (auto& [tag, outcome] : link_->take_finished()) {
    if (tag == probe_tag)
      finish_probe(outcome);
    else if (tag == check_tag)
      finish_check(outcome);
    else if (tag == reset_tag)
      finish_reset(outcome);
    else if (auto unit = sent_.extract(tag)) {
      const bool was_shared = unit.mapped().request.lease == 0;
      finish(std::move(unit.mapped()), std::move(outcome));
      left_open_ = left_open_ || (was_shared && !ended_ && sent_.empty() && link_->in_transaction());
    }
  }
}

void connection::finish(pending_unit unit, db::unit_outcome outcome, bool was_sent) {
  if (unit.is_watched)
    unwatch(unit.asker);
  last_use_ = clock().now();
  if (unit.is_answered) {
    if (was_sent)
      note(unit, outcome); // only now the backend is done with it
    return;
  }
  if (outcome.failure && (run_again(unit, *outcome.failure) || hand_on(unit, *outcome.failure, was_sent)))
    return;
  note(unit, outcome);
  unit.answer.deliver(std::move(outcome));
}

/// CAF's demonitor() takes away every monitor of the asker, so it is for the last of its units.
void connection::unwatch(const caf::actor_addr& asker) {
  if (std::none_of(sent_.begin(), sent_.end(),
                   [&](const auto& each) { return each.second.is_watched && each.second.asker == asker; }))
    demonitor(asker);
}

/// The two failures after which the same unit is right at once: it was rolled back, through no fault of its own.
bool connection::run_again(pending_unit& unit, const db::db_failure& failure) {
  if (ended_ || link_->broken() || unit.is_doomed || lease_ending_)
    return false;
  const bool is_shared = unit.request.lease == 0;
  const bool hit_by_mistake = failure.sqlstate == "57014" && cancelling_ != cancelling::none && is_shared;
  const bool lost_plan = (failure.sqlstate == "26000" || failure.sqlstate == "0A000") &&
                         failure.kind == db::failure_kind::retry && !unit.was_repeated &&
                         (is_shared || (sent_.empty() && !link_->in_transaction()));
  if (!hit_by_mistake && !lost_plan)
    return false;
  unit.was_repeated = unit.was_repeated || lost_plan;
  unit.is_watched = false;
  held_.push_front(std::move(unit)); // advance() sends it, once there is no cancel in the way
  advance_again_ = true;
  return true;
}

/// To the supervisor, who waits a little and picks a backend anew.
bool connection::hand_on(pending_unit& unit, const db::db_failure& failure, bool was_sent) {
  if (!owner_ || is_told_to_end_ || unit.request.lease != 0 || unit.is_doomed ||
      unit.request.tries + (was_sent ? 1 : 0) >= tries_max)
    return false;
  if (failure.sqlstate == "57014")
    return false; // it took too long, or somebody wants it to end: once is enough
  const auto action = db::action_for(failure.kind);
  const bool may_pass = action == db::retry_action::retry_now || action == db::retry_action::retry_later ||
                        (action == db::retry_action::outcome_unknown && unit.request.idempotent);
  if (!may_pass || clock().now() >= unit.deadline)
    return false;
  notes_.push_back({unit.request.tenant, unit.request.purpose, 0us, failure.kind, false, true});
  unit.request.deadline = unit.deadline;
  if (was_sent)
    ++unit.request.tries;
  unit.answer.delegate(owner_, retry_unit{std::move(unit.request), failure, was_sent});
  return true;
}

void connection::note(const pending_unit& unit, const db::unit_outcome& outcome) {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(clock().now() - unit.begun);
  const bool is_slow = took >= options_->slow_after;
  if (is_slow)
    spdlog::warn("slow: {} took {} ms on backend {} (purpose {})", last_statement_of(unit.request).text(),
                 took.count() / 1000, link_ ? link_->backend_pid() : 0, unit.request.purpose);
  std::optional<db::failure_kind> failed;
  if (outcome.failure)
    failed = outcome.failure->kind;
  if (unit.request.lease != 0)
    last_statement_ = last_statement_of(unit.request);
  notes_.push_back({unit.request.tenant, unit.request.purpose, took, failed, is_slow, unit.request.lease == 0});
}

void connection::flush_notes() {
  if ((notes_.empty() && cancels_ == 0) || !owner_)
    return;
  send(owner_, units_done{slot_, std::exchange(notes_, {}), std::exchange(cancels_, 0)});
}

void connection::give_up(db::db_failure why) {
  if (std::exchange(ended_, true))
    return;
  watch_.reset();
  if (link_)
    take_finished();
  const bool something_runs = !sent_.empty() && link_ && !link_->broken();
  auto lost = why;
  lost.kind = db::failure_kind::connection_lost;
  for (auto& [tag, unit] : sent_)
    finish(std::move(unit), {{}, lost});
  sent_.clear();
  lost.kind = db::failure_kind::wait; // these were never sent
  for (auto& unit : held_)
    finish(std::move(unit), {{}, lost}, /*was_sent=*/false);
  held_.clear();
  flush_notes();
  if (something_runs)
    stop_what_runs();
  link_.reset();
  if (!owner_)
    return quit();
  if (!reported_)
    for (const auto& note : address_notes_)
      why.message += "; " + note;
  // It stays until the supervisor has heard of it: units that are on their way are handed back, not lost.
  send(owner_, connection_failed{slot_, std::move(why)});
  if (retiring_)
    quit();
}

} // namespace colloquy::actors
