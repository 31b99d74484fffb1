// The typed interface of the context variables actor. See actors/context_variables.hpp for its protocol.
#pragma once

#include "messages/context_variable_requests.hpp"
#include "messages/directory_interface.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::update_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_context_variables)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::tag_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::untag_context_variable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::put_context_value)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_context_value)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_context_value)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_context_values)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::look_up_context_value)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_variable_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_variable_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_variable_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_value_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_value_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::context_value_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::looked_up_value>)

namespace colloquy {

/// Every request is answered with a result, as with the directory.
using context_variables_actor =
    caf::typed_actor<answers<create_context_variable>, answers<get_context_variable>, answers<update_context_variable>,
                     answers<delete_context_variable>, answers<list_context_variables>, answers<tag_context_variable>,
                     answers<untag_context_variable>, answers<put_context_value>, answers<get_context_value>,
                     answers<delete_context_value>, answers<list_context_values>, answers<look_up_context_value>>;

} // namespace colloquy
