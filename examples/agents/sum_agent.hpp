// An agent with a tool. What a model would decide is played here: it calls the tool for every sum it is asked for, then
// says the result word by word. The tool is an actor, too, and takes its time.
#pragma once

#include <colloquy/colloquy.hpp>

#include <caf/typed_event_based_actor.hpp>

colloquy::agent_actor::behavior_type sum_agent(colloquy::agent_actor::pointer self);
