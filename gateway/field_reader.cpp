#include "gateway/field_reader.hpp"

#include "gateway/json_depth.hpp"
#include "gateway/json_pointer.hpp"
#include "gateway/message_rules.hpp"
#include "gateway/rfc3339.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <charconv>

namespace colloquy::gateway {
namespace {

/// A scalar on its own, kept.
class scalar_listener final : public json_listener {
public:
  bool on_key(int, std::string_view) override { return true; }
  bool on_scalar(int depth, const json_scalar& value) override {
    if (depth == 0) {
      kind = value.kind;
      integer = value.integer;
      text.assign(value.string);
    }
    return true;
  }
  bool on_open(int depth, json_kind opened) override {
    if (depth == 0)
      kind = opened;
    return true;
  }
  bool on_close(int) override { return true; }

  json_kind kind = json_kind::null;
  std::int64_t integer = 0;
  std::string text;
};

bool has_length(const field_rule& rule, std::string_view text) {
  const auto characters = static_cast<std::int64_t>(count_characters(text));
  return characters >= rule.least && characters <= rule.most;
}

bool is_one_of(const field_rule& rule, std::string_view text) {
  return std::find(rule.words.begin(), rule.words.end(), text) != rule.words.end();
}

/// Of a text that is valid and without NUL.
std::optional<field_value> from_text(const field_rule& rule, std::string text) {
  switch (rule.kind) {
  case field_kind::text:
    return has_length(rule, text) ? std::optional<field_value>(std::move(text)) : std::nullopt;
  case field_kind::word:
    return is_one_of(rule, text) ? std::optional<field_value>(std::move(text)) : std::nullopt;
  case field_kind::uuid: {
    const auto id = uuid_from_string(text);
    return id ? std::optional<field_value>(*id) : std::nullopt;
  }
  case field_kind::time: {
    const auto at = parse_rfc3339(text);
    return at ? std::optional<field_value>(*at) : std::nullopt;
  }
  default:
    return std::nullopt;
  }
}

std::optional<field_value> from_integer(const field_rule& rule, std::int64_t value) {
  if (rule.kind != field_kind::integer || value < rule.least || value > rule.most)
    return std::nullopt;
  return field_value(value);
}

const field_rule* find_rule(std::span<const field_rule> fields, std::string_view name) {
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const field_rule& rule) { return rule.name == name; });
  return at == fields.end() ? nullptr : &*at;
}

constexpr std::string_view too_deep = "nests deeper than the 64 levels allowed";
static_assert(limits::json_depth_max == 64);

/// An array of objects, each with a string of that name. Of valid JSON.
bool are_objects_with(std::string_view name, std::string_view json) {
  const auto elements = split_array(json);
  return elements && std::all_of(elements->begin(), elements->end(), [&](std::string_view element) {
           const auto members = split_object(element);
           return members && std::any_of(members->begin(), members->end(), [&](const raw_member& each) {
                    return each.key == name && each.value.starts_with('"');
                  });
         });
}

bool is_null(std::string_view json) {
  return json == "null";
}

} // namespace

void field_reader::add(mistake what) {
  ++count_;
  if (mistakes_.size() < mistakes_max)
    mistakes_.push_back(std::move(what));
}

void field_reader::refuse(const std::string& pointer, const field_rule& rule) {
  complain(pointer, "must be " + allowed_by(rule));
}

void field_reader::read_object(const std::string& pointer, std::string_view json, const shape_rule& shape,
                               values& into) {
  read_members(pointer, json, shape, into, nullptr);
}

void field_reader::read_open_object(const std::string& pointer, std::string_view json, const shape_rule& shape,
                                    std::span<const std::string_view> reserved, values& into) {
  read_members(pointer, json, shape, into, &reserved);
}

bool field_reader::read_members(const std::string& pointer, std::string_view json, const shape_rule& shape,
                                values& into, const std::span<const std::string_view>* reserved) {
  const auto members = split_object(json);
  if (!members) {
    complain(pointer, "must be an object");
    return false;
  }
  for (const auto& [key, value] : *members) {
    const auto at = pointer + "/" + escape_pointer(key);
    const auto* rule = find_rule(shape.fields, key);
    if (rule == nullptr) {
      const bool is_taken =
          reserved != nullptr && std::find(reserved->begin(), reserved->end(), key) == reserved->end();
      if (!is_taken)
        complain(at, reserved != nullptr ? "is a name of the service's own"
                                         : "there is no such field; " + suggestion(key, shape.fields));
      continue;
    }
    if (auto read_value = read(at, *rule, value))
      into.add(rule->name, std::move(*read_value));
  }
  const auto is_there = [&](std::string_view name) {
    return std::any_of(members->begin(), members->end(), [&](const raw_member& each) { return each.key == name; });
  };
  settle_names(pointer, shape, into);
  for (const auto& rule : shape.fields)
    if (rule.is_required && !is_there(rule.name) && (rule.other_name.empty() || !is_there(rule.other_name)))
      complain(pointer + "/" + std::string(rule.name), "is missing; it must be " + allowed_by(rule));
  return true;
}

/// Of two names for one thing the first is what is read on.
void field_reader::settle_names(const std::string& pointer, const shape_rule& shape, values& into) {
  for (const auto& rule : shape.fields) {
    if (rule.other_name.empty())
      continue;
    const auto own = into.text(rule.name), other = into.text(rule.other_name);
    if (own && other && *own != *other)
      complain(pointer + "/" + std::string(rule.other_name),
               "must be what " + std::string(rule.name) + " is; one of the two is enough");
    else if (!own && other)
      into.add(rule.name, *other);
  }
}

std::optional<field_value> field_reader::read(const std::string& pointer, const field_rule& rule,
                                              std::string_view json) {
  if (is_null(json)) {
    if (rule.may_be_null || rule.kind == field_kind::any)
      return rule.kind == field_kind::any ? field_value(json) : field_value(std::monostate());
    refuse(pointer, rule);
    return std::nullopt;
  }
  switch (rule.kind) {
  case field_kind::any:
  case field_kind::content:
  case field_kind::call_list:
    return read_any(pointer, rule, json);
  case field_kind::json_object:
    return read_json_object(pointer, rule, json);
  case field_kind::word_list:
    return read_words(pointer, rule, json);
  case field_kind::message_list:
    return read_messages(pointer, rule, json);
  case field_kind::shape: {
    values inside;
    if (!read_members(pointer, json, *rule.shape, inside, nullptr))
      return std::nullopt;
    return field_value(std::make_shared<const values>(std::move(inside)));
  }
  case field_kind::shape_list:
    return read_shapes(pointer, rule, json);
  case field_kind::text:
  case field_kind::integer:
  case field_kind::boolean:
  case field_kind::time:
  case field_kind::uuid:
  case field_kind::word:
    return read_scalar(pointer, rule, json);
  default:
    return read_of_documents(pointer, rule, json);
  }
}

std::optional<field_value> field_reader::read_shapes(const std::string& pointer, const field_rule& rule,
                                                     std::string_view json) {
  const auto elements = split_array(json);
  const auto count = elements ? static_cast<std::int64_t>(elements->size()) : -1;
  if (count < rule.least || count > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  std::vector<std::shared_ptr<const values>> all;
  for (std::size_t i = 0; i < elements->size(); ++i) {
    auto inside = std::make_shared<values>();
    read_members(pointer + "/" + std::to_string(i), (*elements)[i], *rule.shape, *inside, nullptr);
    all.push_back(std::move(inside));
  }
  return field_value(std::move(all));
}

std::optional<field_value> field_reader::read_any(const std::string& pointer, const field_rule& rule,
                                                  std::string_view json) {
  const bool is_right = rule.kind == field_kind::any || (rule.kind == field_kind::content && json.starts_with('"')) ||
                        are_objects_with(rule.kind == field_kind::content ? "type" : "id", json);
  if (is_right && nests_within(json, limits::json_depth_max))
    return field_value(json);
  if (is_right)
    complain(pointer, std::string(too_deep));
  else
    refuse(pointer, rule);
  return std::nullopt;
}

std::optional<field_value> field_reader::read_scalar(const std::string& pointer, const field_rule& rule,
                                                     std::string_view json) {
  scalar_listener heard;
  std::optional<field_value> value;
  if (scan_json(json, 1, &heard)) {
    if (heard.kind == json_kind::string)
      value = from_text(rule, std::move(heard.text));
    else if (heard.kind == json_kind::integer)
      value = from_integer(rule, heard.integer);
    else if (heard.kind == json_kind::boolean && rule.kind == field_kind::boolean)
      value = field_value(json == "true");
  }
  if (!value)
    refuse(pointer, rule);
  return value;
}

std::optional<field_value> field_reader::read_words(const std::string& pointer, const field_rule& rule,
                                                    std::string_view json) {
  const auto elements = split_array(json);
  std::vector<std::string> words;
  bool is_good = elements.has_value();
  if (elements)
    for (const auto element : *elements) {
      scalar_listener heard;
      is_good = is_good && scan_json(element, 1, &heard) && heard.kind == json_kind::string &&
                is_one_of(rule, heard.text) && std::find(words.begin(), words.end(), heard.text) == words.end();
      words.push_back(std::move(heard.text));
    }
  const auto count = static_cast<std::int64_t>(words.size());
  if (!is_good || count < rule.least || count > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  return field_value(std::move(words));
}

std::optional<field_value> field_reader::read_json_object(const std::string& pointer, const field_rule& rule,
                                                          std::string_view json) {
  const auto most = std::min(rule.most, static_cast<std::int64_t>(limits_.metadata_bytes_max));
  if (!json.starts_with('{')) {
    complain(pointer, "must be an object");
    return std::nullopt;
  }
  if (static_cast<std::int64_t>(json.size()) > most) {
    add_too_large({mistake::place::body, pointer,
                   "has " + std::to_string(json.size()) + " bytes; at most " + std::to_string(most) + " are allowed"});
    return std::nullopt;
  }
  if (!nests_within(json, limits::json_depth_max)) {
    complain(pointer, std::string(too_deep));
    return std::nullopt;
  }
  return field_value(json);
}

std::optional<field_value> field_reader::read_messages(const std::string& pointer, const field_rule& rule,
                                                       std::string_view json) {
  const auto elements = split_array(json);
  const auto count = elements ? static_cast<std::int64_t>(elements->size()) : -1;
  if (count < rule.least || count > rule.most) {
    refuse(pointer, rule);
    return std::nullopt;
  }
  std::vector<event_input> messages;
  messages.reserve(elements->size());
  for (std::size_t i = 0; i < elements->size(); ++i)
    if (auto message = read_message(pointer + "/" + std::to_string(i), (*elements)[i]))
      messages.push_back(std::move(*message));
  return field_value(std::move(messages));
}

std::optional<event_input> field_reader::read_message(const std::string& pointer, std::string_view json) {
  if (json.size() > limits_.message_bytes_max) {
    add_too_large({mistake::place::body, pointer,
                   "the message has " + std::to_string(json.size()) + " bytes; at most " +
                       std::to_string(limits_.message_bytes_max) + " are allowed"});
    return std::nullopt;
  }
  auto message = parse_message(json);
  if (message)
    return std::move(message).value();
  // Each field for itself, so that all that is wrong is told, and where.
  const auto before = count_;
  values unused;
  if (message.failure().code == error_code::invalid_request && check_json(json))
    read_members(pointer, json, message_shape, unused, nullptr);
  if (count_ == before) {
    is_too_large_ = is_too_large_ || message.failure().code == error_code::payload_too_large;
    complain(pointer, message.failure().message);
  }
  return std::nullopt;
}

void field_reader::read_parameter(mistake::place in, const field_rule& rule, std::string_view text, values& into) {
  std::optional<field_value> value;
  if (!is_storable_text(text)) {
    add({in, std::string(rule.name), "must be valid UTF-8 without NUL"});
    return;
  }
  if (rule.kind == field_kind::integer) {
    std::int64_t number = 0;
    const auto read_number = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read_number.ec == std::errc{} && read_number.ptr == text.data() + text.size())
      value = from_integer(rule, number);
  } else if (rule.kind == field_kind::boolean) {
    if (text == "true" || text == "false")
      value = field_value(text == "true");
  } else if (rule.kind == field_kind::word_list) {
    std::vector<std::string> words;
    bool is_good = true;
    for (std::string_view rest = text; is_good;) {
      const auto comma = std::min(rest.find(','), rest.size());
      words.emplace_back(rest.substr(0, comma));
      is_good = is_one_of(rule, words.back()) && std::count(words.begin(), words.end(), words.back()) == 1;
      if (comma == rest.size())
        break;
      rest.remove_prefix(comma + 1);
    }
    if (is_good)
      value = field_value(std::move(words));
  } else {
    value = from_text(rule, std::string(text));
  }
  if (value)
    into.add(rule.name, std::move(*value));
  else
    add({in, std::string(rule.name), "is " + quoted(text) + "; it must be " + allowed_by(rule)});
}

} // namespace colloquy::gateway
