#include "gateway/call.hpp"

#include <array>

namespace colloquy::gateway {
namespace {

/// By operation_id.
constexpr std::array<handler, static_cast<std::size_t>(operation_id::count_)> handlers{
    handle_create_session,     handle_open_session,      handle_get_session,
    handle_update_session,     handle_delete_session,    handle_list_sessions,
    handle_fork_session,       handle_list_participants, handle_set_participant,
    handle_remove_participant, handle_get_analytics,     handle_append_messages,
    handle_list_messages,      handle_append_event,      handle_list_events,
    handle_start_turn,         handle_list_turns,        handle_append_turn_messages,
    handle_post_delta,         handle_renew_turn,        handle_complete_turn,
    handle_fail_turn,          handle_cancel_turn,       handle_create_tenant,
    handle_list_tenants,       handle_get_tenant,        handle_get_quotas,
    handle_set_quotas,         handle_create_key,        handle_list_keys,
    handle_rotate_key,         handle_revoke_key,        handle_list_audit,
    handle_export_session,     handle_export_user,       handle_erase_user,
    handle_import_sessions,    handle_get_pool,          handle_pause_pool,
    handle_resume_pool,        handle_resize_pool,       handle_rotate_pool,
    handle_get_health,         handle_get_readiness,     handle_get_metrics,
    handle_get_openapi,
};
static_assert(handlers.back() != nullptr, "a handler for each operation");

} // namespace

handler handler_of(operation_id id) {
  return handlers[static_cast<std::size_t>(id)];
}

} // namespace colloquy::gateway
