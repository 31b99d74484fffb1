// Calls about database sessions.
#include "gateway/operation_fields.hpp"
#include "messages/database_session_requests.hpp"

namespace colloquy::gateway {
namespace {

using enum error_code;

constexpr field_rule handle_parameter =
    in_path("id", text, "The database session.", "\"5f0c7e5a4b7d4c1e9a3b2c1d0e9f8a7b\"");
constexpr field_rule of_handle[] = {handle_parameter};
constexpr field_rule notifications_query[] = {
    whole("wait_s", 0, limits::notifications_wait_max.count(), "How long to wait for one if there is none."),
};

constexpr error_code opening[] = {forbidden, not_found, session_expired, not_owner, idempotency_mismatch};
constexpr error_code executing[] = {not_found, session_expired, forbidden, conflict, deadline_exceeded};
constexpr error_code using_it[] = {not_found, session_expired, forbidden};

const operation all[] = {
    {.id = operation_id::open_database_session,
     .name = "openDatabaseSession",
     .method = "POST",
     .path = "/v1/database-sessions",
     .tag = "Database sessions",
     .summary = "Open a database session",
     .about =
         "SQL on a connection of the tenant's own login role, which sees the tenant's own schema and views of its "
         "sessions, events and turns, and nothing else. Settings, prepared statements, temporary tables and an open "
         "transaction last from call to call. It belongs to the key that opened it, or to the sub of the token "
         "(to that token alone if it has none); to any other it is not_found. Unused until expires_at it is given "
         "back. access read_write needs the scope write, also to execute. With an Idempotency-Key the same session is "
         "answered again while it lasts. Not for a token or key of one user.",
     .needs = access::read,
     .takes = body_kind::maybe,
     .body = &shapes::open_database_session,
     .success = 201,
     .reply = &shapes::database_session,
     .errors = opening,
     .traits = {.is_repeatable = true}},
    {.id = operation_id::execute_sql,
     .name = "executeSql",
     .method = "POST",
     .path = "/v1/database-sessions/{id}/execute",
     .tag = "Database sessions",
     .summary = "Run one statement",
     .about = "Or, with cursor, go on with the rows of the last one. A statement that the server refuses is a problem "
              "with its sqlstate; past timeout_s it is cancelled (504), and so it is if its client leaves. While it "
              "holds nothing but what can be done "
              "again, an idle session lends its connection to others; pinned tells when it does not, and why.",
     .needs = access::read,
     .path_fields = of_handle,
     .takes = body_kind::shape,
     .body = &shapes::execute_sql,
     .reply = &shapes::sql_outcome,
     .errors = executing,
     .traits = {.may_wait = true}},
    {.id = operation_id::read_database_notifications,
     .name = "readDatabaseNotifications",
     .method = "GET",
     .path = "/v1/database-sessions/{id}/notifications",
     .tag = "Database sessions",
     .summary = "Read notifications",
     .about =
         "What NOTIFY has sent to channels that the session listens to, from the tenant's own database sessions with "
         "access read_write. Each is given once.",
     .needs = access::read,
     .path_fields = of_handle,
     .query_fields = notifications_query,
     .reply = &shapes::database_notifications,
     .errors = using_it,
     .traits = {.may_wait = true}},
    {.id = operation_id::close_database_session,
     .name = "closeDatabaseSession",
     .method = "DELETE",
     .path = "/v1/database-sessions/{id}",
     .tag = "Database sessions",
     .summary = "Close a database session",
     .about = "What is open is rolled back.",
     .needs = access::read,
     .path_fields = of_handle,
     .success = 204,
     .errors = using_it},
};

} // namespace

std::span<const operation> database_operations() {
  return all;
}

} // namespace colloquy::gateway
