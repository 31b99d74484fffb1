// The typed interface of the directory actor: the door to every session. See actors/directory.hpp for its protocol.
#pragma once

#include "messages/requests.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

// These stay inside one process: they hold shared pointers and are never serialized.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::append_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::start_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::end_turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::read_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::session_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::appended>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::granted_turn>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::turn_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::event_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::flushed>)

namespace colloquy {

/// Every request is answered with a result; a caf::error arrives only when the directory itself is gone or the
/// requester's own timeout fired.
using directory_actor = caf::typed_actor<caf::replies_to<create_session>::with<result<session_record>>, //
                                         caf::replies_to<get_session>::with<result<session_record>>,    //
                                         caf::replies_to<append_events>::with<result<appended>>,        //
                                         caf::replies_to<start_turn>::with<result<granted_turn>>,       //
                                         caf::replies_to<end_turn>::with<result<turn_record>>,          //
                                         caf::replies_to<read_events>::with<result<event_page>>,        //
                                         caf::replies_to<flush>::with<result<flushed>>>;

} // namespace colloquy
