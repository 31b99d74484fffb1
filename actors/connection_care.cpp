// What a connection does beside running units: deadlines, cancelling, leases and health.
#include "actors/connection.hpp"

#include "actors/blocking_job.hpp"
#include "db/symptoms.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// A unit that runs for longer than this has its asker watched: one that dies wants no answer.
constexpr std::chrono::milliseconds watched_after{250};

// What is past its deadline and not cancelled by now is answered all the same.
constexpr std::chrono::milliseconds answered_after{2000};

// For a check, and for making a session as new.
constexpr std::chrono::milliseconds own_time_max{5000};

constexpr db::oid name_session_types[] = {db::oids::text};
constexpr db::statement name_session{"name_session", "SELECT set_config('application_name', $1, false)",
                                     name_session_types};
constexpr db::statement probe_statement{"probe", "SELECT pg_backend_pid()", {}};

// A unit of work that sets these has poisoned the backend for all others.
constexpr db::statement check_statement{"check",
                                        "SELECT pg_backend_pid(), current_setting('role'), "
                                        "current_setting('search_path'), current_setting('statement_timeout')",
                                        {}};
constexpr const char* checked_settings[] = {"role", "search_path", "statement_timeout"};

// A cancel makes a connection of its own; a server that does not take one within this will not take it later.
constexpr std::chrono::milliseconds cancel_time_max{10'000};

} // namespace

void connection::on_tick() {
  if (ended_)
    return;
  const auto now = clock().now();
  if (!link_ || !link_->ready()) {
    if (now >= connect_deadline_)
      return give_up(
          db::make_failure("", "no connection within the time allowed (connect_timeout): timeout expired", true));
    if (link_ && !link_->connected() && now >= host_deadline_ && hosts_left_ > 0)
      connect_to_next_host();
  } else {
    check_deadlines(now);
    if (!ended_)
      check_lease(now);
  }
  flush_notes();
  if (!ended_)
    delayed_send(this, tick_interval, connection_tick{});
}

// --- deadlines and cancelling ----------------------------------------------------------------------------------------

void connection::check_deadlines(time_point now) {
  // What is first in line may have every right to run: then the cancel's own time begins when that is done.
  if (!sent_.empty() && !sent_.begin()->second.is_doomed)
    cancel_deadline_ = now + options_->cancel_grace;
  if (cancelling_ != cancelling::none && now >= cancel_deadline_)
    return give_up({db::failure_kind::connection_lost, "",
                    "a statement could not be cancelled in time; the connection is given up"});
  if ((checking_ || resetting_) && now >= own_deadline_)
    return give_up({db::failure_kind::connection_lost, "", "no answer to a check within the time allowed"});
  for (auto& unit : held_)
    if (!unit.is_answered && now >= unit.deadline)
      answer_early(unit, false, "the deadline passed before it was sent");
  for (auto& [tag, unit] : sent_) {
    if (now >= unit.deadline)
      unit.is_doomed = true;
    if (!unit.is_answered && now >= unit.deadline + answered_after)
      answer_early(unit, true, "the deadline passed, and cancelling takes long");
    // Only while it waits for its answer, which keeps it in memory: after that it may be gone without a trace.
    if (!unit.is_watched && !unit.is_answered && unit.asker && now - unit.begun >= watched_after) {
      unit.is_watched = true;
      monitor(unit.asker);
    }
  }
  if (!sent_.empty() && sent_.begin()->second.is_doomed)
    cancel_first();
}

void connection::on_down(const caf::down_msg& down) {
  for (auto& [tag, unit] : sent_)
    if (unit.asker == down.source) {
      unit.is_doomed = true;
      unit.is_watched = false;
      unit.asker = {};
    }
  if (!sent_.empty() && sent_.begin()->second.is_doomed)
    cancel_first();
}

/// Its outcome, should it still come, is nobody's any more.
void connection::answer_early(pending_unit& unit, bool was_sent, const char* why) {
  unit.is_answered = true;
  const auto kind = was_sent ? db::failure_kind::connection_lost : db::failure_kind::wait;
  db::unit_outcome outcome{{}, db::db_failure{kind, "57014", why}};
  if (!was_sent) // what was sent is noted when the backend is done with it
    note(unit, outcome);
  unit.answer.deliver(std::move(outcome));
}

void connection::cancel_first() {
  const auto first = sent_.empty() ? cancelled_tag_ : sent_.begin()->first;
  const bool is_next = cancelling_ == cancelling::probing && first != cancelled_tag_;
  if (ended_ || (cancelling_ != cancelling::none && !is_next))
    return;
  auto request = link_->make_cancel_request();
  if (!request)
    return give_up({db::failure_kind::connection_lost, "", request.failure().message});
  cancelling_ = cancelling::asked;
  cancelled_tag_ = first;
  cancel_deadline_ = clock().now() + options_->cancel_grace;
  ++cancels_;
  spdlog::debug("connection {}: cancelling what backend {} runs", slot_, link_->backend_pid());
  run_blocking(this, caf::actor_cast<connection_internal>(this), cancel_time_max,
               cancel_returned{error{error_code::database_unavailable, "a cancel was not answered in time"}},
               [request = std::move(request).value()]() -> cancel_returned { return {request.run()}; });
}

/// Nobody uses this backend again, so nobody waits for this either.
void connection::stop_what_runs() {
  if (auto request = link_->make_cancel_request())
    db::running_work<bool>([request = std::move(request).value()] { return request.run().has_value(); });
}

void connection::on_cancel_returned(const cancel_returned& returned) {
  if (ended_ || cancelling_ != cancelling::asked)
    return;
  if (!returned.outcome)
    return give_up({db::failure_kind::connection_lost, "", returned.outcome.failure().message});
  // The server has signalled the backend before it closed the cancel's connection, and a pooler passes a cancel on
  // before it does so: what the backend runs now, or this, takes the signal.
  cancelling_ = cancelling::probing;
  probe(probe_tag);
}

void connection::probe(std::uint64_t tag) {
  if (ended_ || !link_)
    return;
  link_->submit(tag, db::unit{{{&probe_statement, {}}}});
  advance();
}

void connection::finish_probe(const db::unit_outcome& outcome) {
  if (ended_ || cancelling_ != cancelling::probing || (outcome.failure && link_->broken()))
    return; // advance() gives up, or another cancel is under way
  if (outcome.failure && outcome.failure->sqlstate == "57014")
    return probe(probe_tag);      // it took the signal itself
  cancelling_ = cancelling::none; // also in a failed transaction of a lease: a refusal is a round trip too
}

// --- leases ----------------------------------------------------------------------------------------------------------

void connection::assign(const assign_lease& given) {
  if (ended_)
    return;
  lease_ = given.lease;
  leased_ = given;
  lease_used_ = lease_ending_ = lease_overdue_ = lease_leaks_ = false;
  last_use_ = clock().now();
  last_statement_ = {};
}

void connection::end_the_lease(const finish_lease& request) {
  if (ended_ || request.lease != lease_)
    return;
  lease_ending_ = true;
  leased_.holder = nullptr;
  for (auto& unit : held_)
    if (!unit.is_answered)
      answer_early(unit, false, "the lease has ended");
  for (auto& [tag, unit] : sent_) {
    unit.is_doomed = true;
    if (!unit.is_answered)
      answer_early(unit, true, "the lease has ended");
  }
  flush_notes();
  if (!request.reusable)
    return give_up({db::failure_kind::wait, "", "its leaseholder gave it back as not to be used again"});
  if (!sent_.empty())
    cancel_first();
  settle();
}

/// So that who looks at the server sees whose backend it is. Its outcome does not matter.
void connection::name_the_session() {
  if (!leased_.application_name.empty())
    link_->submit(naming_tag, db::unit{{{&name_session, {leased_.application_name}}}});
}

/// Goes on with what had to wait until nothing is under way.
void connection::settle() {
  if (ended_ || !link_ || !link_->ready() || cancelling_ != cancelling::none || resetting_)
    return;
  if (checking_ && !std::exchange(check_sent_, true)) {
    link_->submit(check_tag, db::unit{{{&check_statement, {}}}});
    return advance();
  }
  if (lease_ending_) {
    if (!sent_.empty())
      return cancel_first(); // the last cancel came too late for its unit, or too early for the next
    if (lease_used_) {
      resetting_ = true;
      own_deadline_ = clock().now() + own_time_max;
      link_->reset_session(reset_tag);
      return advance();
    }
    return finish_reset({});
  }
  send_held();
  if (retiring_ && !ended_ && sent_.empty() && held_.empty() && lease_ == 0) {
    ended_ = true; // in order: the supervisor, which asked for it, sees it go
    watch_.reset();
    flush_notes();
    link_.reset();
    quit();
  }
}

void connection::finish_reset(const db::unit_outcome& outcome) {
  resetting_ = false;
  if (outcome.failure)
    return; // advance() gives up
  const bool was_cleaned = std::exchange(lease_used_, false);
  lease_ = 0;
  leased_ = {};
  last_statement_ = {};
  lease_ending_ = false;
  last_use_ = clock().now();
  send(owner_, connection_rested{slot_, was_cleaned});
}

void connection::begin_check() {
  checking_ = true;
  check_sent_ = false;
  own_deadline_ = clock().now() + own_time_max;
  settle();
}

void connection::finish_check(const db::unit_outcome& outcome) {
  if (ended_)
    return;
  checking_ = false;
  if (outcome.failure && outcome.failure->sqlstate == "57014")
    return begin_check(); // a cancel that came late
  if (outcome.failure) {
    if (!link_->broken())
      give_up(*outcome.failure);
    return;
  }
  for (int column = 1; column < outcome.results.back().columns(); ++column)
    if (outcome.results.back().get(0, column) != link_->setting(checked_settings[column - 1]))
      return give_up({db::failure_kind::fault, "",
                      std::string("a unit of work changed the session's ") + checked_settings[column - 1] +
                          "; its connection is given up"});
  if (db::decode_int4(outcome.results.back().get(0, 0)) != link_->backend_pid())
    return give_up(db::make_failure("42P05", "another backend answers on the same connection: a pooler in transaction "
                                             "mode"));
  send(owner_, connection_rested{slot_, false});
}

void connection::check_lease(time_point now) {
  // A lease without an idle timeout is the service's own, and may be idle for as long as nobody has anything to say.
  if (lease_ == 0 || lease_ending_ || leased_.idle_timeout == 0ms || !sent_.empty() || !held_.empty())
    return;
  const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_use_);
  if (idle >= leased_.idle_timeout && !std::exchange(lease_overdue_, true))
    send(owner_, lease_overdue{slot_, lease_});
  if (idle >= options_->leak_after && !std::exchange(lease_leaks_, true))
    send(owner_, lease_leaks{slot_, lease_, idle, last_statement_.text()});
}

void connection::pass_notifications() {
  for (auto& got : link_->take_notifications())
    if (lease_ != 0 && leased_.holder)
      send(leased_.holder, backend_notified{lease_, std::move(got)});
}

} // namespace colloquy::actors
