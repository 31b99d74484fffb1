// What may be asked about context variables: what an agent is told about whom it talks to. Plain values, as in
// session_requests.hpp.
//
// Variables, their values and their tags are documents, of the collections "context_variables",
// "context_variable_values" and "context_variable_tag_associations" (or of the tables of a framework,
// config/settings.hpp: context_variables_table_prefix), and can be found there too.
//
// Errors that each may end with: invalid_request, database_unavailable, overloaded, deadline_exceeded, internal. What
// changes something is answered when it is durable.
#pragma once

#include "messages/customer_requests.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"
#include "messages/limits.hpp"

#include <optional>
#include <string>
#include <vector>

namespace colloquy {

struct context_variable_record {
  std::string id;
  std::string creation_utc{}; ///< as it is stored; "" if that is null
  std::string name;           ///< 1 to limits::name_chars_max characters
  std::optional<std::string> description{};
  std::optional<std::string> tool_id{};         ///< what can find a new value
  std::optional<std::string> freshness_rules{}; ///< cron's syntax, in UTC (messages/cron_rule.hpp); none: never stale
  std::vector<std::string> tags{};
};

/// Errors: conflict (there is one of that id), idempotency_mismatch.
struct create_context_variable {
  using reply = context_variable_record;
  tenant_id tenant;
  std::optional<std::string> id{}; ///< none: one is made
  std::string name;
  std::optional<std::string> description{};
  std::optional<std::string> tool_id{};
  std::optional<std::string> freshness_rules{};
  std::vector<std::string> tags{};
  std::optional<idempotency> repeat{}; ///< the same again is answered as it was then
};

/// Errors: not_found.
struct get_context_variable {
  using reply = context_variable_record;
  tenant_id tenant;
  std::string id;
};

/// Changes what is set; a text that is none inside is taken away. Errors: not_found.
struct update_context_variable {
  using reply = context_variable_record;
  tenant_id tenant;
  std::string id;
  std::optional<std::string> name{};
  std::optional<std::optional<std::string>> description{};
  std::optional<std::optional<std::string>> tool_id{};
  std::optional<std::optional<std::string>> freshness_rules{};
};

/// With its values and what gives it its tags. Errors: not_found.
struct context_variable_deleted {};
struct delete_context_variable {
  using reply = context_variable_deleted;
  tenant_id tenant;
  std::string id;
};

/// By (creation_utc, id); those of one tag in the order in which it was given.
struct context_variable_page {
  std::vector<context_variable_record> variables;
  std::string next_cursor{};
};
struct list_context_variables {
  using reply = context_variable_page;
  tenant_id tenant;
  std::optional<std::string> tag{};
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

/// Errors: not_found; invalid_request (more than tags_max).
struct tag_context_variable {
  using reply = context_variable_record;
  tenant_id tenant;
  std::string id;
  std::string tag;
};
struct untag_context_variable {
  using reply = context_variable_record;
  tenant_id tenant;
  std::string id;
  std::string tag;
};

// ---- values, keyed (variable, key)

/// Keys: a customer's id, "tag:" and a tag's id, "agent:" and an agent's id, "DEFAULT", or any other.
struct context_value_record {
  std::string key;
  std::string data;          ///< JSON
  std::string last_modified; ///< as it is stored
  bool is_stale = false;     ///< from the first tick of the variable's rule after its last change
};

/// Errors: not_found (the variable).
struct put_context_value {
  using reply = context_value_record;
  tenant_id tenant;
  std::string variable;
  std::string key; ///< 1 to limits::name_chars_max characters, and six for what is before an id
  std::string data;
};

/// Errors: not_found.
struct get_context_value {
  using reply = context_value_record;
  tenant_id tenant;
  std::string variable;
  std::string key;
};

/// Errors: not_found.
struct context_value_deleted {};
struct delete_context_value {
  using reply = context_value_deleted;
  tenant_id tenant;
  std::string variable;
  std::string key;
};

/// In no order to rely on but that of pages. Errors: not_found (the variable).
struct context_value_page {
  std::vector<context_value_record> values;
  std::string next_cursor{};
};
struct list_context_values {
  using reply = context_value_page;
  tenant_id tenant;
  std::string variable;
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

/// What holds for that customer with that agent: the first there is of the customer's own value, those of the
/// customer's tags in their order, the agent's, DEFAULT. Errors: not_found (the variable).
struct looked_up_value {
  std::optional<context_value_record> value{};
};
struct look_up_context_value {
  using reply = looked_up_value;
  tenant_id tenant;
  std::string variable;
  std::optional<std::string> customer_id{};
  std::optional<std::string> agent_id{};
};

} // namespace colloquy
