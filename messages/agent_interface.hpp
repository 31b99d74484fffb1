// Agents: actors of the host that run turns. Typed actor messages.
//
// A host registers an agent under a name, for one tenant or for all. Whoever asks for a turn of that agent gets the
// session's turn for it, as with start_turn; the agent is sent the history, writes parts of its reply and events while
// it is at work, and answers with its last messages and what it used. Then the turn is completed.
//
// How else a turn of an agent ends: it answers with an error, and the turn has failed; it dies, is not done in its
// time, or the service stops, and the turn is lost; somebody interrupts, rolls back or cancels it, and the agent is
// told by cancel_run. What comes from it afterwards is turn_lost. However it ends, the next turn goes on.
#pragma once

#include "messages/directory_interface.hpp"
#include "messages/turn_ended_interface.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {

// --- what an agent gets and gives ------------------------------------------------------------------------------------

/// A part of the reply, for those who listen to the session; not kept. Errors: turn_lost (stop working),
/// payload_too_large, overloaded (too many are under way: wait for an answer).
struct write_delta {
  using reply = delta_passed;
  std::string text;
  std::string data = "{}"; ///< a JSON object with whatever else is to be told
};

/// Events that are to be in the log now, inside the turn: a call of a tool and its result, say. All or none. Errors: as
/// with append_events.
struct write_events {
  using reply = appended;
  std::vector<event_input> events;
};

/// Where the agent writes while it is at work. It is there for one turn, and ends with it.
using turn_desk_actor = caf::typed_actor<answers<write_delta>, answers<write_events>>;

/// What an agent's run has come to.
struct agent_reply {
  std::vector<event_input> messages{}; ///< the turn's last, all or none; parse_message() makes them of JSON
  std::optional<token_usage> usage{};
};

/// To an agent: this turn is yours. Answer within `time`, with a reply or with an error.
struct run_turn {
  using reply = agent_reply;
  std::string agent; ///< the name it is registered under
  session_key session;
  turn_record turn;
  std::shared_ptr<const history_page> history; ///< never null; it ends with what the turn began with
  turn_desk_actor desk;
  std::chrono::milliseconds time{};
  std::optional<std::string> as_user{}; ///< who asked, if that was said
};

/// To an agent: the turn has ended otherwise; stop. What is answered to run_turn now is not looked at, but tells that
/// the agent is free.
struct cancel_run {
  session_key session;
  turn_id turn;
  error why;
};

} // namespace colloquy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::write_delta)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::write_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::run_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cancel_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agent_reply>)

namespace colloquy {

/// An agent. One handle may run many turns at once; each is a request of its own.
using agent_actor = caf::typed_actor<answers<run_turn>, caf::reacts_to<cancel_run>>;

// --- what is asked of the service ------------------------------------------------------------------------------------

/// How many there may be. Of a tenant's agents at work, limit_agents says otherwise for one tenant.
struct agent_bounds {
  std::size_t at_work_max = 1'000;
  std::size_t tenant_at_work_max = 100;
  std::size_t requests_max = 10'000; ///< turns under way, those that wait among them
  std::size_t tenant_requests_max = 1'000;
  std::size_t agents_max = 10'000;       ///< registered; as many tenants may have bounds of their own
  std::size_t tenant_agents_max = 1'000; ///< also of those that are every tenant's
};

/// Errors of everything here: invalid_request, naming the value; database_unavailable once the service shuts down.
///
/// Registers an agent, in place of another one of that name and tenant; turns that are under way stay with theirs. An
/// agent whose actor ends is made anew for the next turn if `make` is given, else it is registered no more. Errors:
/// overloaded (too many are registered).
struct agent_registered {};
struct register_agent {
  using reply = agent_registered;
  std::string name;                    ///< what sessions have as agent_id: 1 to limits::name_chars_max characters
  std::optional<tenant_id> tenant{};   ///< none: of every tenant that has none of that name
  agent_actor agent{};                 ///< or:
  std::function<agent_actor()> make{}; ///< called when one is needed, not on a thread of the caller's; may not block
  std::chrono::milliseconds time = std::chrono::minutes{5}; ///< for one turn; 1 ms to limits::lease_max
};

/// No turn of it begins any more. Errors: not_found.
struct agent_removed {};
struct remove_agent {
  using reply = agent_removed;
  std::string name;
  std::optional<tenant_id> tenant{};
};

/// How many agents of a tenant may be at work at once in this process, from now on, and how much they count beside
/// other tenants' while several wait.
struct agents_limited {};
struct limit_agents {
  using reply = agents_limited;
  tenant_id tenant;
  std::optional<std::size_t> at_work_max{}; ///< at least 1; none: as the service's options say
  double weight = 1;                        ///< 0.001 to 1000
};

/// A turn, run by an agent. Answered when it has ended, whichever way.
struct agent_turn {
  turn_record turn;
  std::vector<event_input> messages{}; ///< with which the agent completed it
  std::optional<error> why{};          ///< it was not completed
};

/// Asks for a turn of an agent: fields as those of start_turn. The turn begins when it is the session's turn, and the
/// agent's work when there is room among its tenant's: both within `wait`, else the turn fails. Answered with an error
/// only if no turn began: those of start_turn; not_found (no such agent, named); quota_exceeded (the tenant has too
/// many requests under way), overloaded (all tenants have).
struct start_agent_turn {
  using reply = agent_turn;
  session_key session;
  std::optional<std::string> agent{}; ///< none: the session's own, its agent_id
  std::vector<event_input> events{};
  std::string trace_id{};
  std::shared_ptr<const byte_reservation> reservation{};
  turn_policy policy = turn_policy::enqueue;
  std::chrono::seconds wait = limits::turn_wait_default;
  std::optional<std::int64_t> token_budget{};
  std::optional<turn_id> id{}; ///< chosen by the caller, who can then cancel it by end_turn, also while it waits
  std::optional<std::string> as_user{};
  std::optional<idempotency> repeat{}; ///< one that comes again is answered with the turn as it is then
};

/// Who is at work.
struct agents_status {
  std::size_t registered = 0;
  std::size_t at_work = 0;  ///< agents, with a turn each
  std::size_t waiting = 0;  ///< turns that have begun and wait for room
  std::size_t requests = 0; ///< under way, those among them
};
struct get_agents_status {
  using reply = agents_status;
  std::optional<tenant_id> tenant{}; ///< none: all; `registered` counts those of every tenant then, too
};

} // namespace colloquy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::register_agent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::remove_agent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::limit_agents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::start_agent_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_agents_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agent_registered>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agent_removed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agents_limited>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agent_turn>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::agents_status>)

namespace colloquy {

using agents_actor = caf::typed_actor<answers<register_agent>, answers<remove_agent>, answers<limit_agents>,
                                      answers<start_agent_turn>, answers<get_agents_status>>;

/// From within an agent: writes a part of its reply and does not wait. What the desk answers is not looked at.
template <class Self>
void send_delta(Self* self, const turn_desk_actor& desk, std::string text) {
  self->request(desk, std::chrono::seconds{60}, write_delta{std::move(text)})
      .then([](const result<delta_passed>&) {}, [](const caf::error&) {});
}

} // namespace colloquy
