// Database sessions that were opened over the Model Context Protocol, and what they see.
#pragma once

#include "gateway/mcp_request.hpp"
#include "messages/database_session_requests.hpp"

#include <string>

namespace colloquy::gateway::mcp {

/// Those that end with their client. Not waited for.
void close_database_sessions(edge& service, peer& whose);

/// {"tables": [...], "truncated"}. Errors: forbidden, if there are none here; of the database sessions.
task<result<std::string>> describe_schema(request& of, database_access access);

} // namespace colloquy::gateway::mcp
