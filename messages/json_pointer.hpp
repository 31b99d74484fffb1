// Where in a JSON text a scan is, for messages that name the place. Inside messages/.
#pragma once

#include "messages/json_scan.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// One step of a pointer (RFC 6901) after its slash: escaped, control characters as '?', cut like quoted().
std::string pointer_step(std::string_view key);

/// Follows a listener's calls.
class json_place {
public:
  void on_key(std::string_view key) { steps_[depth_ - 1].key.assign(key); }
  /// Before a value, at a depth of 1 or more.
  void on_value() {
    if (depth_ > 0 && steps_[depth_ - 1].is_array)
      ++steps_[depth_ - 1].index;
  }
  void on_open(json_kind kind) {
    if (steps_.size() == depth_)
      steps_.emplace_back();
    auto& opened = steps_[depth_++];
    opened.is_array = kind == json_kind::array;
    opened.index = -1;
  }
  void on_close() { --depth_; }

  std::string pointer() const;

private:
  struct step {
    bool is_array = false;
    std::ptrdiff_t index = -1;
    std::string key{};
  };

  std::vector<step> steps_; // those behind depth_ are kept for the room in their keys
  std::size_t depth_ = 0;
};

} // namespace colloquy
