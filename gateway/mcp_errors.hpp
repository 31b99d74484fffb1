// Errors as a model can act on them: what is wrong, where, and what to call next.
#pragma once

#include "gateway/http_message.hpp"
#include "gateway/mcp_request.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace colloquy::gateway::mcp {

/// What a call is about: the same code may want another step.
enum class subject : std::uint8_t { conversation, database_session };

/// What helps against an error with this code; "" if nothing is known to.
std::string_view next_step(std::string_view code, subject about = subject::conversation) noexcept;

/// Of a reply that is a problem (RFC 9457). What the database said is fenced: any SQL can have it say anything.
std::string explain(const http_reply& problem, subject about = subject::conversation);

/// Between two marks that nobody can guess, with a word on what it is. `what`: "data that others have written".
std::string fenced(std::string_view what, std::string_view data);

/// Instead of an answer that cannot be given for its size.
answer too_large_answer(const request& of, const std::string& why, const std::string& next);

} // namespace colloquy::gateway::mcp
