// What both fuzzers share: taking an input apart, and saying what does not hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace colloquy::fuzz {

/// Ends the program, so that both the driver and libFuzzer keep the input.
[[noreturn]] inline void fail(std::string_view what, std::string_view shown) {
  std::fprintf(stderr, "what does not hold: %.*s\nof: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(std::min<std::size_t>(shown.size(), 4000)), shown.data());
  std::abort();
}

inline void hold(bool holds, std::string_view what, std::string_view shown = {}) {
  if (!holds)
    fail(what, shown);
}

/// An input, taken from its front. Parts end at a byte 0x1e (RS), so that a corpus can be read and written by hand.
class input_parts {
public:
  input_parts(const std::uint8_t* data, std::size_t size)
    : rest_(reinterpret_cast<const char*>(data), size) {}

  std::uint8_t byte() {
    if (rest_.empty())
      return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view part() {
    const auto end = std::min(rest_.find('\x1e'), rest_.size());
    const auto part = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return part;
  }
  std::string_view rest() const { return rest_; }

private:
  std::string_view rest_;
};

} // namespace colloquy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
