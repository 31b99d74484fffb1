// An agent that says what it was told, in one go.
#pragma once

#include <colloquy/colloquy.hpp>

#include <caf/typed_event_based_actor.hpp>

colloquy::agent_actor::behavior_type echo_agent(colloquy::agent_actor::pointer self);
