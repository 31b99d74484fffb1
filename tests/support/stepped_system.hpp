// An actor system that runs only when told to, on a time that stands still until it is advanced.
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace colloquy::test {

/// The answer to a request, once it has come.
template <class Value>
using pending_answer = std::shared_ptr<std::optional<result<Value>>>;

class stepped_system {
public:
  stepped_system()
    : system_(config())
    , scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())) {}
  ~stepped_system() { run(); }

  caf::actor_system& system() { return system_; }

  /// Runs until no actor has anything to do; time stands still.
  void run() {
    while (scheduler_.try_run_once()) {
    }
  }
  /// Handles one message; false if there is none.
  bool step() { return scheduler_.try_run_once(); }

  /// Lets time pass in small steps, each run to its end, as it would be on an idle machine.
  void advance(std::chrono::milliseconds time, std::chrono::milliseconds each = std::chrono::milliseconds{50}) {
    run();
    for (auto passed = std::chrono::milliseconds{0}; passed < time; passed += each) {
      *wall_ += each;
      scheduler_.advance_time(each);
      run();
    }
  }

  /// The time of day, which advances with advance().
  wall_clock clock() const {
    return [wall = wall_] { return *wall; };
  }

  /// Sends a request; its answer comes while the system runs. A caf::error becomes a failure "caf: ...".
  template <class Value, class Handle, class Request>
  pending_answer<Value> ask(const Handle& to, Request request,
                            std::chrono::milliseconds timeout = std::chrono::hours{1}) {
    auto answer = std::make_shared<std::optional<result<Value>>>();
    system_.spawn([answer, to, timeout, request = std::move(request)](caf::event_based_actor* self) mutable {
      self->request(to, timeout, std::move(request))
          .then([answer](result<Value>& value) { answer->emplace(std::move(value)); },
                [answer, self](const caf::error& failed) {
                  answer->emplace(error{error_code::internal, "caf: " + self->system().render(failed)});
                });
    });
    return answer;
  }

private:
  static caf::actor_system_config& configured(caf::actor_system_config& config) {
    config.set("scheduler.policy", caf::atom("testing"));
    return config;
  }
  caf::actor_system_config& config() { return configured(config_); }

  caf::actor_system_config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& scheduler_;
  std::shared_ptr<timestamp> wall_ =
      std::make_shared<timestamp>(std::chrono::sys_days{std::chrono::year{2030} / 1 / 1});
};

} // namespace colloquy::test
