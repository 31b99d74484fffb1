// What must hold of whatever a call was read as.
#pragma once

#include "gateway/call_reader.hpp"
#include "gateway/http_message.hpp"
#include "gateway/import_reader.hpp"
#include "gateway/operations.hpp"

#include <string_view>

namespace colloquy::fuzz {

/// The values keep to the rules, JSON among them is a piece of `body`; or there is at least one mistake, told in text
/// that a reply can hold. Ends the program if not.
void check_reading(const gateway::operation& of, const gateway::call_reading& reading, std::string_view body,
                   const gateway::size_limits& limits);

/// Sessions can be made as they were read, and their logs can be appended piece by piece; or mistakes as above.
void check_import(const gateway::import_reading& reading, std::string_view body, const gateway::size_limits& limits);

/// As http says it: JSON that keeps to our own rules.
void check_problem(const gateway::http_reply& reply, std::string_view of);

} // namespace colloquy::fuzz
