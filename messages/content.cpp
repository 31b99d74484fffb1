#include "messages/content.hpp"

#include "messages/json_scan.hpp"
#include "messages/nearest_name.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace colloquy {
namespace {

enum class field : std::uint8_t { role, content, tool_calls, tool_call_id, name, tokens, metadata, none };

constexpr std::array<std::string_view, 7> field_names{"role", "content", "tool_calls", "tool_call_id",
                                                      "name", "tokens",  "metadata"};

field field_of(std::string_view key) {
  auto at = std::find(field_names.begin(), field_names.end(), key);
  return static_cast<field>(at - field_names.begin());
}

std::string unknown_field(std::string_view key) {
  std::string text = "a message has no field " + quoted(key);
  if (auto nearest = nearest_name(key, field_names); !nearest.empty())
    text += "; did you mean '" + std::string(nearest) + "'?";
  text += "; allowed are";
  for (auto name : field_names)
    text += (name == field_names.front() ? " " : ", ") + std::string(name);
  return text;
}

/// Of valid UTF-8.
std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Hears a message and keeps what leaves it as fields. Depth 0 is around the message, 1 inside it, 2 inside a field's
/// array, 3 inside an object of that array; what is deeper, or in `metadata`, is opaque.
class message_listener final : public json_listener {
public:
  explicit message_listener(event_input& into)
    : into_(into) {}

  bool has(field wanted) const { return (seen_ & bit(wanted)) != 0; }

  bool on_key(int depth, std::string_view key) override {
    if (depth == 1)
      return enter_field(key);
    if (depth == 3)
      wants_value_ = holds_objects() && key == required_key();
    return true;
  }

  bool on_scalar(int depth, const json_scalar& value) override {
    if (depth == 0)
      return refuse_with("a message is a JSON object");
    if (depth == 1)
      return take_scalar(value);
    if (depth == 2 && holds_objects())
      return refuse_field();
    if (depth == 3 && std::exchange(wants_value_, false))
      return take_required(value);
    return true;
  }

  bool on_open(int depth, json_kind kind) override {
    if (depth == 0)
      return kind == json_kind::object || refuse_with("a message is a JSON object");
    if (depth == 1)
      return kind == expected_container() || refuse_field();
    if (depth == 2 && holds_objects()) {
      has_required_ = false;
      return kind == json_kind::object || refuse_field();
    }
    if (depth == 3 && std::exchange(wants_value_, false))
      return refuse_field();
    return true;
  }

  bool on_close(int depth) override {
    if (depth == 2 && holds_objects() && !has_required_)
      return refuse_field();
    return true;
  }

private:
  static unsigned bit(field f) { return 1u << static_cast<unsigned>(f); }

  bool enter_field(std::string_view key) {
    field_ = field_of(key);
    if (field_ == field::none)
      return refuse_with(unknown_field(key));
    seen_ |= bit(field_);
    return true;
  }

  /// Whether the current field is an array of objects that each need a string.
  bool holds_objects() const { return field_ == field::content || field_ == field::tool_calls; }
  std::string_view required_key() const { return field_ == field::content ? "type" : "id"; }

  std::optional<json_kind> expected_container() const {
    if (holds_objects())
      return json_kind::array;
    if (field_ == field::metadata)
      return json_kind::object;
    return std::nullopt;
  }

  bool take_scalar(const json_scalar& value) {
    const bool is_string = value.kind == json_kind::string;
    switch (field_) {
    case field::role:
      return is_string && take_role(value.string) ? true : refuse_role(value);
    case field::content:
      return is_string || refuse_field();
    case field::tool_call_id:
      into_.tool_call_id = value.string;
      return (is_string && is_name(value.string)) || refuse_field();
    case field::name:
      return (is_string && is_name(value.string)) || refuse_field();
    case field::tokens:
      return take_tokens(value) || refuse_field();
    default:
      return refuse_field();
    }
  }

  bool take_role(std::string_view text) {
    auto role = parse_message_role(text);
    into_.role = role.value_or(message_role::none);
    return role.has_value();
  }

  bool take_tokens(const json_scalar& value) {
    if (value.kind != json_kind::integer || value.integer < 0 ||
        value.integer > std::numeric_limits<std::int32_t>::max())
      return false;
    into_.tokens = static_cast<std::int32_t>(value.integer);
    return true;
  }

  bool take_required(const json_scalar& value) {
    if (value.kind != json_kind::string)
      return refuse_field();
    has_required_ = true;
    if (field_ == field::tool_calls)
      into_.tool_call_ids.emplace_back(value.string);
    return true;
  }

  static bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= limits::name_chars_max * 4 &&
           count_characters(text) <= limits::name_chars_max;
  }

  bool refuse_with(std::string why) { return refuse({error_code::invalid_request, std::move(why)}); }

  bool refuse_role(const json_scalar& value) {
    const std::string given = value.kind == json_kind::string ? "role " + quoted(value.string) : "role";
    return refuse_with(given + ": allowed are system, user, assistant, tool");
  }

  bool refuse_field() {
    const std::string characters = "a string of 1 to " + std::to_string(limits::name_chars_max) + " characters";
    switch (field_) {
    case field::content:
      return refuse_with("content: a string, or an array of objects that each have a string 'type'");
    case field::tool_calls:
      return refuse_with("tool_calls: an array of objects that each have a string 'id'");
    case field::tool_call_id:
      return refuse_with("tool_call_id: " + characters);
    case field::name:
      return refuse_with("name: " + characters);
    case field::tokens:
      return refuse_with("tokens: a whole number from 0 to 2147483647");
    case field::metadata:
      return refuse_with("metadata: a JSON object");
    default:
      return refuse_with("role: allowed are system, user, assistant, tool");
    }
  }

  event_input& into_;
  field field_ = field::none;
  unsigned seen_ = 0;
  bool wants_value_ = false;  ///< the next token is the value of required_key()
  bool has_required_ = false; ///< the current object has it
};

result<void> check_metadata(std::string_view json) {
  auto members = split_object(json);
  if (!members)
    return members.failure();
  for (const auto& member : *members)
    if (member.key == "metadata" && member.value.size() > limits::metadata_bytes_max)
      return error{error_code::payload_too_large, "metadata: " + std::to_string(member.value.size()) +
                                                      " bytes; at most " + std::to_string(limits::metadata_bytes_max) +
                                                      " are allowed"};
  return {};
}

} // namespace

result<event_input> parse_message(std::string_view json) {
  if (json.size() > limits::event_bytes_max)
    return error{error_code::payload_too_large, "a message of " + std::to_string(json.size()) + " bytes; at most " +
                                                    std::to_string(limits::event_bytes_max) + " are allowed"};
  event_input message;
  message_listener listener(message);
  if (auto scanned = scan_json(json, limits::json_depth_max, &listener); !scanned)
    return std::move(scanned.failure());
  for (auto required : {field::role, field::content})
    if (!listener.has(required))
      return error{error_code::invalid_request,
                   "a message needs the field " + std::string(field_names[static_cast<std::size_t>(required)])};
  if (listener.has(field::metadata))
    if (auto checked = check_metadata(json); !checked)
      return std::move(checked.failure());
  message.data = json;
  return message;
}

result<void> check_json(std::string_view json, int depth_max) {
  return scan_json(json, depth_max, nullptr);
}

} // namespace colloquy
