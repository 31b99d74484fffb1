#include "actors/log_line.hpp"

namespace colloquy::actors {
namespace {

thread_local const log_line* current = nullptr;

void append_value(std::string& to, std::string_view name, std::string_view value) {
  if (value.empty())
    return;
  if (!to.empty())
    to += ' ';
  to += name;
  to += '=';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7F || c == '"' || c == '\\')
      fmt::format_to(std::back_inserter(to), "\\x{:02x}", byte);
    else
      to += c;
  }
}

} // namespace

const log_line* current_log_line() noexcept {
  return current;
}

std::string to_text(const log_subject& about) {
  std::string text;
  append_value(text, "tenant", about.session.tenant.text());
  append_value(text, "session", about.session.id.to_string());
  if (!about.turn.is_nil())
    append_value(text, "turn", about.turn.to_string());
  append_value(text, "trace_id", about.trace_id);
  return text;
}

void write_log_line(spdlog::level::level_enum level, const log_subject& about, std::string_view text) {
  const log_line line{text, about};
  current = &line;
  spdlog::log(level, "{} [{}]", text, to_text(about)); // reports what fails in it, and throws nothing
  current = nullptr;
}

} // namespace colloquy::actors
