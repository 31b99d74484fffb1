#include "actors/session_checks.hpp"

#include "actors/session_labels.hpp"
#include "messages/content.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

std::optional<error> check_name(const char* field, const std::optional<std::string>& value) {
  if (!value)
    return std::nullopt;
  if (!is_storable_text(*value))
    return error{error_code::invalid_request, std::string(field) + " must be valid UTF-8 without NUL"};
  const auto characters = count_characters(*value);
  if (characters < 1 || characters > limits::name_chars_max)
    return error{error_code::invalid_request, std::string(field) + " has " + std::to_string(characters) +
                                                  " characters; 1 to " + std::to_string(limits::name_chars_max) +
                                                  " are allowed"};
  return std::nullopt;
}

/// Whether a JSON number would be written without exponent in few enough digits.
bool is_moderate(std::string_view number) {
  const auto mantissa = number.substr(0, number.find_first_of("eE"));
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  const auto fraction = mantissa.size() - point;
  std::size_t shift = 0;
  bool is_negative = false;
  if (mantissa.size() < number.size()) {
    auto exponent = number.substr(mantissa.size() + 1);
    is_negative = exponent.starts_with('-');
    if (is_negative || exponent.starts_with('+'))
      exponent.remove_prefix(1);
    const auto read = std::from_chars(exponent.data(), exponent.data() + exponent.size(), shift);
    if (read.ec != std::errc{})
      return false;
  }
  return shift <= metadata_digits_max && point + (is_negative ? 0 : shift) <= metadata_digits_max &&
         fraction + (is_negative ? shift : 0) <= metadata_digits_max;
}

/// Of valid JSON.
bool has_moderate_numbers(std::string_view json) {
  constexpr std::string_view number_characters = "+-.0123456789eE";
  for (std::size_t at = 0; at < json.size(); ++at) {
    if (json[at] == '"') {
      for (++at; json[at] != '"'; ++at)
        at += json[at] == '\\' ? 1 : 0;
    } else if (json[at] == '-' || (json[at] >= '0' && json[at] <= '9')) {
      const auto end = std::min(json.find_first_not_of(number_characters, at), json.size());
      if (!is_moderate(json.substr(at, end - at)))
        return false;
      at = end - 1;
    }
  }
  return true;
}

std::optional<error> check_metadata(const std::string& metadata) {
  if (metadata.size() > limits::metadata_bytes_max)
    return error{error_code::payload_too_large, "metadata has " + std::to_string(metadata.size()) + " bytes; at most " +
                                                    std::to_string(limits::metadata_bytes_max) + " are allowed"};
  if (auto checked = check_json(metadata); !checked)
    return error{error_code::invalid_request, "metadata: " + checked.failure().message};
  if (auto members = split_object(metadata); !members)
    return error{error_code::invalid_request, "metadata must be a JSON object"};
  if (!has_moderate_numbers(metadata))
    return error{error_code::invalid_request, "metadata: a number may have at most " +
                                                  std::to_string(metadata_digits_max) +
                                                  " digits before its point and after it, written without exponent"};
  return std::nullopt;
}

std::optional<error> check_title(const std::optional<std::string>& title) {
  if (!title || (is_storable_text(*title) && count_characters(*title) <= limits::title_chars_max))
    return std::nullopt;
  return error{error_code::invalid_request, "title must be valid UTF-8 without NUL, at most " +
                                                std::to_string(limits::title_chars_max) + " characters"};
}

std::optional<error> check_expires_in(const std::optional<std::chrono::seconds>& expires_in) {
  if (!expires_in || (*expires_in >= 1s && *expires_in <= std::chrono::years{10}))
    return std::nullopt;
  return error{error_code::invalid_request, "expires_in is " + std::to_string(expires_in->count()) +
                                                " s; 1 second to 10 years is allowed, or none for never"};
}

} // namespace

std::optional<error> check_creation(const create_session& request) {
  if (request.tenant.text().empty()) // row level security would refuse the whole batch, each time it is sent
    return error{error_code::invalid_request, "a session needs a tenant"};
  for (auto problem : {check_name("user_id", request.user_id), check_name("agent_id", request.agent_id),
                       check_name("external_id", request.external_id)})
    if (problem)
      return problem;
  for (auto problem :
       {check_title(request.title), check_metadata(request.metadata), check_expires_in(request.expires_in),
        check_labels(as_set(request.labels)), check_consumption(request.consumption_offsets)})
    if (problem)
      return problem;
  return std::nullopt;
}

std::optional<error> check_event(const event_input& input) {
  if (input.data.size() > limits::event_bytes_max)
    return error{error_code::payload_too_large, "an event has " + std::to_string(input.data.size()) +
                                                    " bytes; at most " + std::to_string(limits::event_bytes_max) +
                                                    " are allowed"};
  const bool storable = is_storable_text(input.data) && is_storable_text(input.author) &&
                        is_storable_text(input.source) && is_storable_text(input.trace_id) &&
                        is_storable_text(input.tool_call_id) &&
                        std::all_of(input.tool_call_ids.begin(), input.tool_call_ids.end(), is_storable_text);
  if (!storable)
    return error{error_code::invalid_request, "an event's text must be valid UTF-8 without NUL"};
  for (const auto& [field, text] : {std::pair{"author", &input.author},
                                    {"source", &input.source},
                                    {"trace_id", &input.trace_id},
                                    {"tool_call_id", &input.tool_call_id}})
    if (text->size() > event_field_bytes_max)
      return error{error_code::payload_too_large, std::string(field) + " has " + std::to_string(text->size()) +
                                                      " bytes; at most " + std::to_string(event_field_bytes_max) +
                                                      " are allowed"};
  if (input.tool_call_ids.size() > tool_calls_max ||
      std::any_of(input.tool_call_ids.begin(), input.tool_call_ids.end(),
                  [](const std::string& id) { return id.size() > event_field_bytes_max; }))
    return error{error_code::payload_too_large, "a message makes at most " + std::to_string(tool_calls_max) +
                                                    " tool calls, each with an id of at most " +
                                                    std::to_string(event_field_bytes_max) + " bytes"};
  if (input.tokens && *input.tokens < 0)
    return error{error_code::invalid_request, "tokens is " + std::to_string(*input.tokens) + "; 0 or more is allowed"};
  if ((input.kind == event_kind::message) != (input.role != message_role::none))
    return error{error_code::invalid_request, "a message has a role, other events have none"};
  return std::nullopt;
}

std::optional<error> check_usage(const token_usage& usage, std::int64_t total_tokens) {
  for (const auto tokens : {usage.input_tokens, usage.output_tokens})
    if (tokens < 0 || tokens > turn_tokens_max)
      return error{error_code::invalid_request, "usage of " + std::to_string(tokens) + " tokens; 0 to " +
                                                    std::to_string(turn_tokens_max) + " is allowed"};
  if (total_tokens > std::numeric_limits<std::int64_t>::max() - 2 * turn_tokens_max)
    return error{error_code::invalid_request, "the session's tokens cannot be summed any more"};
  return std::nullopt;
}

std::optional<error> check_trace_id(std::string_view trace_id) {
  if (is_storable_text(trace_id) && trace_id.size() <= limits::name_chars_max)
    return std::nullopt;
  return error{error_code::invalid_request, "trace_id must be valid UTF-8 without NUL, at most " +
                                                std::to_string(limits::name_chars_max) + " bytes"};
}

std::optional<error> check_token_budget(const std::optional<std::int64_t>& budget) {
  if (!budget || (*budget >= 1 && *budget <= limits::token_budget_max))
    return std::nullopt;
  return error{error_code::invalid_request, "token_budget is " + std::to_string(*budget) + "; 1 to " +
                                                std::to_string(limits::token_budget_max) + " is allowed"};
}

std::optional<error> check_reason(const std::string& reason) {
  if (is_storable_text(reason) && count_characters(reason) <= limits::title_chars_max)
    return std::nullopt;
  return error{error_code::invalid_request, "reason must be valid UTF-8 without NUL, at most " +
                                                std::to_string(limits::title_chars_max) + " characters"};
}

std::optional<error> check_delta(const post_delta& request) {
  if (request.text.size() + request.data.size() > limits::delta_bytes_max)
    return error{error_code::payload_too_large,
                 "a delta has " + std::to_string(request.text.size() + request.data.size()) + " bytes; at most " +
                     std::to_string(limits::delta_bytes_max) + " are allowed"};
  if (!is_storable_text(request.text) || !is_storable_text(request.data))
    return error{error_code::invalid_request, "a delta must be valid UTF-8 without NUL"};
  return std::nullopt;
}

std::optional<error> check_update(const update_session& request, const session_record& record) {
  for (auto problem : {check_title(request.title), check_labels(labels_after(request, record)),
                       check_consumption(consumption_after(request, record))})
    if (problem)
      return problem;
  if (request.metadata)
    if (auto problem = check_metadata(*request.metadata))
      return problem;
  if (request.status == session_status::expired)
    return error{error_code::invalid_request, "status is \"expired\"; active, paused and completed are allowed"};
  if (request.expires_in)
    return check_expires_in(*request.expires_in);
  return std::nullopt;
}

bool is_storable_name(std::string_view name) {
  if (!is_storable_text(name))
    return false;
  const auto characters = count_characters(name);
  return characters >= 1 && characters <= limits::name_chars_max;
}

bool is_storable(const idempotency& repeat) {
  return is_storable_name(repeat.key) && is_storable_text(repeat.fingerprint) &&
         repeat.fingerprint.size() <= limits::fingerprint_bytes_max && is_storable_text(repeat.scope) &&
         repeat.scope.size() <= limits::key_scope_bytes_max;
}

error unstorable_key() {
  return {error_code::invalid_request,
          "an idempotency key has 1 to " + std::to_string(limits::name_chars_max) +
              " characters of valid UTF-8, and a digest of at most " + std::to_string(limits::fingerprint_bytes_max) +
              " bytes; its scope is text of at most " + std::to_string(limits::key_scope_bytes_max) + " bytes"};
}

std::string scope_of(std::string_view kind, const idempotency& repeat) {
  return repeat.scope.empty() ? std::string(kind) : std::string(kind) + ':' + repeat.scope;
}

std::size_t creation_bytes(const create_session& request) noexcept {
  const auto size = [](const std::optional<std::string>& text) { return text ? text->size() : 0; };
  return limits::event_overhead_bytes + request.user_id.size() + size(request.agent_id) + size(request.external_id) +
         size(request.title) + request.metadata.size() + label_bytes(request.labels, request.consumption_offsets);
}

} // namespace colloquy::actors
