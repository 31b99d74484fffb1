// Bytes that wait to be written: added behind, taken in front in small pieces. What is left is moved only when as much
// of it has been taken, so that a piece costs what it is long, however much waits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace colloquy::cli {

class byte_queue {
public:
  std::string_view waiting() const noexcept { return std::string_view(bytes_).substr(taken_); }
  std::size_t size() const noexcept { return bytes_.size() - taken_; }
  bool empty() const noexcept { return size() == 0; }

  void add(std::string_view bytes) { bytes_ += bytes; }
  /// In front of all that waits.
  void add_first(std::string_view bytes) {
    bytes_.replace(0, taken_, bytes);
    taken_ = 0;
  }
  void take(std::size_t count) {
    taken_ += count;
    if (taken_ < bytes_.size() - taken_)
      return;
    bytes_.erase(0, taken_);
    taken_ = 0;
    if (bytes_.empty() && bytes_.capacity() > kept_bytes_max)
      bytes_ = {};
  }

private:
  static constexpr std::size_t kept_bytes_max = std::size_t{1} << 20;

  std::string bytes_;
  std::size_t taken_ = 0;
};

} // namespace colloquy::cli
