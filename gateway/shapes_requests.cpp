// The shapes of what is sent.
#include "gateway/shapes.hpp"
#include "messages/session_requests.hpp"

namespace colloquy::gateway {
namespace {

using enum field_kind;

constexpr std::int64_t name_max = limits::name_chars_max;
constexpr std::int64_t ten_years_s = std::chrono::seconds(std::chrono::years{10}).count();
constexpr std::int64_t tokens_max = 1'000'000'000'000;
constexpr std::int64_t count_max = std::int64_t{1} << 53; // what every JSON reader holds exactly

constexpr std::string_view roles[] = {"system", "user", "assistant", "tool"};
constexpr std::string_view statuses[] = {"active", "paused", "completed"};
constexpr std::string_view session_modes[] = {"auto", "manual"};
constexpr std::string_view participant_roles[] = {"reader", "writer"};
constexpr std::string_view event_kinds[] = {"message", "tool", "custom"};
constexpr std::string_view policies[] = {"enqueue", "reject", "interrupt", "rollback"};
constexpr std::string_view scopes[] = {"read", "write", "admin"};

constexpr field_rule message_fields[] = {
    {.name = "role", .kind = word, .is_required = true, .words = roles, .about = "Who says it.", .example = "\"user\""},
    {.name = "content",
     .kind = content,
     .is_required = true,
     .about = "A string, or an array of typed parts; given back exactly as it came.",
     .example = "\"What is the weather in Oslo?\""},
    {.name = "tool_calls",
     .kind = call_list,
     .about = "Of an assistant's message: the calls that it makes, each with an id."},
    {.name = "tool_call_id",
     .kind = text,
     .least = 1,
     .most = name_max,
     .about = "Of a tool's message: the call that it answers."},
    {.name = "name", .kind = text, .least = 1, .most = name_max, .about = "Who or what speaks."},
    {.name = "tokens",
     .kind = integer,
     .least = 0,
     .most = INT32_MAX,
     .about = "How many tokens it counts for; else they are estimated."},
    {.name = "metadata", .kind = json_object, .most = limits::metadata_bytes_max, .about = "The caller's own."},
};

constexpr field_rule labels_field = {.name = "labels",
                                     .kind = text_list,
                                     .most = limits::session_labels_max,
                                     .about = "A set of strings of 1 to 255 characters, to find sessions by.",
                                     .example = "[\"vip\"]"};
constexpr field_rule mode_field = {.name = "mode",
                                   .kind = word,
                                   .words = session_modes,
                                   .about = "auto: the agent answers; manual: a person does. Kept, no more."};
constexpr field_rule consumption_field = {
    .name = "consumption_offsets",
    .kind = offset_map,
    .most = limits::consumption_offset_max,
    .about = "By client, how far it has read; of those named alone, null takes it away.",
    .members_max = limits::session_consumers_max};

constexpr field_rule session_name_fields[] = {
    {.name = "user_id",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = name_max,
     .about = "Whose conversation it is.",
     .example = "\"ada\"",
     .other_name = "customer_id"},
    {.name = "customer_id", .kind = text, .least = 1, .most = name_max, .about = "The same as user_id."},
    {.name = "agent_id",
     .kind = text,
     .may_be_null = true,
     .least = 1,
     .most = name_max,
     .about = "The agent that takes part."},
    {.name = "external_id",
     .kind = text,
     .may_be_null = true,
     .least = 1,
     .most = name_max,
     .about = "The caller's own name for the session, unique within the tenant."},
    {.name = "title", .kind = text, .may_be_null = true, .most = limits::title_chars_max, .about = "For people."},
    {.name = "metadata", .kind = json_object, .most = limits::metadata_bytes_max, .about = "The caller's own."},
    {.name = "expires_in_s",
     .kind = integer,
     .may_be_null = true,
     .least = 1,
     .most = ten_years_s,
     .about = "Seconds until it expires; null: never. Unless said, 86400."},
    labels_field,
    mode_field,
    consumption_field,
};

constexpr field_rule update_session_fields[] = {
    {.name = "title",
     .kind = text,
     .may_be_null = true,
     .most = limits::title_chars_max,
     .about = "null takes it away.",
     .example = "\"Trip to Oslo\""},
    {.name = "metadata",
     .kind = json_object,
     .most = limits::metadata_bytes_max,
     .about = "Instead of what was there."},
    {.name = "status", .kind = word, .words = statuses, .about = "Leaving active cancels a running turn."},
    {.name = "expires_in_s",
     .kind = integer,
     .may_be_null = true,
     .least = 1,
     .most = ten_years_s,
     .about = "Seconds from now; null: never."},
    labels_field,
    mode_field,
    consumption_field,
};

constexpr field_rule fork_fields[] = {
    {.name = "at_offset",
     .kind = integer,
     .is_required = true,
     .least = 0,
     .most = count_max,
     .about = "The last offset that both share.",
     .example = "1"},
};

constexpr field_rule set_participant_fields[] = {
    {.name = "role",
     .kind = word,
     .is_required = true,
     .words = participant_roles,
     .about = "A writer also appends and runs turns.",
     .example = "\"reader\""},
};

constexpr field_rule append_messages_fields[] = {
    {.name = "messages",
     .kind = message_list,
     .is_required = true,
     .least = 1,
     .most = limits::events_per_append_max,
     .about = "All or none of them are written, in this order."},
};

constexpr field_rule append_event_fields[] = {
    {.name = "kind",
     .kind = word,
     .is_required = true,
     .words = event_kinds,
     .about = "What kind of event.",
     .example = "\"custom\""},
    {.name = "data",
     .kind = any,
     .is_required = true,
     .about = "Any JSON, given back exactly as it came; of kind message, a message.",
     .example = "{\"step\": 1}"},
    {.name = "source",
     .kind = text,
     .least = 1,
     .most = name_max,
     .about = "Who or what it comes from. Frameworks say customer, customer_ui, human_agent, "
              "human_agent_on_behalf_of_ai_agent, ai_agent or system."},
    {.name = "trace_id", .kind = text, .least = 1, .most = name_max, .about = "The trace that it belongs to."},
};

constexpr field_rule start_turn_fields[] = {
    {.name = "policy",
     .kind = word,
     .words = policies,
     .about = "If one runs already: wait in line (enqueue, unless said), be refused, end it and keep what it wrote, or "
              "end it and hide what it wrote."},
    {.name = "lease_s",
     .kind = integer,
     .least = 1,
     .most = limits::lease_max.count(),
     .about = "How long it may go on without being renewed; unless said, 60."},
    {.name = "wait_s",
     .kind = integer,
     .least = 0,
     .most = limits::turn_wait_max.count(),
     .about = "How long to wait in line; unless said, 30."},
    {.name = "messages",
     .kind = message_list,
     .most = limits::events_per_append_max,
     .about = "Written when it starts, inside it."},
    {.name = "token_budget",
     .kind = integer,
     .least = 1,
     .most = limits::token_budget_max,
     .about = "Of the history; else its last 100 messages."},
};

constexpr field_rule post_delta_fields[] = {
    {.name = "text",
     .kind = text,
     .is_required = true,
     .about = "The next part of the reply.",
     .example = "\"Twelve de\""},
};

constexpr field_rule renew_turn_fields[] = {
    {.name = "lease_s",
     .kind = integer,
     .least = 1,
     .most = limits::lease_max.count(),
     .about = "From now; unless said, 60.",
     .example = "60"},
};

constexpr field_rule usage_fields[] = {
    {.name = "input_tokens", .kind = integer, .is_required = true, .least = 0, .most = tokens_max, .example = "120"},
    {.name = "output_tokens", .kind = integer, .is_required = true, .least = 0, .most = tokens_max, .example = "25"},
};
constexpr shape_rule usage_shape{"Usage", "What a run of the model used.", usage_fields};

constexpr field_rule complete_turn_fields[] = {
    {.name = "usage", .kind = shape, .shape = &usage_shape, .about = "Added to the session's total_tokens."},
    {.name = "messages", .kind = message_list, .most = limits::events_per_append_max, .about = "Its last messages."},
};

constexpr field_rule fail_turn_fields[] = {
    {.name = "reason",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = 1000,
     .about = "Kept in the status event.",
     .example = "\"the model timed out\""},
    {.name = "usage", .kind = shape, .shape = &usage_shape, .about = "Added to the session's total_tokens."},
};

constexpr field_rule bound(std::string_view name, std::string_view about) {
  return {.name = name, .kind = integer, .may_be_null = true, .least = 1, .most = count_max, .about = about};
}
constexpr field_rule quota_fields[] = {
    {.name = "requests_per_s",
     .kind = integer,
     .may_be_null = true,
     .least = 1,
     .most = count_max,
     .about = "Over time.",
     .example = "100"},
    bound("request_burst", "At once after a rest; unless set, as many as requests_per_s."),
    bound("sessions_max", "Sessions that are not erased."),
    bound("resident_sessions_max", "Sessions in memory."),
    bound("stored_bytes_max", "Bytes of events."),
    bound("running_turns_max", "Turns at a time."),
    bound("subscriptions_max", "Streams and long polls at a time."),
    bound("message_bytes_max", "Bytes of one message."),
    bound("connections_max", "HTTP connections at a time."),
};
constexpr shape_rule quotas_shape{"Quotas", "What a tenant may have; null or left out: no bound of its own.",
                                  quota_fields};

constexpr field_rule create_tenant_fields[] = {
    {.name = "id",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = 63,
     .about = "Of a-z, 0-9, - and _, beginning with a letter or digit.",
     .example = "\"acme\""},
    {.name = "title", .kind = text, .most = limits::title_chars_max, .about = "For people."},
    {.name = "quotas", .kind = shape, .shape = &quotas_shape, .about = "Unless set, there are no bounds."},
};

constexpr field_rule create_key_fields[] = {
    {.name = "name", .kind = text, .most = name_max, .about = "For people.", .example = "\"chat service\""},
    {.name = "scopes",
     .kind = word_list,
     .is_required = true,
     .least = 1,
     .most = 3,
     .words = scopes,
     .about = "What it may do.",
     .example = "[\"read\", \"write\"]"},
    {.name = "user_id", .kind = text, .least = 1, .most = name_max, .about = "It sees only what this user sees."},
    {.name = "expires_in_s",
     .kind = integer,
     .may_be_null = true,
     .least = 1,
     .most = ten_years_s,
     .about = "Unless set, never."},
};

constexpr field_rule rotate_key_fields[] = {
    {.name = "grace_s",
     .kind = integer,
     .least = 0,
     .most = 7 * 86400,
     .about = "How long the old key is valid yet; unless set, 0.",
     .example = "3600"},
};

constexpr field_rule resize_pool_fields[] = {
    {.name = "min", .kind = integer, .is_required = true, .least = 1, .most = 1000, .example = "5"},
    {.name = "max", .kind = integer, .is_required = true, .least = 2, .most = 1000, .example = "20"},
};

} // namespace

const shape_rule message_shape{"MessageInput", "One thing said.", message_fields};

namespace shapes {
const shape_rule create_session{"CreateSession", "A session to be made.", session_name_fields};
const shape_rule open_session{"OpenSession", "Used only if the session is made now.", session_name_fields};
const shape_rule update_session{"UpdateSession", "What is to change; the rest stays.", update_session_fields};
const shape_rule fork_session{"ForkSession", "Where the fork begins.", fork_fields};
const shape_rule set_participant{"SetParticipant", "How a user shares the session.", set_participant_fields};
const shape_rule append_messages{"AppendMessages", "Several messages at once.", append_messages_fields};
const shape_rule append_event{"AppendEvent", "An event to be written.", append_event_fields};
const shape_rule start_turn{"StartTurn", "How the turn is to begin.", start_turn_fields};
const shape_rule post_delta{"PostDelta", "A part of a reply, and whatever else is to be passed on with it.",
                            post_delta_fields, true};
const shape_rule renew_turn{"RenewTurn", "A lease from now.", renew_turn_fields};
const shape_rule complete_turn{"CompleteTurn", "How it ended.", complete_turn_fields};
const shape_rule fail_turn{"FailTurn", "Why it failed.", fail_turn_fields};
const shape_rule create_tenant{"CreateTenant", "A tenant to be made.", create_tenant_fields};
const shape_rule quotas = quotas_shape;
const shape_rule create_key{"CreateKey", "A key to be made.", create_key_fields};
const shape_rule rotate_key{"RotateKey", "How the old key ends.", rotate_key_fields};
const shape_rule resize_pool{"ResizePool", "How many connections.", resize_pool_fields};
} // namespace shapes

} // namespace colloquy::gateway
