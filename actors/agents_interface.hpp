// What the agents actor, its runs and the service say to each other. Hosts never see these: they speak
// messages/agent_interface.hpp.
#pragma once

#include "messages/agent_interface.hpp"

#include <caf/actor_clock.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <string>

namespace colloquy::actors {

/// Run to agents: is there one of that name? Errors: not_found.
struct agent_known {};
struct find_agent {
  using reply = agent_known;
  tenant_id tenant;
  std::string name;
};

/// Run to agents: a turn has begun; answered when there is room for an agent at work, which the run holds until it
/// ends. Errors: overloaded (no room until then), not_found, internal (it could not be made).
struct agent_place {
  agent_actor agent;
  std::chrono::milliseconds time{};
};
struct take_place {
  using reply = agent_place;
  tenant_id tenant;
  std::string name;
  caf::actor_clock::time_point deadline;
};

/// Agents to run: end the turn as lost, for that reason.
struct stop_run {
  error why;
};

/// From the service: take no more, let those at work finish within the limit, then stop them. Answered when no run is
/// left.
struct agents_stopped {
  std::size_t cut = 0; ///< turns that were not finished
};
struct stop_agents {
  using reply = agents_stopped;
  std::chrono::milliseconds limit{};
};

struct agents_tick {};
struct run_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::find_agent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::take_place)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::stop_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::stop_agents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::agents_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::agent_known>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::agent_place>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::agents_stopped>)

namespace colloquy::actors {

using agents_service =
    agents_actor::extend<answers<find_agent>, answers<take_place>, answers<stop_agents>, caf::reacts_to<agents_tick>>;

using agent_run_actor = turn_desk_actor::extend<answers<start_agent_turn>, caf::reacts_to<turn_ended>,
                                                caf::reacts_to<stop_run>, caf::reacts_to<run_tick>>;

} // namespace colloquy::actors
