// A run: one turn of an agent, from the asking to its end. The holder of the turn, and the agent's desk.
//
// Accepts
//   start_agent_turn (messages/agent_interface.hpp), once, handed on by the agents actor: asks the directory for the
//       turn, then the agents actor for room, then the agent; answers when the turn has ended
//   write_delta, write_events   from the agent at work: handed on to the session, a bounded number at once
//   turn_ended    from the session; stop_run from the agents actor
// Ordering: what the agent writes reaches the session as it came, and before the turn's end.
// The turn's lease is renewed as long as the run lives, so that another process need not wait long for it to be lost.
// How the turn ends: completed with what the agent answers; failed if it answers with an error, or with messages that
//   the session refuses, or if there was no room; lost if it dies, is not done in its time, or the service stops. If
//   somebody else has ended it, the agent is told, and the run lives on, for a bounded time, until the agent has
//   answered, since it is at work so long.
// State it owns: the turn.
// Death: the turn is lost, since it ends with its caller; who asked is answered internal.
#pragma once

#include "actors/agents.hpp"
#include "actors/agents_interface.hpp"
#include "actors/session_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace colloquy::actors {

class agent_run : public agent_run_actor::base {
public:
  agent_run(caf::actor_config& config, directory_actor directory, agents_service agents, agents_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  enum class phase {
    asking,  // for the agent's name, for the turn
    waiting, // for room
    working, // the agent is
    ending,  // the session has been told the end
    leaving, // who asked is answered; the agent may still be at work
  };

  promise_of<start_agent_turn> start(start_agent_turn& wanted);
  void look_up_agent();
  void ask_for_turn();
  void on_granted(granted_turn& granted);
  void on_place(const result<agent_place>& place);
  void begin_work(const agent_place& place);
  template <class Request, class Forwarded>
  promise_of<Request> pass_on(Forwarded forwarded);
  std::shared_ptr<const byte_reservation> reserve(const std::vector<event_input>& events) const;
  void renew_later();
  void renew();
  turn_record lost_turn() const;
  void on_tick();
  void on_agent_gone();
  void on_reply(result<agent_reply>& given);
  void fail(error why);
  void lose(error why);
  void end(end_turn wanted, error why);
  void on_end_refused(const end_turn& wanted, const error& refusal);
  void on_ended(const turn_ended& ended);
  void stop(const error& why);
  void finish(turn_record turn, std::optional<error> why);
  void refuse(error why);
  template <class Request, class Then>
  void ask(Request wanted, std::chrono::milliseconds limit, Then then);

  directory_actor directory_;
  agents_service agents_;
  const agents_options options_;
  phase phase_ = phase::asking;
  std::optional<promise_of<start_agent_turn>> answer_; // until it is given
  start_agent_turn wanted_;
  time_point wait_until_{};
  turn_record turn_; // once it has begun
  std::shared_ptr<const history_page> history_;
  time_point renew_at_{};
  agent_actor agent_; // while it is at work
  time_point work_until_{};
  std::size_t writes_ = 0;            // of the agent, under way
  std::vector<event_input> messages_; // with which the agent answered
  std::optional<turn_ended> ended_;   // as the session has told it
  error why_;                         // of the end that is asked for
  std::optional<end_turn> end_again_;
  time_point end_again_at_{};
  time_point end_until_{}; // then it is not tried again
  time_point leave_at_{};
  bool is_stopping_ = false; // the service is: nobody waits for the agent's place
};

} // namespace colloquy::actors
