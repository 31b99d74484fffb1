// What a rule allows, in words.
#include "gateway/field_reader.hpp"
#include "messages/limits.hpp"
#include "messages/nearest_name.hpp"

namespace colloquy::gateway {
namespace {

std::string range_text(const field_rule& rule, std::string_view unit) {
  if (rule.least <= 0 && rule.most == INT64_MAX)
    return "";
  if (rule.most == INT64_MAX)
    return " of at least " + std::to_string(rule.least) + std::string(unit);
  if (rule.least <= 0)
    return " of at most " + std::to_string(rule.most) + std::string(unit);
  return " of " + std::to_string(rule.least) + " to " + std::to_string(rule.most) + std::string(unit);
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (const auto& word : words)
    out += (out.empty() ? "" : ", ") + std::string(word);
  return out;
}

std::string integer_range(const field_rule& rule) {
  if (rule.most == INT64_MAX)
    return rule.least == INT64_MIN ? "" : ", " + std::to_string(rule.least) + " or more";
  return ", " + std::to_string(rule.least) + " to " + std::to_string(rule.most);
}

static_assert(limits::sort_fields_max == 16);

} // namespace

std::string suggestion(std::string_view wrong, const std::vector<std::string>& known) {
  const std::vector<std::string_view> names(known.begin(), known.end());
  if (const auto near = nearest_name(wrong, names); !near.empty())
    return "did you mean \"" + std::string(near) + "\"?";
  std::string out = known.empty() ? "none is allowed" : "allowed are ";
  for (const auto& name : known)
    out += (&name == &known.front() ? "" : ", ") + name;
  return out;
}

std::string suggestion(std::string_view wrong, std::span<const field_rule> fields) {
  std::vector<std::string> known;
  for (const auto& rule : fields)
    known.emplace_back(rule.name);
  return suggestion(wrong, known);
}

std::string allowed_by(const field_rule& rule) {
  std::string out;
  switch (rule.kind) {
  case field_kind::text:
    out = "a string" + range_text(rule, " characters");
    break;
  case field_kind::integer:
    out = "a whole number" + integer_range(rule);
    break;
  case field_kind::boolean:
    out = "true or false";
    break;
  case field_kind::time:
    out = "a time as 2026-01-31T12:00:00Z";
    break;
  case field_kind::uuid:
    out = "a UUID";
    break;
  case field_kind::word:
    out = "one of " + joined(rule.words);
    break;
  case field_kind::word_list:
    out = "an array of different ones of " + joined(rule.words);
    break;
  case field_kind::json_object:
  case field_kind::shape:
    out = "an object" + range_text(rule, " bytes");
    break;
  case field_kind::content:
    out = "a string, or an array of objects with a type";
    break;
  case field_kind::call_list:
    out = "an array of objects with an id";
    break;
  case field_kind::any:
    out = "JSON";
    break;
  case field_kind::shape_list:
  case field_kind::message_list:
  case field_kind::document_list:
    out = "an array" + range_text(rule, " objects");
    break;
  case field_kind::text_list:
    out = "an array" + range_text(rule, " strings");
    break;
  case field_kind::offset_map:
    out = "an object of at most " + std::to_string(rule.members_max) + " whole numbers" + integer_range(rule);
    break;
  case field_kind::text_map:
    out = "an object" + range_text(rule, " strings");
    break;
  case field_kind::document_fields:
    out = "an object" + range_text(rule, " fields");
    break;
  case field_kind::document:
  case field_kind::document_change:
  case field_kind::filter:
    out = "an object";
    break;
  case field_kind::order:
    out = R"("asc", "desc" or {"by", "order"})";
    break;
  case field_kind::first_order:
    out = R"("asc", "desc", {"by", "order"} or an array of 1 to 16 {"field", "order"})";
    break;
  case field_kind::place:
    out = R"(next_cursor of the page before, or {"creation_utc", "id"})";
    break;
  }
  return out + (rule.may_be_null ? ", or null" : "");
}

} // namespace colloquy::gateway
