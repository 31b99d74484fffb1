// The shapes of database sessions, sent and answered.
#include "gateway/shapes.hpp"
#include "messages/database_session_requests.hpp"

namespace colloquy::gateway::shapes {
namespace {

using enum field_kind;

constexpr std::string_view accesses[] = {"read_only", "read_write"};
constexpr std::string_view parkings[] = {"auto", "never"};
constexpr std::string_view statuses[] = {"idle", "in_transaction", "failed", "active"};

constexpr field_rule must(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .about = about};
}
constexpr field_rule whole(std::string_view name, std::int64_t least, std::int64_t most, std::string_view about) {
  return {.name = name, .kind = integer, .least = least, .most = most, .about = about};
}

constexpr field_rule open_fields[] = {
    {.name = "access", .kind = word, .words = accesses, .about = "Unless said, read_only."},
    {.name = "session_id", .kind = uuid, .about = "A session that it serves, for the audit log; it must be there."},
    whole("idle_timeout_s", 1, limits::database_session_idle_max.count(),
          "Unused for so long it is given back; unless said, as the service is set up (5 minutes)."),
    {.name = "parking",
     .kind = word,
     .words = parkings,
     .about = "never: it keeps its connection, whatever it holds. Unless said, auto."},
};
constexpr field_rule opened_fields[] = {
    must("id", text, "To be kept to oneself."),
    {.name = "access", .kind = word, .is_required = true, .words = accesses},
    must("expires_at", time, "Unless it is used before."),
};
constexpr field_rule execute_fields[] = {
    {.name = "sql",
     .kind = text,
     .least = 1,
     .most = limits::sql_bytes_max,
     .about = "One statement. Either this or cursor.",
     .example = R"("SELECT id, title FROM sessions WHERE user_id = $1")"},
    {.name = "params",
     .kind = any,
     .about = "An array of values for $1, $2 and so on. Strings and nulls take the type that the statement gives them; "
              "numbers are integer, bigint or numeric, whichever is the first that holds them; arrays and objects are "
              "jsonb.",
     .example = R"(["ada"])"},
    whole("max_rows", 1, limits::sql_rows_max, "Unless said, 1000."),
    whole("max_bytes", limits::sql_result_bytes_min, limits::sql_result_bytes_max,
          "Of values; unless said, 1 MiB. A row that is larger is refused (54000)."),
    whole("timeout_s", 1, limits::sql_timeout_max.count(), "Unless said, 30."),
    {.name = "cursor", .kind = text, .least = 1, .most = 100, .about = "Of the last reply, for more of its rows."},
};
constexpr field_rule column_fields[] = {must("name", text, ""), must("type", text, "As the server names it.")};
constexpr shape_rule column_shape{"SqlColumn", "A column.", column_fields};
constexpr field_rule notice_fields[] = {must("severity", text, ""), must("sqlstate", text, ""),
                                        must("message", text, "")};
constexpr shape_rule notice_shape{"SqlNotice", "What the server said beside.", notice_fields};
constexpr field_rule pinned_fields[] = {
    must("is_pinned", boolean, "Whether it keeps its connection while it is idle."),
    {.name = "reason", .kind = text, .is_required = true, .may_be_null = true, .about = "Why."},
};
constexpr shape_rule pinned_shape{"Pinned", "Whether the session lends its connection to others while it is idle.",
                                  pinned_fields};
constexpr field_rule outcome_fields[] = {
    {.name = "columns", .kind = shape_list, .is_required = true, .shape = &column_shape},
    must("rows", any, "An array of arrays: numbers, booleans and JSON as they are, all else as text."),
    must("row_count", integer, "Rows in this reply; of a statement that gives none, those that it has touched."),
    {.name = "command", .kind = text, .is_required = true, .may_be_null = true, .about = "As in INSERT 0 3."},
    must("truncated", boolean, "Whether there are more rows."),
    {.name = "cursor", .kind = text, .is_required = true, .may_be_null = true, .about = "For more rows."},
    {.name = "transaction_status", .kind = word, .is_required = true, .words = statuses},
    {.name = "pinned", .kind = shape, .is_required = true, .shape = &pinned_shape},
    {.name = "notices", .kind = shape_list, .is_required = true, .shape = &notice_shape},
};
constexpr field_rule notification_fields[] = {must("channel", text, ""), must("payload", text, "")};
constexpr shape_rule notification_shape{"DatabaseNotification", "What NOTIFY has sent.", notification_fields};
constexpr field_rule notifications_fields[] = {
    {.name = "notifications", .kind = shape_list, .is_required = true, .shape = &notification_shape},
    must("missed_some", boolean, "Too many came since the last reply, or nobody listened for a moment."),
};

} // namespace

const shape_rule open_database_session{"OpenDatabaseSession", "What it is for.", open_fields};
const shape_rule execute_sql{"ExecuteSql", "A statement, or more rows of the last one.", execute_fields};
const shape_rule database_session{"DatabaseSession", "A session with the database.", opened_fields};
const shape_rule sql_outcome{"SqlOutcome", "What became of a statement.", outcome_fields};
const shape_rule database_notifications{"DatabaseNotifications", "What has come since the last reply.",
                                        notifications_fields};

} // namespace colloquy::gateway::shapes
