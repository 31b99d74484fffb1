// Reading a file line by line in bounded memory.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::cli {

/// A line may hold a whole conversation; a longer one is not kept in memory.
inline constexpr std::size_t line_bytes_max = std::size_t{64} << 20;

struct text_line {
  std::uint64_t number = 0; ///< from 1
  std::string_view text{};  ///< without its end; valid until the next call
  bool too_long = false;    ///< then `text` is empty
};

/// Move-only; owns the open file.
class line_reader {
public:
  /// Errors: invalid_request, with the reason, if it is no regular file or cannot be opened. It must be a regular one
  /// because a replay reads it twice.
  static result<line_reader> open(const std::filesystem::path& path, std::size_t bytes_max = line_bytes_max);

  line_reader(line_reader&& other) noexcept;
  line_reader& operator=(line_reader&& other) noexcept;
  ~line_reader();

  /// The next line; nothing at the end. The last one needs no line end. Errors: internal, if reading fails.
  result<std::optional<text_line>> next();

private:
  line_reader(int fd, std::size_t bytes_max);
  /// Reads more behind what is there. False at the end of the file.
  result<bool> fill();

  int fd_ = -1;
  std::size_t bytes_max_ = line_bytes_max;
  std::vector<char> buffer_;
  std::size_t begin_ = 0; ///< of what is not yet given out
  std::size_t end_ = 0;
  std::uint64_t lines_ = 0;
};

} // namespace colloquy::cli
