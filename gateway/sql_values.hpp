// Database sessions as JSON: what goes in as parameters, what comes out as rows. HTTP and MCP say both in the same way.
#pragma once

#include "gateway/http_message.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/principal.hpp"
#include "messages/database_session_requests.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// Of a JSON array: null, true and false, numbers, strings; arrays and objects are JSON. Errors: invalid_request.
result<std::vector<sql_parameter>> read_sql_parameters(std::string_view json);

/// {columns, rows, row_count, truncated, cursor, transaction_status, pinned, notices}; of one that was not refused.
void write_sql_outcome(json_writer& to, const sql_outcome& outcome);

/// Numbers, booleans and JSON as they are; all else as text.
void write_sql_value(json_writer& to, const std::optional<std::string>& value, sql_value_kind kind);

/// What became of a refused one, for callers: by its SQLSTATE.
error_code code_of(const sql_refusal& refused);

/// A problem with what the server said: sqlstate, hint, position and the state of the session.
http_reply make_sql_problem(const sql_outcome& outcome, const std::string& request_id);

/// To whom a database session belongs: a key, or the subject of a token, whichever of its tokens it comes with; of a
/// token that has no subject, that token alone. Errors: forbidden, for who sees one user's things alone.
result<database_session_owner> database_owner_of(const principal& who);

} // namespace colloquy::gateway
