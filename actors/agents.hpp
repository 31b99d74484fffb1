// The agents actor: which agents there are in this process, and which of them may be at work.
//
// Accepts (messages/agent_interface.hpp tells fields and errors)
//   register_agent, remove_agent, limit_agents, get_agents_status   at once
//   start_agent_turn   handed to an actor of its own (actors/agent_run.hpp), which answers
// from runs: find_agent, take_place (answered when there is room); from the service: stop_agents.
// Room: at most `at_work_max` agents are at work at once, and of a tenant at most its own bound. Who waits is served in
//   turn within a tenant, and fairly between tenants (actors/fair_queue.hpp). A run holds its place until it ends.
// Bounds: requests under way, in all and of a tenant; agents registered, in all and of a tenant.
// State it owns: agents, runs, who waits for room, the tenants' bounds. An agent that it made ends with it.
// Agents that end are noticed: one that can be made is made anew when it is needed next, the others are forgotten.
// Death: its runs end with it; their turns are lost. Nobody starts another one, since only the host has the agents: the
//   service's handle says then that its actor is gone.
#pragma once

#include "actors/agents_interface.hpp"
#include "actors/fair_queue.hpp"
#include "actors/session_interface.hpp"
#include "messages/byte_budget.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace colloquy::actors {

struct agents_options : agent_bounds {
  std::size_t writes_max = 64; ///< of one turn, under way at once
  std::chrono::seconds lease = limits::lease_default;
  std::chrono::milliseconds cancel_grace{10'000}; ///< for an agent whose turn is over to say that it is free
  std::chrono::milliseconds request_timeout{30'000};
  std::shared_ptr<byte_budget> budget{}; ///< what agents write reserves its bytes from; null: sessions do it
};

class agents : public agents_service::base {
public:
  agents(caf::actor_config& config, directory_actor directory, agents_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using agent_name = std::pair<std::string, std::string>; // the tenant's, "" for every tenant, and its own
  struct registration {
    agent_actor agent; // null: to be made
    std::function<agent_actor()> make;
    std::chrono::milliseconds time{};
  };
  struct run {
    std::string tenant;
    agent_run_actor actor;
    bool is_placed = false;
  };
  struct tenant_share {
    std::size_t requests = 0;
    std::size_t at_work = 0;
    std::optional<std::size_t> at_work_max{};
    double weight = 1;
    bool is_plain() const { return requests == 0 && at_work == 0 && !at_work_max && weight == 1; }
  };
  struct waiting {
    promise_of<take_place> answer;
    caf::actor_id run = 0;
    take_place wanted;
  };

  result<agent_registered> add(register_agent& wanted);
  result<agent_removed> remove(const remove_agent& wanted);
  result<agents_limited> limit(const limit_agents& wanted);
  result<agents_status> tell(const get_agents_status& wanted) const;
  caf::result<result<agent_turn>> begin(start_agent_turn& wanted);
  std::optional<error> why_not_begun(const std::string& tenant) const;
  promise_of<take_place> place(take_place& wanted);
  promise_of<stop_agents> stop(const stop_agents& wanted);

  registration* find(const std::string& tenant, const std::string& name);
  result<agent_place> make_ready(registration& entry, const std::string& name);
  std::size_t registered_of(const std::string& tenant) const;
  bool may_work(const std::string& tenant) const;
  void serve_waiting();
  void on_down(const caf::down_msg& down);
  void on_tick();
  void schedule_tick();
  void end_if_stopped();
  void drop_if_plain(const std::string& tenant);

  directory_actor directory_;
  const agents_options options_;
  std::map<agent_name, registration> registered_;
  std::unordered_map<caf::actor_id, run> runs_;
  std::unordered_map<std::string, tenant_share> tenants_; // those who have requests, or bounds of their own
  fair_queue<waiting, time_point> waiting_;
  std::size_t at_work_ = 0;
  bool ticks_ = false;
  std::optional<promise_of<stop_agents>> stopping_;
  time_point stop_at_{}; // then those at work are told
  std::size_t cut_ = 0;
};

} // namespace colloquy::actors
