#include "sum_agent.hpp"

#include <caf/event_based_actor.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace colloquy;
using namespace std::chrono_literals;

namespace {

/// The tool: the sum of the numbers in a text.
caf::behavior sum_tool(caf::event_based_actor*) {
  return {[](const std::string& text) {
    long sum = 0;
    std::string digits;
    for (const char c : text + " ") {
      if (c >= '0' && c <= '9' && digits.size() < 9) {
        digits.push_back(c);
      } else if (!digits.empty()) {
        sum += std::stol(digits);
        digits.clear();
      }
    }
    return std::to_string(sum);
  }};
}

/// What is kept while one turn is run; of many at once, each has its own.
struct work {
  run_turn turn;
  caf::typed_response_promise<result<agent_reply>> answer;
  std::string call_id;
};
using work_ptr = std::shared_ptr<work>;

void give_up(const work_ptr& of, std::string why) {
  of->answer.deliver(result<agent_reply>(error{error_code::internal, std::move(why)}));
}

void say_result(agent_actor::pointer self, const work_ptr& of, const std::string& sum) {
  for (const std::string word : {"That", " makes ", "", "."})
    send_delta(self, of->turn.desk, word.empty() ? sum : word);
  agent_reply reply;
  reply.messages.push_back(std::move(text_message(message_role::assistant, "That makes " + sum + ".").value()));
  reply.usage = token_usage{25, 8};
  of->answer.deliver(result<agent_reply>(std::move(reply)));
}

/// The result of the tool goes into the log before the agent goes on with it.
void write_result(agent_actor::pointer self, const work_ptr& of, const std::string& sum) {
  auto message = parse_message(R"({"role":"tool","tool_call_id":")" + of->call_id + R"(","content":")" + sum + "\"}");
  if (!message)
    return give_up(of, message.failure().message);
  write_events writing;
  writing.events.push_back(std::move(*message));
  self->request(of->turn.desk, 60s, std::move(writing))
      .then(
          [self, of, sum](const result<appended>& done) {
            done ? say_result(self, of, sum) : give_up(of, done.failure().message);
          },
          [of](const caf::error&) { give_up(of, "the turn is over"); });
}

void call_tool(agent_actor::pointer self, const work_ptr& of, const caf::actor& tool) {
  of->call_id = "call_" + std::to_string(of->turn.turn.number);
  auto call = parse_message(R"({"role":"assistant","content":"","tool_calls":[{"id":")" + of->call_id +
                            R"(","name":"sum","arguments":{}}]})");
  if (!call)
    return give_up(of, call.failure().message);
  write_events writing;
  writing.events.push_back(std::move(*call));
  self->request(of->turn.desk, 60s, std::move(writing))
      .then(
          [self, of, tool](const result<appended>& done) {
            if (!done)
              return give_up(of, done.failure().message);
            self->request(tool, 10s, text_of(of->turn.history->messages.back()))
                .then([self, of](const std::string& sum) { write_result(self, of, sum); },
                      [of](const caf::error&) { give_up(of, "the tool did not answer"); });
          },
          [of](const caf::error&) { give_up(of, "the turn is over"); });
}

} // namespace

agent_actor::behavior_type sum_agent(agent_actor::pointer self) {
  const auto tool = self->spawn(sum_tool);
  return {[self, tool](run_turn& turn) {
            auto answer = self->make_response_promise<result<agent_reply>>();
            call_tool(self, std::make_shared<work>(work{std::move(turn), answer, {}}), tool);
            return answer;
          },
          [](cancel_run&) {}}; // what is written from now on is refused, and so the work ends
}
