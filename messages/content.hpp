// Content is opaque inside: JSON is read and checked once, here, and kept as the bytes it was. What the log must know
// (role, tokens, tool-call ids) leaves it as fields. Whatever PostgreSQL's text could refuse is refused here.
#pragma once

#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/limits.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// Checks one message, a JSON object {role, content, tool_calls?, tool_call_id?, name?, tokens?, metadata?}, and makes
/// it an event. `data` is the very text given.
///
/// Rules: valid UTF-8, no NUL, no unpaired surrogate, nesting at most limits::json_depth_max, no key twice in one
/// object, no unknown field; `role` one of system, user, assistant, tool; `content` a string or an array of objects
/// that have a string `type`; `tool_calls` an array of objects with a string `id`; `tool_call_id` and `name` strings of
/// 1 to limits::name_chars_max characters; `tokens` an integer from 0 to 2^31 - 1; `metadata` an object of at most
/// limits::metadata_bytes_max bytes.
/// Errors: invalid_request, payload_too_large; the message names the field and what is allowed.
result<event_input> parse_message(std::string_view json);

/// Checks that a text is one JSON value under the same rules of encoding, depth and keys. Errors: invalid_request.
result<void> check_json(std::string_view json, int depth_max = limits::json_depth_max);

/// The elements of a JSON array as the bytes they are (without the blanks between them). Only this level is read: the
/// elements are found by their brackets and quotes, and are valid JSON if the text has passed check_json, or once each
/// of them has. Any text is safe to give. Errors: invalid_request if it is no array.
result<std::vector<std::string_view>> split_array(std::string_view json);

/// The members of a JSON object, in order: keys decoded, values as the bytes they are. Read as split_array reads; a
/// key may be there twice. Errors: invalid_request if it is no object.
struct raw_member {
  std::string key;
  std::string_view value;
};
result<std::vector<raw_member>> split_object(std::string_view json);

} // namespace colloquy
