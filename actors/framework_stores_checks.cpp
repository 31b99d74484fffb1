#include "actors/framework_stores_checks.hpp"

#include "actors/request_checks.hpp"
#include "actors/tenants_checks.hpp"
#include "messages/content.hpp"
#include "messages/cron_rule.hpp"
#include "messages/document.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace colloquy::actors {
namespace {

/// What it is put into adds its own fields, up to so many bytes.
constexpr std::size_t other_fields_bytes_max = 8192;
/// "agent:" and an agent's id.
constexpr std::size_t key_chars_max = 6 + limits::name_chars_max;
constexpr int json_depth_max = limits::document_depth_max - 1;

/// The rules for it are those for a collection's.
std::optional<error> check_name(std::string_view field, const std::string& name) {
  if (is_collection_name(name))
    return std::nullopt;
  return invalid(std::string(field) + " must be valid UTF-8 without NUL, 1 to " +
                 std::to_string(limits::name_chars_max) + " characters");
}

std::optional<error> check_name(std::string_view field, const std::optional<std::string>& name) {
  return name ? check_name(field, *name) : std::nullopt;
}

std::optional<error> check_text(std::string_view field, const std::optional<std::string>& text) {
  if (!text || (is_storable_text(*text) && count_characters(*text) <= limits::title_chars_max))
    return std::nullopt;
  return invalid(std::string(field) + " must be valid UTF-8 without NUL, at most " +
                 std::to_string(limits::title_chars_max) + " characters");
}

std::optional<error> check_text(std::string_view field, const std::optional<std::optional<std::string>>& text) {
  return text ? check_text(field, *text) : std::nullopt;
}

/// As it will be in a document, of which half is left to it where a setting allows but little.
std::optional<error> check_json_field(std::string_view field, const std::string& json, std::size_t document_bytes_max) {
  const auto bytes_max = document_bytes_max - std::min(other_fields_bytes_max, document_bytes_max / 2);
  if (auto checked = check_json(json, json_depth_max); !checked)
    return error{checked.failure().code, std::string(field) + ": " + checked.failure().message};
  auto checked = check_document_changes("{\"" + std::string(field) + "\":" + json + "}", bytes_max);
  if (!checked && checked.failure().code == error_code::payload_too_large)
    return error{error_code::payload_too_large,
                 std::string(field) + " has more than the " + std::to_string(bytes_max) + " bytes allowed"};
  return checked ? std::nullopt : std::optional(std::move(checked.failure()));
}

std::optional<error> check_extra(const std::optional<std::string>& extra, std::size_t document_bytes_max) {
  if (!extra)
    return std::nullopt;
  if (auto problem = check_json_field("extra", *extra, document_bytes_max))
    return problem;
  return split_object(*extra) ? std::nullopt : std::optional(invalid("extra must be a JSON object"));
}

std::optional<error> check_tags(const std::vector<std::string>& tags) {
  if (tags.size() > tags_max)
    return invalid("there are " + std::to_string(tags.size()) + " tags; at most " + std::to_string(tags_max) +
                   " are allowed");
  for (const auto& tag : tags)
    if (auto problem = check_name("a tag", tag))
      return problem;
  return std::nullopt;
}

std::optional<error> check_rules(const std::optional<std::string>& rules) {
  if (!rules)
    return std::nullopt;
  auto rule = cron_rule::parse(*rules);
  return rule ? std::nullopt : std::optional(invalid("freshness_rules: " + rule.failure().message));
}

std::optional<error> check_page(std::size_t limit, const std::string& cursor) {
  return first_of({check_limit(limit),
                   is_storable_text(cursor) ? std::nullopt : std::optional(invalid("the cursor is none of ours"))});
}

template <class Request>
std::optional<error> check_tagging(const Request& request) {
  return first_of({check_name("id", request.id), check_name("tag", request.tag)});
}

template <class Request>
std::optional<error> check_key(const Request& request) {
  const bool is_key = !request.key.empty() && request.key.size() <= 4 * key_chars_max &&
                      is_storable_text(request.key) && count_characters(request.key) <= key_chars_max;
  if (!is_key)
    return invalid("key must be valid UTF-8 without NUL, 1 to " + std::to_string(key_chars_max) + " characters");
  return check_name("the variable's id", request.variable);
}

} // namespace

std::optional<error> check_request(const create_customer& request, std::size_t document_bytes_max) {
  return first_of({check_name("id", request.id), check_text("name", std::optional(request.name)),
                   check_extra(request.extra, document_bytes_max), check_tags(request.tags),
                   check_repeat(request.repeat)});
}

std::optional<error> check_request(const get_customer& request) {
  return check_name("id", request.id);
}

std::optional<error> check_request(const update_customer& request, std::size_t document_bytes_max) {
  if (!request.name && !request.extra)
    return invalid("nothing is changed: name or extra must be set");
  return first_of(
      {check_name("id", request.id), check_text("name", request.name), check_extra(request.extra, document_bytes_max)});
}

std::optional<error> check_request(const delete_customer& request) {
  if (request.id == guest_customer)
    return invalid("the guest always exists, and cannot be deleted");
  return check_name("id", request.id);
}

std::optional<error> check_request(const list_customers& request) {
  return first_of({check_name("tag", request.tag), check_page(request.limit, request.cursor)});
}

std::optional<error> check_request(const tag_customer& request) {
  return check_tagging(request);
}

std::optional<error> check_request(const untag_customer& request) {
  return check_tagging(request);
}

std::optional<error> check_request(const create_context_variable& request) {
  return first_of({check_name("id", request.id), check_name("name", request.name),
                   check_text("description", request.description), check_text("tool_id", request.tool_id),
                   check_rules(request.freshness_rules), check_tags(request.tags), check_repeat(request.repeat)});
}

std::optional<error> check_request(const get_context_variable& request) {
  return check_name("id", request.id);
}

std::optional<error> check_request(const update_context_variable& request) {
  if (!request.name && !request.description && !request.tool_id && !request.freshness_rules)
    return invalid("nothing is changed: name, description, tool_id or freshness_rules must be set");
  return first_of({check_name("id", request.id), check_name("name", request.name),
                   check_text("description", request.description), check_text("tool_id", request.tool_id),
                   check_rules(request.freshness_rules.value_or(std::nullopt))});
}

std::optional<error> check_request(const delete_context_variable& request) {
  return check_name("id", request.id);
}

std::optional<error> check_request(const list_context_variables& request) {
  return first_of({check_name("tag", request.tag), check_page(request.limit, request.cursor)});
}

std::optional<error> check_request(const tag_context_variable& request) {
  return check_tagging(request);
}

std::optional<error> check_request(const untag_context_variable& request) {
  return check_tagging(request);
}

std::optional<error> check_request(const put_context_value& request, std::size_t document_bytes_max) {
  return first_of({check_key(request), check_json_field("data", request.data, document_bytes_max)});
}

std::optional<error> check_request(const get_context_value& request) {
  return check_key(request);
}

std::optional<error> check_request(const delete_context_value& request) {
  return check_key(request);
}

std::optional<error> check_request(const list_context_values& request) {
  return first_of({check_name("the variable's id", request.variable), check_page(request.limit, request.cursor)});
}

std::optional<error> check_request(const look_up_context_value& request) {
  return first_of({check_name("the variable's id", request.variable), check_name("customer_id", request.customer_id),
                   check_name("agent_id", request.agent_id)});
}

} // namespace colloquy::actors
