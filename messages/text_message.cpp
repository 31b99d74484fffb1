#include "messages/text_message.hpp"

#include "messages/content.hpp"

#include <algorithm>
#include <optional>

namespace colloquy {
namespace {

/// As a JSON string; what JSON does not allow stays, and is refused by who checks it.
std::string to_json_string(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out.append("\\u00");
      out.push_back(hex[byte >> 4]);
      out.push_back(hex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

/// Of a JSON string. Keys are decoded when an object is split, so it is made one.
std::optional<std::string> from_json_string(std::string_view json) {
  if (json.empty() || json.front() != '"')
    return std::nullopt;
  auto members = split_object("{" + std::string(json) + ":0}");
  if (!members || members->size() != 1)
    return std::nullopt;
  return std::move(members->front().key);
}

std::optional<std::string_view> member_of(std::string_view object, std::string_view key) {
  const auto members = split_object(object);
  if (!members)
    return std::nullopt;
  const auto at = std::find_if(members->begin(), members->end(), [&](const auto& each) { return each.key == key; });
  return at == members->end() ? std::nullopt : std::optional(at->value);
}

} // namespace

result<event_input> text_message(message_role role, std::string_view text) {
  if (role != message_role::system && role != message_role::user && role != message_role::assistant)
    return error{error_code::invalid_request, "a message of text alone is a system's, a user's or an assistant's"};
  return parse_message(R"({"role":")" + std::string(to_string(role)) + R"(","content":)" + to_json_string(text) + "}");
}

std::string text_of(const event_input& message) {
  const auto content = member_of(message.data, "content");
  if (!content)
    return {};
  if (auto text = from_json_string(*content))
    return std::move(*text);
  std::string all;
  if (const auto parts = split_array(*content))
    for (const auto part : *parts)
      if (const auto text = member_of(part, "text"))
        all += from_json_string(*text).value_or("");
  return all;
}

} // namespace colloquy
