// What a session's row says as parameters: labels, mode, how far clients have read.
#include "db/batch_calls.hpp"

namespace colloquy::db {
namespace {

/// As a JSON string. The text is valid UTF-8.
void append_quoted(std::string& to, const std::string& text) {
  static constexpr char hex[] = "0123456789abcdef";
  to.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      to.append("\\u00");
      to.push_back(hex[byte >> 4]);
      to.push_back(hex[byte & 15]);
      continue;
    }
    if (c == '"' || c == '\\')
      to.push_back('\\');
    to.push_back(c);
  }
  to.push_back('"');
}

} // namespace

std::string array_literal(const std::vector<std::string>& elements) {
  std::string out = "{";
  for (const auto& element : elements) {
    if (out.size() > 1)
      out.push_back(',');
    out.push_back('"');
    for (char c : element) {
      if (c == '"' || c == '\\')
        out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  out.push_back('}');
  return out;
}

void add_labels(array_builder& to, const session_record& row) {
  if (row.labels.empty())
    to.add_null();
  else
    to.add(array_literal(row.labels));
}

void add_mode(array_builder& to, const session_record& row) {
  if (row.mode == session_mode::automatic)
    to.add_null();
  else
    to.add(to_string(row.mode));
}

void add_consumption(array_builder& to, const session_record& row) {
  if (row.consumption_offsets.empty())
    return to.add_null();
  std::string json = "{";
  for (const auto& [client, offset] : row.consumption_offsets) {
    if (json.size() > 1)
      json.push_back(',');
    append_quoted(json, client);
    json.append(":").append(std::to_string(offset));
  }
  json.push_back('}');
  to.add(json);
}

} // namespace colloquy::db
