// Every call there is: the one table that the router, the checks of requests and the OpenAPI document are made from.
#pragma once

#include "gateway/rules.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace colloquy::gateway {

enum class operation_id : std::uint8_t {
  create_session,
  open_session,
  get_session,
  update_session,
  delete_session,
  list_sessions,
  fork_session,
  list_participants,
  set_participant,
  remove_participant,
  label_session,
  unlabel_session,
  get_analytics,
  append_messages,
  list_messages,
  append_event,
  list_events,
  delete_event,
  delete_events,
  start_turn,
  list_turns,
  append_turn_messages,
  post_delta,
  renew_turn,
  complete_turn,
  fail_turn,
  cancel_turn,
  create_tenant,
  list_tenants,
  get_tenant,
  get_quotas,
  set_quotas,
  create_key,
  list_keys,
  rotate_key,
  revoke_key,
  list_audit,
  export_session,
  export_user,
  erase_user,
  import_sessions,
  insert_documents,
  query_documents,
  find_one_document,
  update_one_document,
  delete_one_document,
  list_collections,
  delete_collection,
  open_store,
  list_failed_migrations,
  create_customer,
  list_customers,
  get_customer,
  update_customer,
  delete_customer,
  list_customer_tags,
  tag_customer,
  untag_customer,
  create_context_variable,
  list_context_variables,
  get_context_variable,
  update_context_variable,
  delete_context_variable,
  list_context_variable_tags,
  tag_context_variable,
  untag_context_variable,
  list_context_values,
  put_context_value,
  get_context_value,
  delete_context_value,
  look_up_context_value,
  open_database_session,
  execute_sql,
  read_database_notifications,
  close_database_session,
  get_pool,
  pause_pool,
  resume_pool,
  resize_pool,
  rotate_pool,
  get_health,
  get_readiness,
  get_metrics,
  get_openapi,
  post_mcp,
  get_mcp,
  delete_mcp,
  get_resource_metadata,
  get_mcp_metadata,
  count_,
};

/// Who may call.
enum class access : std::uint8_t {
  open,    ///< anybody
  read,    ///< a key or token with scope read
  write,   ///< with scope write
  admin,   ///< with scope admin, of the tenant in question; or the admin key
  operate, ///< the admin key only
  member,  ///< a key or token of a tenant, whatever its scopes
};

enum class body_kind : std::uint8_t {
  none,
  shape,      ///< an object of `body`
  maybe,      ///< the same, or no body at all, which is {}
  open_shape, ///< an object of `body` with whatever else the caller wants in it
  messages,   ///< one message, or an object of `body`
  documents,  ///< one document, or an object of `body`
  ndjson,     ///< lines of JSON, read by the handler
  rpc,        ///< a message of JSON-RPC, read by the handler
};

/// What else a call may do that is worth knowing before it is done.
struct operation_traits {
  bool is_repeatable = false; ///< takes Idempotency-Key
  bool has_version = false;   ///< takes If-Match
  bool may_wait = false;      ///< is worth watching whether the caller is still there
  bool may_stream = false;    ///< as text/event-stream, if that is accepted
  bool answers_text = false;  ///< its reply is no JSON
  bool is_exempt = false;     ///< from quotas: it is how one looks after the service
  bool has_documents = false; ///< in its body, which may be nested as deep as they are
  bool is_mcp = false;        ///< of the Model Context Protocol, which has rules of its own for who may call
};

struct operation {
  operation_id id;
  std::string_view name; ///< operationId
  std::string_view method;
  std::string_view path; ///< with {parameters}
  std::string_view tag;
  std::string_view summary;
  std::string_view about;
  access needs = access::read;
  std::span<const field_rule> path_fields{};
  std::span<const field_rule> query_fields{};
  body_kind takes = body_kind::none;
  const shape_rule* body = nullptr;
  int success = 200;
  int other_success = 0;                ///< 0: none
  const shape_rule* reply = nullptr;    ///< none: no body, or no JSON
  std::span<const error_code> errors{}; ///< beside those that every call may end with
  operation_traits traits{};
};

std::span<const operation> operations();
const operation& operation_of(operation_id id);

} // namespace colloquy::gateway
