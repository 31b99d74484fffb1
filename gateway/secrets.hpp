// API keys: how they are made, what is kept of them, how they are compared.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// 32 bytes.
std::string sha256(std::string_view text);
/// 64 hexadecimal digits.
std::string sha256_hex(std::string_view text);

/// Letters and digits, each equally likely: 43 of them are 256 bits. Nothing if the operating system has no random
/// bytes.
std::optional<std::string> random_text(std::size_t length);

/// Takes as long whether the texts differ in their first byte or their last.
bool is_equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// cq_PREFIX_SECRET: a prefix of 12 letters and digits that the key is found by, and a secret of 43, which is 256 bits.
struct new_key {
  std::string text;   ///< shown once
  std::string prefix; ///< as find_key wants it
};
/// Errors: none if the operating system has no random bytes.
std::optional<new_key> make_key();
/// cqa_SECRET.
std::optional<std::string> make_admin_key();

/// The prefix of something that looks like a key; none if it does not.
std::optional<std::string> prefix_of_key(std::string_view text);

} // namespace colloquy::gateway
