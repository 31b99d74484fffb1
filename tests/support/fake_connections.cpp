#include "tests/support/fake_connections.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::test {
namespace {

using namespace actors;
using namespace std::chrono_literals;

using played_backend_actor =
    managed_connection_actor::extend<caf::reacts_to<fake_login>, caf::reacts_to<fake_unit_over>,
                                     caf::reacts_to<fake_check_over>, caf::reacts_to<fake_reset_over>,
                                     caf::reacts_to<fake_tick>, caf::reacts_to<fake_cut>>;

constexpr std::uint8_t tries_max = 3;

} // namespace

class played_backend : public played_backend_actor::base {
public:
  played_backend(caf::actor_config& config, fake_server& server, std::uint64_t slot, connection_owner owner)
    : played_backend_actor::base(config)
    , server_(server)
    , slot_(slot)
    , owner_(std::move(owner)) {}

  behavior_type make_behavior() override {
    server_.live_[slot_] = {caf::actor_cast<caf::actor>(this), false};
    server_.live_max = std::max(server_.live_max, server_.live_.size());
    server_.logins.push_back(clock().now());
    delayed_send(this, server_.connect_time, fake_login{});
    return {[this](run_unit& request) { return run(request); },
            [this](const assign_lease& given) { assign(given); },
            [this](const finish_lease& request) { end_the_lease(request); },
            [this](check_connection) { delayed_send(this, server_.check_time, fake_check_over{}); },
            [this](retire_connection) {
              retiring_ = true;
              if (ended_)
                quit();
              else
                settle();
            },
            [this](fake_login) { log_in(); },
            [this](const fake_unit_over& over) { end_unit(over.turn); },
            [this](fake_check_over) { end_check(); },
            [this](fake_reset_over) { end_reset(); },
            [this](fake_tick) { check_lease(); },
            [this](const fake_cut& cut) { give_up(cut.why); }};
  }

  void on_exit() override {
    retiring_ = true;
    give_up({db::failure_kind::connection_lost, "", "the connection's actor ended"});
    server_.live_.erase(slot_);
    owner_ = nullptr;
    leased_ = {};
  }

private:
  struct pending_unit {
    caf::typed_response_promise<db::unit_outcome> answer;
    run_unit request;
    pool_time deadline;
    pool_time begun;
  };

  // --- connecting ---

  void log_in() {
    if (ended_)
      return;
    if (server_.refusal)
      return give_up(*server_.refusal);
    const auto taken = static_cast<std::size_t>(std::count_if(server_.live_.begin(), server_.live_.end(),
                                                              [](const auto& each) { return each.second.is_ready; }));
    if (taken >= server_.places)
      return give_up(no_place_left());
    server_.live_.at(slot_).is_ready = is_ready_ = true;
    pid_ = server_.shares_one_backend ? 1 : ++server_.last_pid_;
    send(owner_, connection_ready{slot_, {pid_, server_.kind, "db.test", "5432", 150'006, true}});
    settle();
  }

  // --- units ---

  std::optional<db::db_failure> refusal(const run_unit& request) {
    if (ended_ || !is_ready_)
      return db::db_failure{db::failure_kind::wait, "", "the connection is gone"};
    if (request.lease != lease_ || lease_ending_) {
      ++server_.strays;
      return db::db_failure{db::failure_kind::fault, "", "the lease has ended, or the backend is another's"};
    }
    return std::nullopt;
  }

  caf::typed_response_promise<db::unit_outcome> run(run_unit& request) {
    pending_unit unit{make_response_promise<db::unit_outcome>(), std::move(request), {}, clock().now()};
    unit.deadline = unit.request.deadline.value_or(clock().now() + 35s);
    auto answer = unit.answer;
    if (auto refused = refusal(unit.request)) {
      finish(std::move(unit), {{}, refused}, /*was_sent=*/false);
      flush_notes();
      return answer;
    }
    lease_used_ = lease_used_ || lease_ != 0;
    overdue_ = leaks_ = false;
    last_use_ = clock().now();
    units_.push_back(std::move(unit));
    ++server_.under_way;
    begin_next();
    return answer;
  }

  void begin_next() {
    if (ended_ || is_busy_ || units_.empty())
      return;
    is_busy_ = true;
    started_ = clock().now();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(units_.front().deadline - started_);
    is_cut_short_ = left < server_.service_time;
    delayed_send(this, is_cut_short_ ? std::max(left, 0ms) : server_.service_time, fake_unit_over{++turn_});
  }

  void end_unit(std::uint64_t turn) {
    if (ended_ || turn != turn_ || !is_busy_)
      return;
    is_busy_ = false;
    auto unit = std::move(units_.front());
    units_.pop_front();
    --server_.under_way;
    last_use_ = clock().now();
    server_.units.push_back({unit.request.tenant, pid_, unit.request.lease, started_, clock().now()});
    db::unit_outcome outcome;
    if (is_cut_short_) {
      outcome.failure = db::db_failure{db::failure_kind::wait, "57014", "canceling statement due to user request"};
      ++cancels_;
    } else if (!server_.unit_failures.empty()) {
      outcome.failure = server_.unit_failures.front();
      server_.unit_failures.pop_front();
    } else if (server_.all_units_fail) {
      outcome.failure = server_.all_units_fail;
    }
    finish(std::move(unit), std::move(outcome), true);
    flush_notes();
    settle();
  }

  void finish(pending_unit unit, db::unit_outcome outcome, bool was_sent) {
    if (outcome.failure && hand_on(unit, *outcome.failure, was_sent))
      return;
    note(unit, outcome);
    unit.answer.deliver(std::move(outcome));
  }

  bool hand_on(pending_unit& unit, const db::db_failure& failure, bool was_sent) {
    const bool has_tries = unit.request.tries + (was_sent ? 1 : 0) < tries_max;
    if (!owner_ || unit.request.lease != 0 || !has_tries || clock().now() >= unit.deadline)
      return false;
    const auto action = db::action_for(failure.kind);
    if (action == db::retry_action::never || (action == db::retry_action::outcome_unknown && !unit.request.idempotent))
      return false;
    notes_.push_back({unit.request.tenant, unit.request.purpose, 0us, failure.kind, false, true});
    unit.request.deadline = unit.deadline;
    if (was_sent)
      ++unit.request.tries;
    unit.answer.delegate(owner_, retry_unit{std::move(unit.request), failure, was_sent});
    return true;
  }

  void note(const pending_unit& unit, const db::unit_outcome& outcome) {
    std::optional<db::failure_kind> failed;
    if (outcome.failure)
      failed = outcome.failure->kind;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(clock().now() - unit.begun);
    notes_.push_back({unit.request.tenant, unit.request.purpose, took, failed, false, unit.request.lease == 0});
  }

  void flush_notes() {
    if (owner_ && (!notes_.empty() || cancels_ > 0))
      send(owner_, units_done{slot_, std::exchange(notes_, {}), std::exchange(cancels_, 0)});
  }

  void settle() {
    begin_next();
    if (retiring_ && !ended_ && is_ready_ && units_.empty() && lease_ == 0) {
      ended_ = true;
      server_.live_.erase(slot_);
      quit();
    }
  }

  void give_up(db::db_failure why) {
    if (std::exchange(ended_, true))
      return;
    auto lost = why;
    lost.kind = db::failure_kind::connection_lost; // all have been sent, as in a pipeline
    for (auto& unit : std::exchange(units_, {})) {
      --server_.under_way;
      finish(std::move(unit), {{}, lost}, /*was_sent=*/true);
    }
    is_busy_ = false;
    flush_notes();
    server_.live_.erase(slot_);
    if (!owner_)
      return quit();
    send(owner_, connection_failed{slot_, std::move(why)});
    if (retiring_)
      quit();
  }

  // --- leases and health ---

  void assign(const assign_lease& given) {
    if (ended_)
      return;
    lease_ = given.lease;
    leased_ = given;
    lease_used_ = lease_ending_ = overdue_ = leaks_ = false;
    last_use_ = clock().now();
    delayed_send(this, 250ms, fake_tick{});
  }

  void end_the_lease(const finish_lease& request) {
    if (ended_ || request.lease != lease_)
      return;
    lease_ending_ = true;
    leased_.holder = nullptr;
    for (auto& unit : std::exchange(units_, {})) {
      --server_.under_way;
      db::unit_outcome outcome{{}, db::db_failure{db::failure_kind::connection_lost, "57014", "the lease has ended"}};
      note(unit, outcome);
      unit.answer.deliver(std::move(outcome));
    }
    is_busy_ = false;
    ++turn_;
    flush_notes();
    if (!request.reusable)
      return give_up({db::failure_kind::wait, "", "its leaseholder gave it back as not to be used again"});
    if (!lease_used_)
      return end_reset();
    ++server_.resets;
    delayed_send(this, server_.reset_time, fake_reset_over{});
  }

  void end_reset() {
    if (ended_ || !lease_ending_)
      return;
    const bool was_cleaned = std::exchange(lease_used_, false);
    lease_ = 0;
    leased_ = {};
    lease_ending_ = false;
    last_use_ = clock().now();
    send(owner_, connection_rested{slot_, was_cleaned});
    settle();
  }

  void end_check() {
    if (ended_)
      return;
    ++server_.checks;
    if (server_.checks_fail)
      return give_up(connection_broke());
    send(owner_, connection_rested{slot_, false});
  }

  void check_lease() {
    if (ended_ || lease_ == 0 || lease_ending_)
      return;
    const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(clock().now() - last_use_);
    if (leased_.idle_timeout > 0ms && units_.empty()) {
      if (idle >= leased_.idle_timeout && !std::exchange(overdue_, true))
        send(owner_, lease_overdue{slot_, lease_});
      if (idle >= server_.leak_after && !std::exchange(leaks_, true))
        send(owner_, lease_leaks{slot_, lease_, idle, "SELECT ?"});
    }
    delayed_send(this, 250ms, fake_tick{});
  }

  fake_server& server_;
  const std::uint64_t slot_;
  connection_owner owner_;
  std::int32_t pid_ = 0;
  bool is_ready_ = false;
  bool ended_ = false;
  bool retiring_ = false;
  std::deque<pending_unit> units_;
  bool is_busy_ = false;
  bool is_cut_short_ = false;
  std::uint64_t turn_ = 0;
  pool_time started_{};
  std::vector<unit_note> notes_;
  std::size_t cancels_ = 0;
  lease_id lease_ = 0;
  assign_lease leased_;
  bool lease_used_ = false;
  bool lease_ending_ = false;
  bool overdue_ = false;
  bool leaks_ = false;
  pool_time last_use_{};
};

connection_factory fake_server::factory() {
  return [this](caf::local_actor& parent, std::uint64_t slot, connection_owner owner,
                const std::shared_ptr<const connection_options>&) {
    return caf::actor_cast<managed_connection_actor>(parent.spawn<played_backend>(*this, slot, std::move(owner)));
  };
}

void fake_server::cut_all() {
  for (const auto& [slot, each] : live_)
    caf::anon_send(each.actor, fake_cut{connection_broke()});
}

void fake_server::cut(std::size_t which) {
  if (which < live_.size())
    caf::anon_send(std::next(live_.begin(), static_cast<std::ptrdiff_t>(which))->second.actor,
                   fake_cut{connection_broke()});
}

void fake_server::kill(std::size_t which) {
  if (which < live_.size())
    caf::anon_send_exit(std::next(live_.begin(), static_cast<std::ptrdiff_t>(which))->second.actor,
                        caf::exit_reason::kill);
}

void fake_server::kill_all() {
  for (const auto& [slot, each] : live_)
    caf::anon_send_exit(each.actor, caf::exit_reason::kill);
}

db::db_failure refused() {
  return db::make_failure("", "connection to server at \"db.test\", port 5432 failed: Connection refused", true);
}

db::db_failure wrong_password() {
  return db::make_failure("", "FATAL:  password authentication failed for user \"colloquy\"", true);
}

db::db_failure no_place_left() {
  return db::make_failure("", "FATAL:  sorry, too many clients already", true);
}

db::db_failure connection_broke() {
  return db::make_failure("", "server closed the connection unexpectedly");
}

} // namespace colloquy::test
