#include "messages/text_checks.hpp"

#include <cstdint>
#include <cstring>

namespace colloquy {
namespace {

/// Length of the sequence that begins at `at`, or 0 if it is not valid there.
std::size_t sequence_length(const unsigned char* at, std::size_t left) noexcept {
  const auto is_tail = [&](std::size_t i) { return i < left && (at[i] & 0xc0) == 0x80; };
  const unsigned char first = at[0];
  if (first >= 0xc2 && first <= 0xdf)
    return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!is_tail(1) || !is_tail(2) || (first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f))
      return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!is_tail(1) || !is_tail(2) || !is_tail(3) || (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
      return 0;
    return 4;
  }
  return 0;
}

/// Eight bytes at once: all of them 0x01 to 0x7f?
bool is_plain(const unsigned char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  const bool has_high_bit = (word & 0x8080808080808080u) != 0;
  const bool may_have_zero = ((word - 0x0101010101010101u) & 0x8080808080808080u) != 0;
  return !has_high_bit && !may_have_zero;
}

} // namespace

bool is_storable_text(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    std::size_t length = 0;
    if (left >= 8 && is_plain(at))
      length = 8;
    else if (*at < 0x80)
      length = *at == 0 ? 0 : 1;
    else
      length = sequence_length(at, left);
    if (length == 0)
      return false;
    at += length;
    left -= length;
  }
  return true;
}

std::size_t count_characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (char c : text)
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

} // namespace colloquy
