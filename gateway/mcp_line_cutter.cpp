#include "gateway/mcp_line_cutter.hpp"

#include "messages/content.hpp"

#include <utility>

namespace colloquy::gateway::mcp {
namespace {

/// Longer ids are not told apart from none.
constexpr std::size_t token_chars_max = 256;
/// What a line that is done may leave reserved for the next one.
constexpr std::size_t kept_bytes_max = std::size_t{1} << 20;

bool is_id(std::string_view json) {
  if (json.size() >= token_chars_max)
    return false;
  if (json.starts_with('"'))
    return check_json(json).has_value(); // it is sent back
  const auto digits = json.starts_with('-') ? json.substr(1) : json;
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

} // namespace

void id_spotter::take(std::string_view bytes) {
  for (const char c : bytes) {
    if (!is_in_text_) {
      take_outside_of_text(c);
      continue;
    }
    if (depth_ == 1 && token_.size() < token_chars_max)
      token_ += c;
    if (is_escaped_)
      is_escaped_ = false;
    else if (c == '\\')
      is_escaped_ = true;
    else if (c == '"')
      is_in_text_ = false;
  }
}

void id_spotter::take_outside_of_text(char c) {
  const bool is_member = depth_ == 1;
  switch (c) {
  case '{':
    ++depth_;
    break;
  case '[':
    depth_ += depth_ == 0 ? 2 : 1; // what several messages have is not the id of one
    break;
  case '}':
  case ']':
    if (is_member)
      end_member();
    --depth_;
    break;
  case ',':
    if (is_member)
      end_member();
    break;
  case ':':
    if (is_member) {
      name_ = std::exchange(token_, {});
      is_value_ = true;
    }
    break;
  case ' ':
  case '\t':
  case '\r':
    break;
  case '"':
    is_in_text_ = true;
    [[fallthrough]];
  default:
    if (is_member && token_.size() < token_chars_max)
      token_ += c;
  }
}

void id_spotter::end_member() {
  is_request_ = is_request_ || name_ == "\"method\"";
  if (is_value_ && name_ == "\"id\"" && is_id(token_))
    id_ = token_;
  token_.clear();
  name_.clear();
  is_value_ = false;
}

void line_cutter::take(std::string_view bytes) {
  for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    add(bytes.substr(0, end));
    end_line();
    bytes.remove_prefix(end + 1);
  }
  add(bytes);
}

void line_cutter::finish() {
  if (!line_.empty() || is_overlong_)
    end_line();
}

void line_cutter::add(std::string_view bytes) {
  if (!is_overlong_ && line_.size() + bytes.size() > most_) {
    is_overlong_ = true;
    spotter_.take(std::exchange(line_, {})); // its memory, too
  }
  if (is_overlong_)
    spotter_.take(bytes);
  else
    line_ += bytes;
}

void line_cutter::end_line() {
  if (std::exchange(is_overlong_, false)) {
    on_overlong_line(std::exchange(spotter_, {}).id());
    return;
  }
  on_line(line_);
  line_.clear();
  if (line_.capacity() > kept_bytes_max)
    line_ = {};
}

std::string overlong_message(std::size_t most) {
  return "a message may have at most " + std::to_string(most) + " bytes; say it in smaller parts";
}

} // namespace colloquy::gateway::mcp
