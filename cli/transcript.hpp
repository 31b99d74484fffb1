// Transcripts: files in which each line is a conversation, {"conversation_id": string, "messages": [...]}.
#pragma once

#include "cli/line_reader.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace colloquy::cli {

/// What one request of a replay does with some of a conversation's messages.
enum class step_kind : std::uint8_t { append, start_turn, append_in_turn, end_turn };

struct replay_step {
  step_kind kind = step_kind::append;
  std::size_t first = 0; ///< index of its first message
  std::size_t count = 0;
  bool operator==(const replay_step&) const = default;
};

/// A conversation as it stands in a file; never changed once read, so that all of its copies share it.
struct conversation {
  std::size_t file = 0; ///< index in the list of files
  std::uint64_t line = 0;
  std::string id_json; ///< its conversation_id, as the JSON string it is
  std::vector<event_input> messages;
  std::vector<replay_step> steps;
  std::size_t turns = 0;
  std::size_t cost_bytes = 0; ///< of all messages, as the budget counts them
};

struct bad_line {
  std::size_t file = 0;
  std::uint64_t line = 0; ///< 0: the file itself
  std::string reason;
};

/// Reads one line. Errors: invalid_request, with the reason. `file` and `line` are not set.
result<conversation> parse_conversation(std::string_view text);

/// The requests that replay these messages in real turns: those before the first user's message are appended; each
/// user's message starts a turn, and what follows up to the next one ends it. No request has more events than an
/// append may, or many more bytes than fit one batch.
std::vector<replay_step> make_steps(const std::vector<event_input>& messages);

/// Reads files one after the other, holding one line at a time. Blank lines count and are passed over.
class transcript_reader {
public:
  explicit transcript_reader(std::vector<std::filesystem::path> files, std::size_t line_bytes = line_bytes_max);

  struct end {};
  using item = std::variant<end, std::shared_ptr<const conversation>, bad_line>;

  /// A file that cannot be read any more is one bad line, and the next file follows.
  item next();

private:
  std::optional<item> next_of_file();

  std::vector<std::filesystem::path> files_;
  std::size_t line_bytes_;
  std::size_t file_ = 0;
  std::optional<line_reader> open_;
};

} // namespace colloquy::cli
