// Messages that are plain text, for hosts that would rather not make and read JSON themselves.
#pragma once

#include "messages/error.hpp"
#include "messages/event.hpp"

#include <string>
#include <string_view>

namespace colloquy {

/// {"role": ..., "content": the text}. Errors: invalid_request (no role; a tool's message, which answers a call;
/// invalid UTF-8, NUL); payload_too_large.
result<event_input> text_message(message_role role, std::string_view text);

/// The text of a message: its content if that is a string, else the texts of its parts one after the other. Empty for
/// whatever has none.
std::string text_of(const event_input& message);

} // namespace colloquy
