// The text of a `.env` and of our own settings file: lines of NAME=value.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

/// A stretch of a value; "${NAME}" is looked for in it only if it expands.
struct piece {
  std::string text;
  bool expands = true;
};

/// A value as it was written, its quotes and escapes resolved and its references not.
using written_value = std::vector<piece>;

std::string as_written(const written_value& value);

struct assignment {
  std::string name; ///< empty if the line has none
  written_value value;
  std::size_t line = 0; ///< from 1
  std::string fault;    ///< why the line cannot be read; empty if it can. Never quotes the line: it may hold a secret
};

/// What differs between the two: a `.env` may say `export`, and its double-quoted values may span lines.
enum class dialect { env_file, own_file };

/// Every line but empty ones and comments, in order, faulty ones too: whose they are is for the caller to judge.
/// - unquoted: to the end of the line or to a blank and '#', blanks around it cut off; backslashes are themselves
/// - '...': exactly what is inside; nothing expands
/// - "...": \n \r \t \\ \" \$ are escapes, any other backslash is itself; \$ never begins a reference
/// Line ends may be CRLF; a byte order mark is skipped.
std::vector<assignment> parse_assignments(std::string_view text, dialect kind);

/// Settings are small; anything larger is another kind of file.
inline constexpr std::size_t settings_file_size_max = 1024 * 1024;

/// The whole file. Fails, with a sentence for a person, if it cannot be read, is larger than the limit, or holds a NUL.
result<std::string> read_settings_file(const std::filesystem::path& path);

} // namespace colloquy::config
