#include "gateway/json_depth.hpp"

namespace colloquy::gateway {
namespace {

/// Behind the string that begins at `at`.
std::size_t end_of_string(std::string_view json, std::size_t at) noexcept {
  for (++at; at < json.size() && json[at] != '"'; ++at)
    if (json[at] == '\\')
      ++at;
  return at;
}

} // namespace

bool nests_within(std::string_view json, int depth_max) noexcept {
  int depth = 0;
  for (auto at = json.find_first_of("\"{}[]"); at < json.size(); at = json.find_first_of("\"{}[]", at + 1)) {
    const char c = json[at];
    if (c == '"')
      at = end_of_string(json, at);
    else if (c == '}' || c == ']')
      --depth;
    else if (++depth > depth_max)
      return false;
  }
  return true;
}

} // namespace colloquy::gateway
