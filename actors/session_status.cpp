#include "actors/session_status.hpp"

namespace colloquy::actors {
namespace {

/// As a JSON string. The text is valid UTF-8.
std::string quoted(const std::string& text) {
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

} // namespace

std::string turn_status_json(const turn_record& turn, const std::string& reason) {
  std::string out =
      R"({"turn":{"id":")" + turn.id.to_string() + R"(","number":)" + std::to_string(turn.number) + R"(,"status":")";
  out.append(to_string(turn.status));
  out.push_back('"');
  if (!reason.empty())
    out.append(R"(,"reason":)").append(quoted(reason));
  out.append("}}");
  return out;
}

std::string session_status_json(session_status status) {
  return R"({"status":")" + std::string(to_string(status)) + "\"}";
}

error late_append(const appended& reached) {
  return {error_code::deadline_exceeded,
          "not durable within the time allowed; the events stay accepted at offset " +
              std::to_string(reached.first_offset) + " and after",
          std::nullopt, accepted_events{reached.first_offset, reached.count}};
}

} // namespace colloquy::actors
