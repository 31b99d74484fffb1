#include "actors/tenants_checks.hpp"

#include "actors/session_checks.hpp"
#include "messages/text_checks.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

/// The first one that there is.
std::optional<error> first_of(std::initializer_list<std::optional<error>> problems) {
  for (const auto& each : problems)
    if (each)
      return each;
  return std::nullopt;
}

error invalid(std::string what) {
  return {error_code::invalid_request, std::move(what)};
}

std::optional<error> check_text(std::string_view field, const std::string& text, std::size_t chars_max) {
  if (is_storable_text(text) && count_characters(text) <= chars_max)
    return std::nullopt;
  return invalid(std::string(field) + " must be valid UTF-8 without NUL, at most " + std::to_string(chars_max) +
                 " characters");
}

std::optional<error> check_tenant_name(const tenant_id& tenant) {
  if (tenant.text().empty())
    return invalid("a tenant is needed");
  return std::nullopt;
}

std::optional<error> check_each(const tenant_quotas& quotas) {
  for (const auto& [field, value] : {std::pair{"requests_per_s", quotas.requests_per_s},
                                     {"request_burst", quotas.request_burst},
                                     {"sessions_max", quotas.sessions_max},
                                     {"resident_sessions_max", quotas.resident_sessions_max},
                                     {"stored_bytes_max", quotas.stored_bytes_max},
                                     {"running_turns_max", quotas.running_turns_max},
                                     {"subscriptions_max", quotas.subscriptions_max},
                                     {"message_bytes_max", quotas.message_bytes_max},
                                     {"connections_max", quotas.connections_max}})
    if (value && *value < 1)
      return invalid(std::string(field) + " is " + std::to_string(*value) + "; 1 or more is allowed, or none");
  return std::nullopt;
}

std::optional<error> check_repeat(const std::optional<idempotency>& repeat) {
  if (!repeat)
    return std::nullopt;
  if (!is_storable(*repeat) || !is_storable_text(repeat->scope) || repeat->scope.size() > limits::key_scope_bytes_max)
    return unstorable_key();
  return std::nullopt;
}

std::optional<error> check_digest(const key_digest& digest) {
  if (!is_possible_prefix(digest.prefix))
    return invalid("a key's prefix has 1 to " + std::to_string(limits::name_chars_max) + " characters of valid UTF-8");
  if (digest.sha256.size() != digest_bytes)
    return invalid("a key's digest has " + std::to_string(digest_bytes) + " bytes");
  return std::nullopt;
}

std::optional<error> check_field(std::string_view field, const std::string& text) {
  if (is_storable_text(text) && text.size() <= audit_field_bytes_max)
    return std::nullopt;
  return invalid(std::string(field) + " of an audit entry must be valid UTF-8 without NUL, at most " +
                 std::to_string(audit_field_bytes_max) + " bytes");
}

} // namespace

std::optional<error> check_tenant(const create_tenant& request) {
  return first_of({check_tenant_name(request.id), check_text("title", request.title, limits::title_chars_max),
                   check_each(request.quotas), check_repeat(request.repeat), check_actor(request.by)});
}

std::optional<error> check_quotas(const set_quotas& request) {
  return first_of({check_each(request.quotas), check_actor(request.by)});
}

std::optional<error> check_key(const create_key& request) {
  if (request.scopes == key_scopes{})
    return invalid("a key needs one of the scopes read, write, admin");
  if (request.user_id && !is_storable_name(*request.user_id))
    return invalid("user_id must be valid UTF-8 without NUL, 1 to " + std::to_string(limits::name_chars_max) +
                   " characters");
  if (request.expires_in && (*request.expires_in < 1s || *request.expires_in > std::chrono::years{10}))
    return invalid("expires_in is " + std::to_string(request.expires_in->count()) +
                   " s; 1 second to 10 years is allowed, or none for never");
  return first_of({check_text("name", request.name, limits::name_chars_max), check_digest(request.digest),
                   check_actor(request.by)});
}

std::optional<error> check_rotation(const rotate_key& request) {
  if (request.grace < 0s || request.grace > rotation_grace_max)
    return invalid("grace is " + std::to_string(request.grace.count()) + " s; 0 to 7 days is allowed");
  return first_of({check_digest(request.digest), check_actor(request.by)});
}

std::optional<error> check_actor(const audit_actor& by) {
  return first_of({check_field("the actor", by.name), check_field("the request_id", by.request_id)});
}

std::optional<error> check_entry(const audit_entry& entry) {
  return first_of({check_actor(entry.by), check_field("the action", entry.action),
                   check_field("the target_kind", entry.target_kind), check_field("the target", entry.target)});
}

std::optional<error> check_filters(const read_audit& request) {
  for (const auto& [field, text] :
       {std::pair{"actor", &request.actor}, {"action", &request.action}, {"target", &request.target}})
    if (*text && !is_storable_text(**text))
      return invalid(std::string(field) + " must be valid UTF-8 without NUL");
  return check_limit(request.limit);
}

std::optional<error> check_admin_key(const ensure_admin_key& request) {
  if (request.sha256.empty() || request.sha256.size() == digest_bytes)
    return std::nullopt;
  return invalid("a key's digest has " + std::to_string(digest_bytes) + " bytes");
}

std::optional<error> check_limit(std::size_t limit) {
  if (limit >= 1 && limit <= limits::page_events_max)
    return std::nullopt;
  return invalid("limit is " + std::to_string(limit) + "; 1 to " + std::to_string(limits::page_events_max) +
                 " is allowed");
}

bool is_possible_prefix(std::string_view prefix) {
  return is_storable_name(prefix);
}

} // namespace colloquy::actors
