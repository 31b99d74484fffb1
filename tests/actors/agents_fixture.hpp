// Agents on the stepped service: each does what the test says, when it says so.
#pragma once

#include "actors/agents.hpp"
#include "tests/actors/turns_fixture.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace colloquy::test {

struct agent_job;
using played_actor = agent_actor::extend<caf::reacts_to<agent_job>>;
using played_self = std::remove_pointer_t<played_actor::pointer>;

/// Test to agent: do this.
struct agent_job {
  std::function<void(played_self*)> what;
};

} // namespace colloquy::test
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::agent_job)

namespace colloquy::test {

/// An agent that holds each run until it is told how it ends.
class played_agent {
public:
  explicit played_agent(stepped_system& steps)
    : steps_(steps)
    , handle_(spawn()) {}
  ~played_agent() {
    die();
    steps_.run();
  }
  played_agent(const played_agent&) = delete;
  played_agent& operator=(const played_agent&) = delete;

  agent_actor handle() const { return caf::actor_cast<agent_actor>(handle_); }
  /// As the one before it had died: with it, what it ran.
  void die() { caf::anon_send_exit(handle_, caf::exit_reason::kill); }
  void live_again() {
    handle_ = spawn();
    runs_.clear();
  }
  std::size_t made = 0; ///< how often one was spawned

  std::size_t at_work() const { return runs_.size(); }
  const run_turn& run(std::size_t which = 0) const { return runs_.at(which).what; }
  texts tenants() const {
    texts all;
    for (const auto& each : runs_)
      all.push_back(each.what.session.tenant.text());
    return all;
  }
  std::vector<cancel_run> cancelled;

  void answer(agent_reply with, std::size_t which = 0) { end(std::move(with), which); }
  void answer(const std::string& text) {
    agent_reply with;
    with.messages.push_back(message(text, message_role::assistant));
    with.usage = token_usage{3, 4};
    end(std::move(with), 0);
  }
  void refuse(error why) { end(std::move(why), 0); }
  /// Done by the agent itself.
  void tell(std::function<void(played_self*)> what) {
    caf::anon_send(handle_, agent_job{std::move(what)});
    steps_.run();
  }
  template <class Request>
  pending_answer<typename Request::reply> write(Request request, const turn_desk_actor& desk) {
    using reply = typename Request::reply;
    auto answer = std::make_shared<std::optional<result<reply>>>();
    caf::anon_send(handle_, agent_job{[answer, request, desk](played_self* self) {
                     self->request(desk, std::chrono::seconds{3600}, request)
                         .then([answer](result<reply>& value) { answer->emplace(std::move(value)); },
                               [answer](const caf::error&) {
                                 answer->emplace(error{error_code::internal, "no answer"});
                               });
                   }});
    steps_.run();
    return answer;
  }
  pending_answer<delta_passed> say(const std::string& text, std::size_t which = 0) {
    return write(write_delta{text}, run(which).desk);
  }

private:
  using promise = caf::typed_response_promise<result<agent_reply>>;
  struct held {
    run_turn what;
    promise answer;
  };

  played_actor spawn() {
    ++made;
    return steps_.system().spawn([this](played_actor::pointer self) -> played_actor::behavior_type {
      return {[this, self](run_turn& wanted) {
                auto answer = self->make_response_promise<result<agent_reply>>();
                runs_.push_back({std::move(wanted), answer});
                return answer;
              },
              [this](const cancel_run& told) { cancelled.push_back(told); },
              [self](agent_job& job) { job.what(self); }};
    });
  }
  void end(result<agent_reply> with, std::size_t which) {
    auto run = std::move(runs_.at(which));
    runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(which));
    caf::anon_send(handle_, agent_job{[with, answer = run.answer](played_self*) mutable { answer.deliver(with); }});
    steps_.run();
  }

  stepped_system& steps_;
  std::deque<held> runs_;
  played_actor handle_;
};

/// Hears what is said in a session.
struct hearer {
  std::vector<delta_arrived> deltas;
  texts events;
  event_subscriber handle;

  explicit hearer(stepped_system& steps)
    : handle(steps.system().spawn([this](event_subscriber::pointer) -> event_subscriber::behavior_type {
      return {[this](const events_arrived& news) {
                for (const auto& text : texts_of(*news.events))
                  events.push_back(text);
              },
              [this](const delta_arrived& delta) { deltas.push_back(delta); }, [](const subscription_ended&) {}};
    }))
    , steps_(steps) {}
  ~hearer() {
    caf::anon_send_exit(handle, caf::exit_reason::kill);
    steps_.run();
  }
  hearer(const hearer&) = delete;
  hearer& operator=(const hearer&) = delete;

private:
  stepped_system& steps_;
};

/// A service with an agents actor.
struct agents_at_work : turns {
  explicit agents_at_work(agent_bounds bounds = {}, actors::directory_options given = {})
    : turns(std::move(given)) {
    actors::agents_options wanted;
    static_cast<agent_bounds&>(wanted) = bounds;
    wanted.budget = budget;
    service =
        caf::actor_cast<actors::agents_service>(steps.system().spawn<actors::agents>(directory, std::move(wanted)));
  }
  ~agents_at_work() {
    caf::anon_send_exit(service, caf::exit_reason::user_shutdown);
    steps.run();
  }

  template <class Request>
  result<typename Request::reply> tell(Request request) {
    auto answer = begin(std::move(request));
    if (!*answer)
      return error{error_code::deadline_exceeded, "no answer yet"};
    return **answer;
  }
  template <class Request>
  pending_answer<typename Request::reply> begin(Request request) {
    auto answer = steps.ask<typename Request::reply>(service, std::move(request));
    steps.run();
    return answer;
  }

  register_agent registering(const played_agent& agent, std::string name = "guide") const {
    register_agent wanted;
    wanted.name = std::move(name);
    wanted.agent = agent.handle();
    return wanted;
  }
  start_agent_turn asking(const std::string& text, turn_policy policy = turn_policy::enqueue) const {
    return asking_in(session, text, policy);
  }
  start_agent_turn asking_in(const session_key& where, const std::string& text,
                             turn_policy policy = turn_policy::enqueue) const {
    start_agent_turn wanted;
    wanted.session = where;
    wanted.agent = "guide";
    wanted.events = {message(text)};
    wanted.policy = policy;
    return wanted;
  }
  agents_status figures() { return tell(get_agents_status{}).value(); }
  agents_status figures_of(const std::string& tenant) {
    return tell(get_agents_status{tenant_id::parse(tenant)}).value();
  }

  actors::agents_service service;
};

} // namespace colloquy::test
