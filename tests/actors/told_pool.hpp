// A pool without a database behind it, on stepped time: a test says in its own words what may be asked, and a function
// of the test answers. Requests and answers stay typed; nothing is encoded.
#pragma once

#include "actors/pool_interface.hpp"
#include "messages/error.hpp"
#include "tests/support/stepped_system.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>
#include <libpq-fe.h>

#include <algorithm>
#include <any>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

struct told_pool_tick {};
/// Promises are kept inside the actor that made them.
struct told_pool_answer {
  caf::typed_response_promise<db::unit_outcome> answer;
  db::unit_outcome outcome;
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::told_pool_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::told_pool_answer)

namespace colloquy::test {

class told_pool {
  using promise = caf::typed_response_promise<db::unit_outcome>;
  using internal = actors::supervisor_actor::extend<caf::reacts_to<told_pool_tick>, caf::reacts_to<told_pool_answer>>;

public:
  struct asked {
    std::string name;
    std::any request;
    actors::pool_time at{};
    actors::pool_time deadline{};
    bool idempotent = false;
  };
  struct held_unit {
    asked what;
    promise answer;
  };

  /// What a unit does to the database, and what it answers: the value that its decoder is to give.
  std::function<std::any(const asked&)> model;
  /// These fail at once, and nothing is done.
  std::function<std::optional<db::failure_kind>(const asked&)> failing = [](const asked&) { return std::nullopt; };
  /// These are held until the test answers them, or their deadline passes.
  std::function<bool(const asked&)> holding = [](const asked&) { return false; };
  std::vector<asked> seen;
  std::vector<held_unit> held;

  template <class Request>
  db::unit unit(std::string name, Request request) {
    requests_.emplace_back(std::move(request));
    return {{{nullptr, {std::move(name), std::to_string(requests_.size() - 1)}}}};
  }
  /// The decoder of answers of that type.
  template <class Value>
  std::function<result<Value>(const db::unit_outcome&)> decoder() {
    return [this](const db::unit_outcome& outcome) -> result<Value> {
      if (outcome.failure)
        return failure(outcome.failure->kind);
      const auto& value = answers_.at(std::stoul(std::string(outcome.results.at(0).get(0, 0))));
      if (const auto* refused = std::any_cast<error>(&value))
        return *refused;
      return std::any_cast<Value>(value);
    };
  }

  actors::supervisor_actor spawn(caf::actor_system& system) {
    actor_ = system.spawn([this](internal::pointer self) { return behavior(self); });
    return caf::actor_cast<actors::supervisor_actor>(actor_);
  }
  /// Before the system goes.
  void end() {
    held.clear();
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actor_ = nullptr;
  }

  std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(
        std::count_if(seen.begin(), seen.end(), [&](const auto& each) { return each.name == name; }));
  }
  std::size_t count_held(const std::string& name) const {
    return static_cast<std::size_t>(
        std::count_if(held.begin(), held.end(), [&](const auto& each) { return each.what.name == name; }));
  }
  /// The oldest held unit of that name is done now, or has been in vain; the answer comes while the system runs.
  void answer_held(const std::string& name) {
    auto one = take_held(name);
    deliver(one, outcome_of(model(one.what)));
  }
  void fail_held(const std::string& name, db::failure_kind kind) { deliver(take_held(name), failed(kind)); }
  /// It was committed, and the answer was lost.
  void lose_answer(const std::string& name) {
    auto one = take_held(name);
    model(one.what);
    deliver(one, failed(db::failure_kind::connection_lost));
  }
  /// It is done now; the answer comes with the function that this returns.
  std::function<void()> answer_late(const std::string& name) {
    auto one = take_held(name);
    auto outcome = outcome_of(model(one.what));
    return [this, one, outcome] { deliver(one, outcome); };
  }

private:
  internal::behavior_type behavior(internal::pointer self) {
    return {[this, self](const actors::run_unit& unit) { return run(self, unit); },
            [](const actors::lease_connection&) {
              return result<actors::leased_connection>(error{error_code::internal, "there are no leases"});
            },
            [](const actors::end_lease&) {}, [this, self](told_pool_tick) { expire(self->clock().now()); },
            [](told_pool_answer& late) { late.answer.deliver(std::move(late.outcome)); }};
  }

  promise run(internal::pointer self, const actors::run_unit& unit) {
    auto answer = self->make_response_promise<db::unit_outcome>();
    const auto& parameters = unit.work->calls.at(0).parameters;
    const auto now = self->clock().now();
    asked what{parameters.at(0).value(), requests_.at(std::stoul(parameters.at(1).value())), now, unit.deadline.value(),
               unit.idempotent};
    seen.push_back(what);
    if (const auto kind = failing(what)) {
      answer.deliver(failed(*kind));
    } else if (holding(what)) {
      self->delayed_send(self, what.deadline - now, told_pool_tick{});
      held.push_back({std::move(what), answer});
    } else {
      answer.deliver(outcome_of(model(what)));
    }
    return answer;
  }

  void deliver(const held_unit& one, db::unit_outcome outcome) {
    caf::anon_send(actor_, told_pool_answer{one.answer, std::move(outcome)});
  }

  void expire(actors::pool_time now) {
    std::vector<held_unit> late;
    for (auto at = held.begin(); at != held.end();)
      if (at->what.deadline <= now) {
        late.push_back(std::move(*at));
        at = held.erase(at);
      } else {
        ++at;
      }
    for (auto& each : late)
      each.answer.deliver(failed(db::failure_kind::wait));
  }

  held_unit take_held(const std::string& name) {
    auto at = std::find_if(held.begin(), held.end(), [&](const auto& each) { return each.what.name == name; });
    if (at == held.end())
      throw std::out_of_range("no " + name + " is held");
    auto one = std::move(*at);
    held.erase(at);
    return one;
  }

  static error failure(db::failure_kind kind) {
    const bool passes =
        kind == db::failure_kind::wait || kind == db::failure_kind::connection_lost || kind == db::failure_kind::retry;
    return {passes ? error_code::database_unavailable : error_code::internal, "the test says so"};
  }
  static db::unit_outcome failed(db::failure_kind kind) { return {{}, db::db_failure{kind, "", "the test says so"}}; }

  db::unit_outcome outcome_of(std::any value) {
    answers_.push_back(std::move(value));
    std::shared_ptr<PGresult> made(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK), PQclear);
    char name[] = "answer";
    PGresAttDesc column{};
    column.name = name;
    PQsetResultAttrs(made.get(), 1, &column);
    auto text = std::to_string(answers_.size() - 1);
    PQsetvalue(made.get(), 0, 0, text.data(), static_cast<int>(text.size()));
    return {{db::rows(std::shared_ptr<const pg_result>(made))}, std::nullopt};
  }

  internal actor_;
  std::vector<std::any> requests_;
  std::vector<std::any> answers_;
};

} // namespace colloquy::test
