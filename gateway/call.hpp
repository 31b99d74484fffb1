// One request under way, as its handler sees it.
#pragma once

#include "gateway/call_reader.hpp"
#include "gateway/http_message.hpp"
#include "gateway/loop.hpp"
#include "gateway/principal.hpp"
#include "gateway/tenant_book.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::gateway {

class edge;

struct call {
  edge& at;
  const http_request& request;
  const operation* of = nullptr;
  std::vector<std::string> path_parameters{};
  principal who{};
  tenant_state_ptr tenant{}; ///< null if the call is about no tenant
  call_values said{};
  std::function<void()> when_gone{}; ///< set by a handler that waits: the client has gone, or the service ends

  /// Of a call with {id} in its path.
  session_key session() const {
    return {who.tenant, session_id{said.path.maybe<uuid_bytes>("id").value_or(uuid_bytes{})}};
  }
  turn_id turn() const { return turn_id{said.path.maybe<uuid_bytes>("turn").value_or(uuid_bytes{})}; }
  /// By the request's key, if it has one. `scope` tells the paths of one kind of request apart; keys of one user alone
  /// have nothing to do with those of others, or of the tenant.
  std::optional<idempotency> repeat(std::string scope = {}) const;
  /// The trace of `traceparent`; "" if there is none.
  std::string trace_id() const;
};

using handler = task<http_reply> (*)(call&);

handler handler_of(operation_id id);

// By room of the table; handlers.cpp puts them together.
task<http_reply> handle_create_session(call& of);
task<http_reply> handle_open_session(call& of);
task<http_reply> handle_get_session(call& of);
task<http_reply> handle_update_session(call& of);
task<http_reply> handle_delete_session(call& of);
task<http_reply> handle_list_sessions(call& of);
task<http_reply> handle_fork_session(call& of);
task<http_reply> handle_list_participants(call& of);
task<http_reply> handle_set_participant(call& of);
task<http_reply> handle_remove_participant(call& of);
task<http_reply> handle_label_session(call& of);
task<http_reply> handle_unlabel_session(call& of);
task<http_reply> handle_get_analytics(call& of);
task<http_reply> handle_append_messages(call& of);
task<http_reply> handle_list_messages(call& of);
task<http_reply> handle_append_event(call& of);
task<http_reply> handle_list_events(call& of);
task<http_reply> handle_delete_event(call& of);
task<http_reply> handle_delete_events(call& of);
task<http_reply> handle_start_turn(call& of);
task<http_reply> handle_list_turns(call& of);
task<http_reply> handle_append_turn_messages(call& of);
task<http_reply> handle_post_delta(call& of);
task<http_reply> handle_renew_turn(call& of);
task<http_reply> handle_complete_turn(call& of);
task<http_reply> handle_fail_turn(call& of);
task<http_reply> handle_cancel_turn(call& of);
task<http_reply> handle_create_tenant(call& of);
task<http_reply> handle_list_tenants(call& of);
task<http_reply> handle_get_tenant(call& of);
task<http_reply> handle_get_quotas(call& of);
task<http_reply> handle_set_quotas(call& of);
task<http_reply> handle_create_key(call& of);
task<http_reply> handle_list_keys(call& of);
task<http_reply> handle_rotate_key(call& of);
task<http_reply> handle_revoke_key(call& of);
task<http_reply> handle_list_audit(call& of);
task<http_reply> handle_export_session(call& of);
task<http_reply> handle_export_user(call& of);
task<http_reply> handle_erase_user(call& of);
task<http_reply> handle_import_sessions(call& of);
task<http_reply> handle_insert_documents(call& of);
task<http_reply> handle_query_documents(call& of);
task<http_reply> handle_find_one_document(call& of);
task<http_reply> handle_update_one_document(call& of);
task<http_reply> handle_delete_one_document(call& of);
task<http_reply> handle_list_collections(call& of);
task<http_reply> handle_delete_collection(call& of);
task<http_reply> handle_open_store(call& of);
task<http_reply> handle_list_failed_migrations(call& of);
task<http_reply> handle_create_customer(call& of);
task<http_reply> handle_list_customers(call& of);
task<http_reply> handle_get_customer(call& of);
task<http_reply> handle_update_customer(call& of);
task<http_reply> handle_delete_customer(call& of);
task<http_reply> handle_list_customer_tags(call& of);
task<http_reply> handle_tag_customer(call& of);
task<http_reply> handle_untag_customer(call& of);
task<http_reply> handle_create_context_variable(call& of);
task<http_reply> handle_list_context_variables(call& of);
task<http_reply> handle_get_context_variable(call& of);
task<http_reply> handle_update_context_variable(call& of);
task<http_reply> handle_delete_context_variable(call& of);
task<http_reply> handle_list_context_variable_tags(call& of);
task<http_reply> handle_tag_context_variable(call& of);
task<http_reply> handle_untag_context_variable(call& of);
task<http_reply> handle_list_context_values(call& of);
task<http_reply> handle_put_context_value(call& of);
task<http_reply> handle_get_context_value(call& of);
task<http_reply> handle_delete_context_value(call& of);
task<http_reply> handle_look_up_context_value(call& of);
task<http_reply> handle_open_database_session(call& of);
task<http_reply> handle_execute_sql(call& of);
task<http_reply> handle_read_database_notifications(call& of);
task<http_reply> handle_close_database_session(call& of);
task<http_reply> handle_get_pool(call& of);
task<http_reply> handle_pause_pool(call& of);
task<http_reply> handle_resume_pool(call& of);
task<http_reply> handle_resize_pool(call& of);
task<http_reply> handle_rotate_pool(call& of);
task<http_reply> handle_get_health(call& of);
task<http_reply> handle_get_readiness(call& of);
task<http_reply> handle_get_metrics(call& of);
task<http_reply> handle_get_openapi(call& of);
task<http_reply> handle_post_mcp(call& of);
task<http_reply> handle_get_mcp(call& of);
task<http_reply> handle_delete_mcp(call& of);
task<http_reply> handle_get_resource_metadata(call& of);

} // namespace colloquy::gateway
