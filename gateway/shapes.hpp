// The shapes of what is sent and answered. Those of requests are what bodies are checked against; those of replies are
// documented here and written by replies.cpp, and a test holds the two together.
#pragma once

#include "gateway/message_rules.hpp"
#include "gateway/rules.hpp"

#include <vector>

namespace colloquy::gateway::shapes {

// Requests.
extern const shape_rule create_session;
extern const shape_rule open_session;
extern const shape_rule update_session;
extern const shape_rule fork_session;
extern const shape_rule set_participant;
extern const shape_rule append_messages; ///< the form with `messages`; one message alone is message_shape
extern const shape_rule append_event;
extern const shape_rule start_turn;
extern const shape_rule post_delta; ///< and whatever else the caller wants to pass on
extern const shape_rule renew_turn;
extern const shape_rule complete_turn;
extern const shape_rule fail_turn;
extern const shape_rule create_tenant;
extern const shape_rule quotas;
extern const shape_rule create_key;
extern const shape_rule rotate_key;
extern const shape_rule resize_pool;
extern const shape_rule document;         ///< also of replies
extern const shape_rule insert_documents; ///< the form with `documents`
extern const shape_rule query_documents;
extern const shape_rule find_one_document;
extern const shape_rule update_one_document;
extern const shape_rule delete_one_document;
extern const shape_rule open_store;
extern const shape_rule document_order; ///< of field_kind::order
extern const shape_rule field_order;    ///< one of field_kind::first_order
extern const shape_rule document_place; ///< of field_kind::place
extern const shape_rule create_customer;
extern const shape_rule update_customer;
extern const shape_rule add_tag;
extern const shape_rule create_context_variable;
extern const shape_rule update_context_variable;
extern const shape_rule put_context_value;
extern const shape_rule open_database_session;
extern const shape_rule execute_sql;

// Replies.
extern const shape_rule session;
extern const shape_rule exported_session; ///< in an import
extern const shape_rule session_page;
extern const shape_rule participant;
extern const shape_rule participant_page;
extern const shape_rule message;
extern const shape_rule message_page;
extern const shape_rule event;
extern const shape_rule event_page;
extern const shape_rule appended;
extern const shape_rule turn;
extern const shape_rule turn_page;
extern const shape_rule started_turn;
extern const shape_rule delta_passed;
extern const shape_rule analytics;
extern const shape_rule tenant;
extern const shape_rule tenant_page;
extern const shape_rule quotas_with_usage;
extern const shape_rule key;
extern const shape_rule key_page;
extern const shape_rule made_key;
extern const shape_rule audit_page;
extern const shape_rule erased;
extern const shape_rule imported;
extern const shape_rule pool;
extern const shape_rule documents_inserted;
extern const shape_rule document_page;
extern const shape_rule found_document;
extern const shape_rule document_updated;
extern const shape_rule document_deleted;
extern const shape_rule collection_page;
extern const shape_rule opened_store;
extern const shape_rule failed_migration_page;
extern const shape_rule customer;
extern const shape_rule customer_page;
extern const shape_rule tag_page;
extern const shape_rule context_variable;
extern const shape_rule context_variable_page;
extern const shape_rule context_value;
extern const shape_rule context_value_page;
extern const shape_rule looked_up_value;
extern const shape_rule database_session;
extern const shape_rule sql_outcome;
extern const shape_rule database_notifications;
extern const shape_rule health;
extern const shape_rule readiness;
extern const shape_rule resource_metadata;
extern const shape_rule problem;

} // namespace colloquy::gateway::shapes
