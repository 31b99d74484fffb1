// Messages of the Model Context Protocol out of a stream of bytes, one a line, in bounded memory: a line that is longer
// than a message may be is passed over, and only its id is kept, so that who sent it is told and can go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace colloquy::gateway::mcp {

/// Finds the id of a message in its bytes as they come, without keeping them.
class id_spotter {
public:
  void take(std::string_view bytes);
  /// As it stands. "null": it has none, it is no request, or it is not one message.
  std::string id() const { return is_request_ && !id_.empty() ? id_ : "null"; }

private:
  void take_outside_of_text(char c);
  void end_member();

  std::int64_t depth_ = 0;
  bool is_in_text_ = false;
  bool is_escaped_ = false;
  bool is_value_ = false; // of a member of the message itself
  bool is_request_ = false;
  std::string token_; // a name or a scalar of the message itself; cut
  std::string name_;
  std::string id_;
};

class line_cutter {
public:
  explicit line_cutter(std::size_t most)
    : most_(most) {}

  std::function<void(std::string_view)> on_line{};               ///< without its end
  std::function<void(const std::string& id)> on_overlong_line{}; ///< id: of id_spotter

  void take(std::string_view bytes);
  /// No more comes: what is there is the last line.
  void finish();

private:
  void add(std::string_view bytes);
  void end_line();

  std::size_t most_;
  std::string line_;
  bool is_overlong_ = false;
  id_spotter spotter_;
};

/// What is said of a line that was passed over.
std::string overlong_message(std::size_t most);

} // namespace colloquy::gateway::mcp
