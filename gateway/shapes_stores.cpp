// The shapes of customers and context variables, sent and answered.
#include "gateway/shapes.hpp"
#include "messages/context_variable_requests.hpp"
#include "messages/limits.hpp"

namespace colloquy::gateway::shapes {
namespace {

using enum field_kind;

constexpr std::int64_t name_max = limits::name_chars_max;

constexpr field_rule must(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .about = about};
}
constexpr field_rule must_or_null(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .may_be_null = true, .about = about};
}
constexpr field_rule id_field = {
    .name = "id", .kind = text, .least = 1, .most = name_max, .about = "Unless said, one is made."};
constexpr field_rule tags_field = {
    .name = "tags", .kind = text_list, .most = tags_max, .about = "Of 1 to 255 characters each, kept in this order."};
constexpr field_rule extra_field = {
    .name = "extra", .kind = json_object, .most = limits::metadata_bytes_max, .about = "The caller's own."};
constexpr field_rule optional_text(std::string_view name, std::string_view about, std::string_view example = {}) {
  return {.name = name,
          .kind = text,
          .may_be_null = true,
          .most = limits::title_chars_max,
          .about = about,
          .example = example};
}

constexpr field_rule create_customer_fields[] = {
    id_field,
    {.name = "name",
     .kind = text,
     .is_required = true,
     .most = limits::title_chars_max,
     .about = "For people.",
     .example = R"("Ada")"},
    extra_field,
    tags_field,
};
constexpr field_rule update_customer_fields[] = {
    {.name = "name", .kind = text, .most = limits::title_chars_max, .about = "For people.", .example = R"("Ada")"},
    extra_field,
};
constexpr field_rule add_tag_fields[] = {
    {.name = "tag",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = name_max,
     .about = "One that is there already is not given again.",
     .example = R"("vip")"},
};

constexpr field_rule create_variable_fields[] = {
    id_field,
    {.name = "name",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = name_max,
     .about = "What it is called.",
     .example = R"("plan")"},
    optional_text("description", "What it says."),
    optional_text("tool_id", "What can find a new value."),
    optional_text("freshness_rules",
                  "Cron, in UTC: a value is stale from the first tick after its last change. null: never.",
                  R"("0 0 * * *")"),
    tags_field,
};
constexpr field_rule update_variable_fields[] = {
    {.name = "name", .kind = text, .least = 1, .most = name_max, .about = "What it is called.", .example = R"("plan")"},
    optional_text("description", "null takes it away."),
    optional_text("tool_id", "null takes it away."),
    optional_text("freshness_rules", "null: never stale."),
};
constexpr field_rule put_value_fields[] = {
    {.name = "data", .kind = any, .is_required = true, .about = "Any JSON.", .example = R"({"plan": "gold"})"},
};

constexpr field_rule customer_fields[] = {
    must("id", text, ""),
    must_or_null("creation_utc", text, ""),
    must("name", text, "For people."),
    must("extra", json_object, "The caller's own."),
    must("tags", text_list, "In the order in which they were given."),
};
constexpr field_rule variable_fields[] = {
    must("id", text, ""),
    must_or_null("creation_utc", text, ""),
    must("name", text, "What it is called."),
    must_or_null("description", text, ""),
    must_or_null("tool_id", text, "What can find a new value."),
    must_or_null("freshness_rules", text, "Cron, in UTC; null: never stale."),
    must("tags", text_list, "In the order in which they were given."),
};
constexpr field_rule value_fields[] = {
    must("key", text, "A customer's id, tag:ID, agent:ID, DEFAULT, or any other."),
    must("data", any, "As it was put."),
    must("last_modified", text, "When it was last put."),
    must("is_stale", boolean, "Whether a tick of the variable's rule has come since."),
};
constexpr field_rule looked_up_fields[] = {
    {.name = "value",
     .kind = shape,
     .is_required = true,
     .may_be_null = true,
     .shape = &context_value,
     .about = "null: there is none."},
};
constexpr field_rule cursor_field = must_or_null("next_cursor", text, "For the next page; null if this is the last.");
template <const shape_rule& Item>
inline constexpr field_rule page_fields[] = {{.name = "items", .kind = shape_list, .is_required = true, .shape = &Item},
                                             cursor_field};
constexpr field_rule tags_fields[] = {must("items", text_list, "In the order in which they were given."), cursor_field};

} // namespace

const shape_rule create_customer{"CreateCustomer", "A customer to be made.", create_customer_fields};
const shape_rule update_customer{"UpdateCustomer", "What is to change; the rest stays.", update_customer_fields};
const shape_rule add_tag{"AddTag", "A tag to be given.", add_tag_fields};
const shape_rule create_context_variable{"CreateContextVariable", "A variable to be made.", create_variable_fields};
const shape_rule update_context_variable{"UpdateContextVariable", "What is to change; the rest stays.",
                                         update_variable_fields};
const shape_rule put_context_value{"PutContextValue", "What it is now.", put_value_fields};
const shape_rule customer{"Customer", "One whom agents talk to.", customer_fields};
const shape_rule customer_page{"CustomerPage", "Customers, oldest first.", page_fields<customer>};
const shape_rule tag_page{"TagPage", "All at once: at most 100.", tags_fields};
const shape_rule context_variable{"ContextVariable", "What an agent is told about whom it talks to.", variable_fields};
const shape_rule context_variable_page{"ContextVariablePage", "Variables, oldest first.",
                                       page_fields<context_variable>};
const shape_rule context_value{"ContextValue", "A variable's value under one key.", value_fields};
const shape_rule context_value_page{"ContextValuePage", "A variable's values.", page_fields<context_value>};
const shape_rule looked_up_value{"LookedUpValue",
                                 "The first there is of the customer's own value, those of the "
                                 "customer's tags, the agent's, and DEFAULT.",
                                 looked_up_fields};

} // namespace colloquy::gateway::shapes
