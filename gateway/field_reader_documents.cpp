// The fields that documents, filters and stores bring.
#include "gateway/field_reader.hpp"

#include "gateway/json_depth.hpp"
#include "gateway/json_pointer.hpp"
#include "gateway/shapes.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"
#include "messages/text_checks.hpp"

namespace colloquy::gateway {
namespace {

/// What a JSON string says; none of another value.
class string_listener final : public json_listener {
public:
  bool on_key(int, std::string_view) override { return true; }
  bool on_scalar(int depth, const json_scalar& value) override {
    if (depth == 0 && value.kind == json_kind::string)
      text.emplace(value.string);
    return true;
  }
  bool on_open(int, json_kind) override { return true; }
  bool on_close(int) override { return true; }

  std::optional<std::string> text;
};

std::optional<std::string> string_in(std::string_view json) {
  string_listener heard;
  if (!json.starts_with('"') || !scan_json(json, 0, &heard))
    return std::nullopt;
  return std::move(heard.text);
}

bool is_descending(const values& order) {
  return order.text("order") == "desc";
}

} // namespace

std::optional<field_value> field_reader::read_of_documents(const std::string& pointer, const field_rule& rule,
                                                           std::string_view json) {
  switch (rule.kind) {
  case field_kind::text_list:
    return read_texts(pointer, rule, json);
  case field_kind::offset_map:
    return read_offsets(pointer, rule, json);
  case field_kind::text_map:
  case field_kind::document_fields:
    return read_pairs(pointer, rule, json);
  case field_kind::document:
    return read_document(pointer, json) ? std::optional<field_value>(json) : std::nullopt;
  case field_kind::document_list:
    return read_documents(pointer, rule, json);
  case field_kind::document_change:
    return read_change(pointer, json);
  case field_kind::filter:
    return read_filter(pointer, json);
  case field_kind::order:
  case field_kind::first_order:
    return read_order(pointer, rule, json);
  case field_kind::place:
    return read_place(pointer, rule, json);
  default:
    return std::nullopt;
  }
}

void field_reader::complain_of(const std::string& pointer, std::string_view json, const error& why) {
  const std::string_view message = why.message;
  const auto place = message.substr(0, pointer_length(message, json));
  const auto rest = message.substr(std::min(message.size(), place.empty() ? 0 : place.size() + 1));
  mistake told{mistake::place::body, pointer + std::string(place), std::string(rest)};
  if (why.code == error_code::payload_too_large)
    add_too_large(std::move(told));
  else
    add(std::move(told));
}

bool field_reader::read_document(const std::string& pointer, std::string_view json) {
  const auto head = check_document(json, limits_.document_bytes_max);
  if (!head)
    complain_of(pointer, json, head.failure());
  return head.has_value();
}

std::optional<field_value> field_reader::read_documents(const std::string& pointer, const field_rule& rule,
                                                        std::string_view json) {
  auto elements = split_array(json);
  const auto count = elements ? static_cast<std::int64_t>(elements->size()) : -1;
  if (count < rule.least || count > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  for (std::size_t i = 0; i < elements->size(); ++i)
    read_document(pointer + "/" + std::to_string(i), (*elements)[i]);
  return field_value(std::move(*elements));
}

std::optional<field_value> field_reader::read_change(const std::string& pointer, std::string_view json) {
  if (const auto checked = check_document_changes(json, limits_.document_bytes_max); !checked) {
    complain_of(pointer, json, checked.failure());
    return std::nullopt;
  }
  return field_value(json);
}

std::optional<field_value> field_reader::read_filter(const std::string& pointer, std::string_view json) {
  auto filter = parse_filter(json);
  if (!filter) {
    complain_of(pointer, json, filter.failure());
    return std::nullopt;
  }
  return field_value(std::move(*filter));
}

std::optional<field_value> field_reader::read_texts(const std::string& pointer, const field_rule& rule,
                                                    std::string_view json) {
  const auto elements = split_array(json);
  const auto count = elements ? static_cast<std::int64_t>(elements->size()) : -1;
  std::vector<std::string> texts;
  bool is_good = count >= rule.least && count <= rule.most;
  for (std::size_t i = 0; is_good && i < elements->size(); ++i) {
    auto text = string_in((*elements)[i]);
    is_good = text.has_value();
    if (is_good)
      texts.push_back(std::move(*text));
  }
  if (!is_good) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  return field_value(std::move(texts));
}

std::optional<field_value> field_reader::read_offsets(const std::string& pointer, const field_rule& rule,
                                                      std::string_view json) {
  const auto members = split_object(json);
  if (!members || members->size() > rule.members_max) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  const field_rule of_one{.name = rule.name, .kind = field_kind::integer, .least = rule.least, .most = rule.most};
  offset_pairs pairs;
  for (const auto& [key, value] : *members) {
    const auto at = pointer + "/" + escape_pointer(key);
    if (const auto characters = count_characters(key); characters < 1 || characters > limits::name_chars_max)
      complain(at, "its name must be a string of 1 to " + std::to_string(limits::name_chars_max) + " characters");
    if (value == "null") {
      pairs.emplace(key, std::nullopt);
    } else if (const auto read_value = read_scalar(at, of_one, value)) {
      pairs.emplace(key, std::get<std::int64_t>(*read_value));
    }
  }
  return field_value(std::move(pairs));
}

std::optional<field_value> field_reader::read_pairs(const std::string& pointer, const field_rule& rule,
                                                    std::string_view json) {
  const auto members = split_object(json);
  if (!members || static_cast<std::int64_t>(members->size()) > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  text_pairs pairs;
  for (const auto& [key, value] : *members) {
    if (rule.kind == field_kind::document_fields) {
      if (!nests_within(value, limits::document_depth_max - 1))
        complain(pointer + "/" + escape_pointer(key), "nests deeper than a document may");
      pairs.emplace_back(key, value);
      continue;
    }
    auto text = string_in(value);
    if (!text)
      complain(pointer + "/" + escape_pointer(key), "must be a string");
    pairs.emplace_back(key, text.value_or(""));
  }
  return field_value(std::move(pairs));
}

std::optional<field_value> field_reader::read_order(const std::string& pointer, const field_rule& rule,
                                                    std::string_view json) {
  document_order order;
  if (json.starts_with('[') && rule.kind == field_kind::first_order)
    return read_field_orders(pointer, rule, json);
  if (json.starts_with('{')) {
    values said;
    read_members(pointer, json, shapes::document_order, said, nullptr);
    order.by = said.text("by") == "id" ? document_order::key::id : document_order::key::creation_utc;
    order.is_descending = is_descending(said);
    return field_value(document_sort(order));
  }
  const auto word = string_in(json);
  if (word != "asc" && word != "desc") {
    refuse(pointer, rule);
    return std::nullopt;
  }
  order.is_descending = word == "desc";
  return field_value(document_sort(order));
}

std::optional<field_value> field_reader::read_field_orders(const std::string& pointer, const field_rule& rule,
                                                           std::string_view json) {
  const auto elements = split_array(json);
  if (!elements || elements->empty() || elements->size() > limits::sort_fields_max) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  std::vector<field_order> fields;
  for (std::size_t i = 0; i < elements->size(); ++i) {
    values said;
    read_members(pointer + "/" + std::to_string(i), (*elements)[i], shapes::field_order, said, nullptr);
    fields.push_back({said.text_or("field", ""), is_descending(said)});
  }
  return field_value(document_sort(std::move(fields)));
}

std::optional<field_value> field_reader::read_place(const std::string& pointer, const field_rule& rule,
                                                    std::string_view json) {
  if (json.starts_with('{')) {
    values said;
    read_members(pointer, json, shapes::document_place, said, nullptr);
    return field_value(document_start(document_position{said.text("creation_utc"), said.text_or("id", "")}));
  }
  auto text = string_in(json);
  if (!text || text->empty() || static_cast<std::int64_t>(count_characters(*text)) > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  return field_value(document_start(std::move(*text)));
}

} // namespace colloquy::gateway
