// The typed interface of the customers actor. See actors/customers.hpp for its protocol.
#pragma once

#include "messages/customer_requests.hpp"
#include "messages/directory_interface.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::update_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_customers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::tag_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::untag_customer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::customer_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::customer_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::customer_page>)

namespace colloquy {

/// Every request is answered with a result, as with the directory.
using customers_actor =
    caf::typed_actor<answers<create_customer>, answers<get_customer>, answers<update_customer>,
                     answers<delete_customer>, answers<list_customers>, answers<tag_customer>, answers<untag_customer>>;

} // namespace colloquy
