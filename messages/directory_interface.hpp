// The typed interface of the directory actor: the door to every session. See actors/directory.hpp for its protocol.
#pragma once

#include "messages/health.hpp"
#include "messages/requests.hpp"
#include "messages/subscription_interface.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

// These stay inside one process: they hold shared pointers and are never serialized.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::open_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::update_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::erase_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::erase_user)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::fork_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_sessions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::set_participant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_participants)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_analytics)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::append_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::read_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::read_history)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::start_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::renew_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::end_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::post_delta)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_turns)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_health)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::limit_sessions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::session_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::opened_session>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::erased>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::session_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::participant_list>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::analytics>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::appended>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::event_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::events_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::history_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::granted_turn>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::turn_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::delta_passed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::turn_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::flushed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::service_health>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::subscribed>)

namespace colloquy {

/// As a request of an actor's interface.
template <class Request>
using answers = typename caf::replies_to<Request>::template with<result<typename Request::reply>>;

/// Every request is answered with a result; a caf::error arrives only when the directory itself is gone, when a session
/// was killed with the request in its mailbox, or when the requester's own timeout fired.
using directory_actor =
    caf::typed_actor<answers<create_session>, answers<open_session>, answers<get_session>, answers<update_session>,
                     answers<erase_session>, answers<erase_user>, answers<fork_session>, answers<list_sessions>,
                     answers<set_participant>, answers<list_participants>, answers<get_analytics>,
                     answers<append_events>, answers<read_events>, answers<delete_events>, answers<read_history>,
                     answers<start_turn>, answers<renew_turn>, answers<end_turn>, answers<post_delta>,
                     answers<list_turns>, answers<flush>, answers<get_health>, answers<subscribe_events>,
                     caf::reacts_to<events_taken>, caf::reacts_to<unsubscribe_events>, caf::reacts_to<limit_sessions>>;

} // namespace colloquy
