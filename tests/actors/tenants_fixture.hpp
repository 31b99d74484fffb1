// The tenants actor behind its keeper, on stepped time, with a pool that only notes what it is asked and says whether
// it was done. Nothing is stored: what the statements do is tested against a server.
#pragma once

#include "actors/tenants_keeper.hpp"
#include "tests/support/stepped_system.hpp"

#include <caf/send.hpp>
#include <libpq-fe.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

/// Promises are kept inside the actor that made them.
struct noted_answer {
  caf::typed_response_promise<db::unit_outcome> answer;
  db::unit_outcome outcome;
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::noted_answer)

namespace colloquy::test {

inline db::unit_outcome failed(db::failure_kind kind) {
  return {{}, db::db_failure{kind, "", "the test says so"}};
}

/// So many statements without rows.
inline db::unit_outcome done(std::size_t calls) {
  std::shared_ptr<const pg_result> none(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK),
                                        [](const pg_result* made) { PQclear(const_cast<pg_result*>(made)); });
  return {std::vector<db::rows>(calls, db::rows(none)), std::nullopt};
}

class noting_pool {
  using promise = caf::typed_response_promise<db::unit_outcome>;
  using internal = actors::supervisor_actor::extend<caf::reacts_to<noted_answer>>;

public:
  struct held_unit {
    actors::run_unit unit;
    promise answer;
  };

  /// What becomes of a unit.
  std::function<db::unit_outcome(const actors::run_unit&)> answering = [](const actors::run_unit& unit) {
    return done(unit.work->calls.size());
  };
  /// These are held until the test answers them.
  std::function<bool(const actors::run_unit&)> holding = [](const actors::run_unit&) { return false; };
  std::vector<actors::run_unit> seen;
  std::vector<held_unit> held;

  actors::supervisor_actor spawn(caf::actor_system& system) {
    actor_ = system.spawn([this](internal::pointer self) { return behavior(self); });
    return caf::actor_cast<actors::supervisor_actor>(actor_);
  }
  void end() {
    held.clear();
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actor_ = nullptr;
  }

  std::size_t count(std::string_view purpose) const {
    return static_cast<std::size_t>(
        std::count_if(seen.begin(), seen.end(), [&](const auto& each) { return each.purpose == purpose; }));
  }
  const actors::run_unit& last(std::string_view purpose) const {
    return *std::find_if(seen.rbegin(), seen.rend(), [&](const auto& each) { return each.purpose == purpose; });
  }
  /// The oldest held one; the answer comes while the system runs.
  void answer_held(db::unit_outcome outcome) {
    auto one = std::move(held.at(0));
    held.erase(held.begin());
    caf::anon_send(actor_, noted_answer{one.answer, std::move(outcome)});
  }
  void answer_held() { answer_held(done(held.at(0).unit.work->calls.size())); }

private:
  internal::behavior_type behavior(internal::pointer self) {
    return {[this, self](const actors::run_unit& unit) {
              auto answer = self->make_response_promise<db::unit_outcome>();
              seen.push_back(unit);
              if (holding(unit))
                held.push_back({unit, answer});
              else
                answer.deliver(answering(unit));
              return answer;
            },
            [](const actors::lease_connection&) {
              return result<actors::leased_connection>(error{error_code::internal, "there are no leases"});
            },
            [](const actors::end_lease&) {}, [](noted_answer& late) { late.answer.deliver(std::move(late.outcome)); }};
  }

  internal actor_;
};

class stepped_tenants {
public:
  explicit stepped_tenants(std::function<void(actors::tenants_options&)> change = [](auto&) {}) {
    actors::tenants_options options;
    options.now = [this, clock = steps.clock()] {
      if (std::exchange(is_to_die, false))
        throw std::runtime_error("the test ends it");
      return clock();
    };
    options.request_timeout = std::chrono::seconds{5};
    options.meter = meter;
    change(options);
    actor = caf::actor_cast<actors::tenants_service>(
        steps.system().spawn<actors::tenants_keeper>(pool.spawn(steps.system()), options));
    steps.run();
  }
  ~stepped_tenants() {
    end();
    pool.end();
  }
  void end() {
    if (actor)
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
    steps.run();
  }

  template <class Request>
  pending_answer<typename Request::reply> begin(Request request) {
    auto answer = steps.ask<typename Request::reply>(actor, std::move(request));
    steps.run();
    return answer;
  }
  template <class Request>
  result<typename Request::reply> ask(Request request) {
    auto answer = begin(std::move(request));
    if (!*answer)
      return error{error_code::internal, "no answer yet"};
    return **answer;
  }
  template <class Request>
  error_code refusal(Request request) {
    auto answer = ask(std::move(request));
    return answer ? throw std::runtime_error("not refused") : answer.failure().code;
  }

  stepped_system steps;
  noting_pool pool;
  std::shared_ptr<actors::tenant_meter> meter = std::make_shared<actors::tenant_meter>();
  bool is_to_die = false; ///< the next time that it looks at the clock
  actors::tenants_service actor;
};

} // namespace colloquy::test
