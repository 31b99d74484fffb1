// The shapes of what is answered.
#include "gateway/shapes.hpp"
#include "messages/session_requests.hpp"

namespace colloquy::gateway::shapes {
namespace {

using enum field_kind;

constexpr std::string_view session_modes[] = {"auto", "manual"};
constexpr std::string_view session_statuses[] = {"active", "paused", "completed", "expired"};
constexpr std::string_view turn_statuses[] = {"queued",    "running",     "completed",   "failed",
                                              "cancelled", "interrupted", "rolled_back", "lost"};
constexpr std::string_view event_kinds[] = {"message", "tool", "status", "custom"};
constexpr std::string_view roles[] = {"system", "user", "assistant", "tool"};
constexpr std::string_view participant_roles[] = {"reader", "writer"};
constexpr std::string_view durabilities[] = {"accepted", "durable"};
constexpr std::string_view scopes[] = {"read", "write", "admin"};

constexpr field_rule must(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .about = about};
}
constexpr field_rule must_or_null(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .may_be_null = true, .about = about};
}
constexpr field_rule one_of(std::string_view name, std::span<const std::string_view> words, std::string_view about) {
  return {.name = name, .kind = word, .is_required = true, .words = words, .about = about};
}
constexpr field_rule list_of(std::string_view name, const shape_rule& shape, std::string_view about) {
  return {.name = name, .kind = shape_list, .is_required = true, .shape = &shape, .about = about};
}
constexpr field_rule cursor_field = must_or_null("next_cursor", text, "For the next page; null if this is the last.");

constexpr field_rule session_fields[] = {
    must("id", uuid, "UUIDv7."),
    must_or_null("external_id", text, "The caller's own name for it."),
    must("user_id", text, "Whose conversation it is."),
    must_or_null("agent_id", text, "The agent that takes part."),
    must_or_null("title", text, "For people."),
    one_of("status", session_statuses, "Only an active one is written to."),
    must("created_at", time, ""),
    must("updated_at", time, ""),
    must_or_null("expires_at", time, "null: never."),
    must("turn_count", integer, "Turns completed or failed."),
    must("total_tokens", integer, "The usage given when turns were completed or failed."),
    must("next_offset", integer, "Of the next event."),
    {.name = "durable_offset",
     .kind = integer,
     .is_required = true,
     .least = -1,
     .about = "The last durable event; -1 if there is none."},
    must("metadata", json_object, "The caller's own."),
    must_or_null("parent_id", uuid, "The session that it was forked from."),
    must_or_null("fork_offset", integer, "The last offset shared with that."),
    must("version", integer, "Counts the changes by PATCH, and of labels."),
    must("customer_id", text, "The same as user_id."),
    must("labels", text_list, "The caller's own, in order of their bytes."),
    one_of("mode", session_modes, "auto: the agent answers; manual: a person does."),
    {.name = "consumption_offsets",
     .kind = offset_map,
     .is_required = true,
     .most = limits::consumption_offset_max,
     .about = "By client, how far it has read.",
     .members_max = limits::session_consumers_max},
};

constexpr field_rule participant_fields[] = {
    must("user_id", text, "Who shares the session."),
    one_of("role", participant_roles, "A writer also appends and runs turns."),
};

constexpr field_rule message_fields[] = {
    must("offset", integer, "Position in the log."),
    must("created_at", time, "When it was accepted."),
    must_or_null("turn_id", uuid, "The turn that wrote it."),
    must_or_null("author", text, "The user who wrote it, if a token said."),
    one_of("role", roles, "Who says it."),
    must("content", content, "As it came."),
    {.name = "tool_calls", .kind = any, .about = "As they came."},
    {.name = "tool_call_id", .kind = text},
    {.name = "name", .kind = text},
    {.name = "tokens", .kind = integer},
    {.name = "metadata", .kind = json_object},
};

constexpr field_rule event_fields[] = {
    must("offset", integer, "Position in the log."),
    one_of("kind", event_kinds, "What kind of event."),
    must("created_at", time, "When it was accepted."),
    must_or_null("turn_id", uuid, "The turn that wrote it."),
    must_or_null("author", text, "The user who wrote it, if a token said."),
    must_or_null("source", text, "Who or what it comes from."),
    must_or_null("trace_id", text, "The trace that it belongs to."),
    must("data", any, "As it came; of kind message, the message."),
    {.name = "deleted", .kind = boolean, .about = "true: it was deleted, and is shown because that was asked for."},
};

constexpr field_rule appended_fields[] = {
    must("offsets", any, "An array: the offset of each, in order."),
    one_of("durability", durabilities, "What is certain now."),
};

constexpr field_rule usage_fields[] = {must("input_tokens", integer, ""), must("output_tokens", integer, "")};
constexpr shape_rule usage_shape{"TurnUsage", "What a run of the model used.", usage_fields};

constexpr field_rule turn_fields[] = {
    must("id", uuid, "UUIDv7."),
    must("number", integer, "Counts a session's turns from 1; 0 while it waits."),
    one_of("status", turn_statuses, ""),
    must_or_null("trace_id", text, "The caller's."),
    must_or_null("started_at", time, "null while it waits."),
    must_or_null("ended_at", time, ""),
    must_or_null("lease_expires_at", time, "Of a running turn: it is lost then unless renewed."),
    {.name = "usage",
     .kind = shape,
     .is_required = true,
     .may_be_null = true,
     .shape = &usage_shape,
     .about = "Given at its end."},
};

constexpr field_rule history_fields[] = {
    list_of("items", message, "What was said before, oldest first."),
    must("trimmed", integer, "Messages left out."),
};
constexpr shape_rule history_shape{"History", "What a model is given.", history_fields};
constexpr field_rule started_turn_fields[] = {
    {.name = "turn", .kind = shape, .is_required = true, .shape = &turn, .about = "It is the caller's now."},
    {.name = "history",
     .kind = shape,
     .is_required = true,
     .shape = &history_shape,
     .about = "With the turn's own messages."},
};
constexpr field_rule delta_passed_fields[] = {must("listeners", integer, "Who heard it.")};

constexpr field_rule bucket_fields[] = {must("from", time, ""), must("messages", integer, ""),
                                        must("turns", integer, "")};
constexpr shape_rule bucket_shape{"AnalyticsBucket", "An hour, or a day in a time of more than two.", bucket_fields};
constexpr field_rule analytics_fields[] = {
    must("sessions_active", integer, "Made in that time, by their status now."),
    must("sessions_paused", integer, ""),
    must("sessions_completed", integer, ""),
    must("sessions_expired", integer, ""),
    must("turns_completed", integer, "Ended in that time."),
    must("turns_failed", integer, ""),
    must("turns_otherwise", integer, "Cancelled, interrupted, rolled back, lost."),
    must("input_tokens", integer, ""),
    must("output_tokens", integer, ""),
    must("messages", integer, ""),
    must("turn_time_median_s", any, "A number of seconds."),
    must("turn_time_mean_s", any, "A number of seconds."),
    must("turn_time_max_s", any, "A number of seconds."),
    list_of("over_time", bucket_shape, "Without the empty ones."),
};

constexpr field_rule quotas_reply_fields[] = {
    must_or_null("requests_per_s", integer, ""),    must_or_null("request_burst", integer, ""),
    must_or_null("sessions_max", integer, ""),      must_or_null("resident_sessions_max", integer, ""),
    must_or_null("stored_bytes_max", integer, ""),  must_or_null("running_turns_max", integer, ""),
    must_or_null("subscriptions_max", integer, ""), must_or_null("message_bytes_max", integer, ""),
    must_or_null("connections_max", integer, ""),
};
constexpr shape_rule quotas_reply_shape{"TenantQuotas", "null: no bound of its own.", quotas_reply_fields};
constexpr field_rule tenant_use_fields[] = {
    must("sessions", integer, "That are not erased."),
    must("stored_bytes", integer, "Of events."),
};
constexpr shape_rule tenant_use_shape{"TenantUse", "What a tenant has, counted with a second's delay.",
                                      tenant_use_fields};
constexpr field_rule tenant_fields[] = {
    must("id", text, ""),
    must("title", text, "For people."),
    must("created_at", time, ""),
    {.name = "quotas", .kind = shape, .is_required = true, .shape = &quotas_reply_shape},
    {.name = "used", .kind = shape, .is_required = true, .shape = &tenant_use_shape},
};
constexpr field_rule quotas_with_usage_fields[] = {
    {.name = "quotas", .kind = shape, .is_required = true, .shape = &quotas_reply_shape},
    {.name = "used", .kind = shape, .is_required = true, .shape = &tenant_use_shape},
};

constexpr field_rule key_fields[] = {
    must("id", uuid, ""),
    must("prefix", text, "What the key begins with behind cq_, to know it by."),
    must("name", text, "For people."),
    {.name = "scopes", .kind = word_list, .is_required = true, .words = scopes},
    must_or_null("user_id", text, "It sees only what this user sees."),
    must("created_at", time, ""),
    must_or_null("expires_at", time, "null: never."),
    must_or_null("last_used_at", time, "With some delay."),
    must_or_null("revoked_at", time, ""),
};
constexpr field_rule made_key_fields[] = {
    must("key", text, "The key itself. It is shown only now."),
    {.name = "record", .kind = shape, .is_required = true, .shape = &key},
};

constexpr field_rule audit_entry_fields[] = {
    must("id", uuid, ""),
    must("at", time, ""),
    must("actor", text, "Who: key:PREFIX, jwt:SUBJECT, admin, local or service."),
    must_or_null("request_id", text, ""),
    must("action", text, "What was done."),
    must("target_kind", text, "To what kind of thing."),
    must("target", text, "To which."),
};
constexpr shape_rule audit_entry_shape{"AuditEntry", "Who did what to which thing, never what is in it.",
                                       audit_entry_fields};

constexpr field_rule erased_fields[] = {
    must("sessions", integer, ""),     must("events", integer, ""),
    must("turns", integer, ""),        must("idempotency_keys", integer, ""),
    must("participants", integer, ""), must("events_kept_for_forks", integer, "What forks still show."),
};

constexpr field_rule imported_session_fields[] = {
    must_or_null("exported_id", text, "Its id in the export."),
    must("id", uuid, "Its id here."),
    must("events", integer, ""),
    must("turns", integer, ""),
};
constexpr shape_rule imported_session_shape{"ImportedSession", "A session that was made.", imported_session_fields};
constexpr field_rule imported_fields[] = {list_of("sessions", imported_session_shape, "")};

constexpr field_rule state_fields[] = {must("state", text, ""), must("count", integer, ""),
                                       must("oldest_s", any, "A number of seconds.")};
constexpr shape_rule state_shape{"ServerState", "Connections in one state, as PostgreSQL counts them.", state_fields};
constexpr field_rule at_server_fields[] = {
    must("total", integer, ""),
    must("active", integer, ""),
    must("idle", integer, ""),
    must("idle_in_transaction", integer, ""),
    must("oldest_s", any, "A number of seconds."),
    list_of("states", state_shape, ""),
};
constexpr shape_rule at_server_shape{"ServerView", "Our connections as PostgreSQL counts them.", at_server_fields};
constexpr field_rule backend_fields[] = {
    must("backend_pid", integer, ""),
    must("state", text, ""),
    must("age_s", any, "A number of seconds."),
    must("idle_s", any, "A number of seconds."),
    must("units", integer, "Under way."),
    must_or_null("tenant", text, "Whose lease."),
    must_or_null("purpose", text, "Of the lease."),
};
constexpr shape_rule backend_shape{"Backend", "One connection.", backend_fields};
constexpr field_rule pool_fields[] = {
    must("min", integer, ""),
    must("max", integer, ""),
    must("total", integer, "Ready ones."),
    must("idle", integer, ""),
    must("active", integer, ""),
    must("leased", integer, ""),
    must("connecting", integer, ""),
    must("waiting", integer, "Requests."),
    must("paused", boolean, ""),
    must("draining", boolean, ""),
    must("address", text, ""),
    must("server_version", integer, ""),
    must("uses_tls", boolean, ""),
    must_or_null("last_failure", text, "Why connecting failed last."),
    list_of("backends", backend_shape, ""),
    {.name = "at_server", .kind = shape, .is_required = true, .shape = &at_server_shape},
};

constexpr field_rule health_fields[] = {must("status", text, "ok")};
constexpr field_rule readiness_fields[] = {
    must("status", text, "ready, or not_ready"),
    must_or_null("reason", text, "Why it is not ready."),
};

constexpr field_rule mistake_fields[] = {
    {.name = "pointer", .kind = text, .about = "Where in the body (JSON pointer)."},
    {.name = "parameter", .kind = text, .about = "Which parameter of the path or query."},
    {.name = "header", .kind = text, .about = "Which header."},
    must("detail", text, "What is wrong, and what is allowed."),
};
constexpr shape_rule mistake_shape{"Mistake", "One thing that is wrong with a request.", mistake_fields};
constexpr field_rule problem_fields[] = {
    must("type", text, "about:blank"),
    must("status", integer, "As in the status line."),
    must("title", text, "The status in words."),
    must("detail", text, "What happened, and what is allowed."),
    must("code", text, "Stable: what a program decides by."),
    must("request_id", text, "To find it in the log."),
    {.name = "errors", .kind = shape_list, .shape = &mistake_shape, .about = "Every mistake that was found."},
    {.name = "offsets", .kind = any, .about = "Of an append that is accepted and was not durable in time."},
    {.name = "sqlstate", .kind = text, .about = "Of SQL that the server refused, as all that follows."},
    {.name = "sql_detail", .kind = text, .about = "What the server adds."},
    {.name = "hint", .kind = text, .about = "What may help."},
    {.name = "position", .kind = integer, .about = "Where in the statement, in characters from 1."},
    {.name = "transaction_status", .kind = text, .about = "As in the reply to a statement."},
    {.name = "pinned", .kind = any, .about = "As in the reply to a statement."},
    {.name = "notices", .kind = any, .about = "As in the reply to a statement."},
};

/// Exports of versions before have not all that a session says now.
std::span<const field_rule> fields_of_exports() {
  static const std::vector<field_rule> fields = [] {
    std::vector<field_rule> all(std::begin(session_fields), std::end(session_fields));
    for (auto& each : all)
      for (const std::string_view later : {"customer_id", "labels", "mode", "consumption_offsets"})
        each.is_required = each.is_required && each.name != later;
    return all;
  }();
  return fields;
}

template <const shape_rule& Item>
inline constexpr field_rule page_fields[] = {list_of("items", Item, ""), cursor_field};

constexpr field_rule message_page_fields[] = {
    list_of("items", message, ""),
    cursor_field,
    {.name = "trimmed", .kind = integer, .about = "With token_budget: messages left out."},
};

} // namespace

const shape_rule session{"Session", "One conversation and its life.", session_fields};
const shape_rule exported_session{"ExportedSession", "A session as this version or one before exports it.",
                                  fields_of_exports()};
const shape_rule session_page{"SessionPage", "Sessions, newest first.", page_fields<session>};
const shape_rule participant{"Participant", "A user who shares a session beside its owner.", participant_fields};
const shape_rule participant_page{"ParticipantPage", "All who share the session.", page_fields<participant>};
const shape_rule message{"Message", "A message in the log.", message_fields};
const shape_rule message_page{"MessagePage", "Messages by offset.", message_page_fields};
const shape_rule event{"Event", "An entry of the log.", event_fields};
const shape_rule event_page{"EventPage", "Events by offset.", page_fields<event>};
const shape_rule appended{"Appended", "Where it was written.", appended_fields};
const shape_rule turn{"Turn", "One run of the agent.", turn_fields};
const shape_rule turn_page{"TurnPage", "Turns, newest first, those who wait before them.", page_fields<turn>};
const shape_rule started_turn{"StartedTurn", "The turn and what was said before.", started_turn_fields};
const shape_rule delta_passed{"DeltaPassed", "Who heard it.", delta_passed_fields};
const shape_rule analytics{"Analytics", "What a tenant's sessions did.", analytics_fields};
const shape_rule tenant{"Tenant", "A customer of the host.", tenant_fields};
const shape_rule tenant_page{"TenantPage", "Tenants by id.", page_fields<tenant>};
const shape_rule quotas_with_usage{"QuotasAndUse", "What a tenant may have and has.", quotas_with_usage_fields};
const shape_rule key{"Key", "An API key, without its secret.", key_fields};
const shape_rule key_page{"KeyPage", "Keys, newest first.", page_fields<key>};
const shape_rule made_key{"MadeKey", "A key that was just made.", made_key_fields};
const shape_rule audit_page{"AuditPage", "Newest first.", page_fields<audit_entry_shape>};
const shape_rule erased{"Erased", "What was taken away for good.", erased_fields};
const shape_rule imported{"Imported", "What was made of an export.", imported_fields};
const shape_rule pool{"Pool", "The connections to PostgreSQL.", pool_fields};
const shape_rule health{"Health", "It is alive.", health_fields};
const shape_rule readiness{"Readiness", "Whether it takes requests.", readiness_fields};
const shape_rule problem{"Problem", "RFC 9457.", problem_fields};

} // namespace colloquy::gateway::shapes
