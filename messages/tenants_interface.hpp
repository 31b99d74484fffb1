// The typed interface of the tenants actor. See actors/tenants.hpp for its protocol.
#pragma once

#include "messages/directory_interface.hpp"
#include "messages/tenant_requests.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_tenant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_tenant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_tenants)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::set_quotas)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::create_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::rotate_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::revoke_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_keys)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::find_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::note_key_use)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::ensure_admin_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::write_audit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::read_audit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::tenant_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::tenant_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::api_key_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::key_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::found_key>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::service_keys>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::audit_written>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::audit_page>)

namespace colloquy {

/// Every request is answered with a result, as with the directory.
using tenants_actor =
    caf::typed_actor<answers<create_tenant>, answers<get_tenant>, answers<list_tenants>, answers<set_quotas>,
                     answers<create_key>, answers<rotate_key>, answers<revoke_key>, answers<list_keys>,
                     answers<find_key>, caf::reacts_to<note_key_use>, answers<ensure_admin_key>, answers<write_audit>,
                     answers<read_audit>>;

} // namespace colloquy
