#include "messages/json_pointer.hpp"

namespace colloquy {

std::string pointer_step(std::string_view key) {
  const std::string shown = quoted(key);
  std::string out;
  for (const char c : std::string_view(shown).substr(1, shown.size() - 2)) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::string json_place::pointer() const {
  std::string out;
  for (std::size_t i = 0; i < depth_; ++i)
    out += "/" + (steps_[i].is_array ? std::to_string(steps_[i].index) : pointer_step(steps_[i].key));
  return out;
}

} // namespace colloquy
