#include "gateway/openapi_schema.hpp"

#include "gateway/message_rules.hpp"
#include "gateway/shapes.hpp"
#include "messages/limits.hpp"

namespace colloquy::gateway {
namespace {

void add_range(ordered_json& schema, const field_rule& rule, const char* least, const char* most) {
  if (rule.least > 0 || (rule.kind == field_kind::integer && rule.least > INT64_MIN))
    schema[least] = rule.least;
  if (rule.most != INT64_MAX)
    schema[most] = rule.most;
}

ordered_json words(const field_rule& rule) {
  auto all = ordered_json::array();
  for (const auto& word : rule.words)
    all.push_back(word);
  return all;
}

ordered_json object_with(const char* member) {
  return {{"type", "object"},
          {"properties", {{member, {{"type", "string"}}}}},
          {"required", {member}},
          {"additionalProperties", true}};
}

ordered_json requiring(std::string_view name) {
  auto schema = ordered_json::object();
  schema["required"] = ordered_json::array({name});
  return schema;
}

ordered_json content_schema() {
  return {{"oneOf", {{{"type", "string"}}, {{"type", "array"}, {"items", object_with("type")}}}}};
}

ordered_json order_schema(const field_rule& rule, shape_set& used) {
  ordered_json one_of{{{"type", "string"}, {"enum", {"asc", "desc"}}}, reference_to(shapes::document_order, used)};
  if (rule.kind == field_kind::first_order)
    one_of.push_back({{"type", "array"},
                      {"items", reference_to(shapes::field_order, used)},
                      {"minItems", 1},
                      {"maxItems", limits::sort_fields_max}});
  return {{"oneOf", std::move(one_of)}};
}

/// Without what may be null and what it is about.
ordered_json bare_schema(const field_rule& rule, shape_set& used) {
  ordered_json schema;
  switch (rule.kind) {
  case field_kind::text:
    schema["type"] = "string";
    add_range(schema, rule, "minLength", "maxLength");
    return schema;
  case field_kind::integer:
    schema["type"] = "integer";
    schema["format"] = "int64";
    add_range(schema, rule, "minimum", "maximum");
    return schema;
  case field_kind::boolean:
    return {{"type", "boolean"}};
  case field_kind::time:
    return {{"type", "string"}, {"format", "date-time"}};
  case field_kind::uuid:
    return {{"type", "string"}, {"format", "uuid"}};
  case field_kind::word:
    return {{"type", "string"}, {"enum", words(rule)}};
  case field_kind::word_list:
    schema = {{"type", "array"}, {"items", {{"type", "string"}, {"enum", words(rule)}}}, {"uniqueItems", true}};
    add_range(schema, rule, "minItems", "maxItems");
    return schema;
  case field_kind::json_object:
    return {{"type", "object"}, {"additionalProperties", true}};
  case field_kind::content:
    return content_schema();
  case field_kind::call_list:
    return {{"type", "array"}, {"items", object_with("id")}};
  case field_kind::any:
    return ordered_json::object();
  case field_kind::shape:
    return reference_to(*rule.shape, used);
  case field_kind::shape_list:
    schema = {{"type", "array"}, {"items", reference_to(*rule.shape, used)}};
    add_range(schema, rule, "minItems", "maxItems");
    return schema;
  case field_kind::message_list:
    schema = {{"type", "array"}, {"items", reference_to(message_shape, used)}};
    add_range(schema, rule, "minItems", "maxItems");
    return schema;
  case field_kind::text_list:
    schema = {{"type", "array"}, {"items", {{"type", "string"}}}};
    add_range(schema, rule, "minItems", "maxItems");
    return schema;
  case field_kind::offset_map: {
    ordered_json value{{"type", {"integer", "null"}}, {"format", "int64"}, {"minimum", rule.least}};
    if (rule.most != INT64_MAX)
      value["maximum"] = rule.most;
    return {{"type", "object"}, {"additionalProperties", std::move(value)}, {"maxProperties", rule.members_max}};
  }
  case field_kind::text_map:
    return {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}, {"maxProperties", rule.most}};
  case field_kind::document_fields:
    return {{"type", "object"}, {"additionalProperties", true}, {"maxProperties", rule.most}};
  case field_kind::document_change:
    return {{"type", "object"}, {"additionalProperties", true}, {"minProperties", 1}};
  case field_kind::filter:
    return {{"type", "object"}, {"additionalProperties", true}};
  case field_kind::document:
    return reference_to(shapes::document, used);
  case field_kind::document_list:
    schema = {{"type", "array"}, {"items", reference_to(shapes::document, used)}};
    add_range(schema, rule, "minItems", "maxItems");
    return schema;
  case field_kind::order:
  case field_kind::first_order:
    return order_schema(rule, used);
  case field_kind::place:
    schema = {{"type", "string"}};
    add_range(schema, rule, "minLength", "maxLength");
    return {{"oneOf", {schema, reference_to(shapes::document_place, used)}}};
  }
  return schema;
}

} // namespace

ordered_json reference_to(const shape_rule& shape, shape_set& used) {
  if (used.emplace(std::string(shape.name), &shape).second)
    for (const auto& field : shape.fields)
      bare_schema(field, used); // what it refers to is used, too
  return {{"$ref", "#/components/schemas/" + std::string(shape.name)}};
}

ordered_json schema_of(const field_rule& rule, shape_set& used) {
  auto schema = bare_schema(rule, used);
  if (rule.may_be_null) {
    if (schema.contains("type") && !schema.contains("enum"))
      schema["type"] = ordered_json::array({schema["type"], "null"});
    else if (!schema.empty())
      schema = {{"oneOf", {schema, {{"type", "null"}}}}};
  }
  if (!rule.about.empty())
    schema["description"] = rule.about;
  return schema;
}

ordered_json schema_of(const shape_rule& shape, shape_set& used) {
  ordered_json schema{{"type", "object"}, {"description", shape.about}};
  auto properties = ordered_json::object();
  auto required = ordered_json::array();
  for (const auto& field : shape.fields) {
    properties[std::string(field.name)] = schema_of(field, used);
    if (field.is_required && field.other_name.empty())
      required.push_back(field.name);
    else if (field.is_required)
      schema["anyOf"] = ordered_json::array({requiring(field.name), requiring(field.other_name)});
  }
  schema["properties"] = std::move(properties);
  if (!required.empty())
    schema["required"] = std::move(required);
  schema["additionalProperties"] = shape.is_open;
  return schema;
}

ordered_json example_of(const field_rule& rule) {
  if (!rule.example.empty())
    return ordered_json::parse(rule.example);
  switch (rule.kind) {
  case field_kind::text:
    return rule.least > 0 || rule.most > 4 ? "text" : "";
  case field_kind::integer:
    return std::max<std::int64_t>(rule.least, 0);
  case field_kind::boolean:
    return false;
  case field_kind::time:
    return "2026-01-31T12:00:00.000000Z";
  case field_kind::uuid:
    return "01890a5d-ac96-774b-bcce-b302099a8057";
  case field_kind::word:
    return rule.words.front();
  case field_kind::word_list:
    return ordered_json::array({rule.words.front()});
  case field_kind::json_object:
    return ordered_json::object();
  case field_kind::content:
    return "Hello.";
  case field_kind::call_list:
    return ordered_json::array({{{"id", "call_1"}}});
  case field_kind::any:
    return rule.name == "offsets" ? ordered_json::array({0}) : ordered_json(0.5);
  case field_kind::shape:
    return example_of(*rule.shape);
  case field_kind::shape_list:
    return ordered_json::array({example_of(*rule.shape)});
  case field_kind::message_list:
    return ordered_json::array({example_of(message_shape)});
  case field_kind::text_list:
    return ordered_json::array({"text"});
  case field_kind::offset_map:
  case field_kind::text_map:
  case field_kind::document_fields:
  case field_kind::document_change:
  case field_kind::filter:
    return ordered_json::object();
  case field_kind::document:
    return example_of(shapes::document);
  case field_kind::document_list:
    return ordered_json::array({example_of(shapes::document)});
  case field_kind::order:
  case field_kind::first_order:
    return "asc";
  case field_kind::place:
    return "text";
  }
  return nullptr;
}

ordered_json example_of(const shape_rule& shape) {
  auto example = ordered_json::object();
  for (const auto& field : shape.fields)
    if (field.is_required || !field.example.empty())
      example[std::string(field.name)] =
          field.may_be_null && field.example.empty() ? ordered_json(nullptr) : example_of(field);
  return example;
}

} // namespace colloquy::gateway
