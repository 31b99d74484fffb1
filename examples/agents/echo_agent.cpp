#include "echo_agent.hpp"

using namespace colloquy;

agent_actor::behavior_type echo_agent(agent_actor::pointer) {
  return {[](run_turn& turn) -> result<agent_reply> {
            const auto& said = turn.history->messages.back();
            auto answer = text_message(message_role::assistant, "You said: " + text_of(said));
            if (!answer)
              return answer.failure();
            agent_reply reply;
            reply.messages.push_back(std::move(*answer));
            reply.usage = token_usage{10, 10};
            return reply;
          },
          [](cancel_run&) {}}; // it is never at work when this comes
}
