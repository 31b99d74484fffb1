#include "gateway/secrets.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace colloquy::gateway {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view key_mark = "cq_";
constexpr std::string_view admin_mark = "cqa_";
constexpr std::size_t prefix_length = 12;
constexpr std::size_t secret_length = 43; // of 62 letters each: 256 bits

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

} // namespace

std::string sha256(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(bytes_of(text), text.size(), digest.data());
  return {digest.begin(), digest.end()};
}

std::string sha256_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : sha256(text)) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::optional<std::string> random_text(std::size_t length) {
  std::string out;
  std::array<unsigned char, 64> bytes{};
  constexpr auto fair = 256 / alphabet.size() * alphabet.size();
  while (out.size() < length) {
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
      return std::nullopt;
    for (const auto byte : bytes)
      if (byte < fair && out.size() < length)
        out += alphabet[byte % alphabet.size()];
  }
  return out;
}

bool is_equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<new_key> make_key() {
  const auto prefix = random_text(prefix_length), secret = random_text(secret_length);
  if (!prefix || !secret)
    return std::nullopt;
  return new_key{std::string(key_mark) + *prefix + "_" + *secret, *prefix};
}

std::optional<std::string> make_admin_key() {
  const auto secret = random_text(secret_length);
  return secret ? std::optional(std::string(admin_mark) + *secret) : std::nullopt;
}

std::optional<std::string> prefix_of_key(std::string_view text) {
  if (!text.starts_with(key_mark) || text.size() != key_mark.size() + prefix_length + 1 + secret_length)
    return std::nullopt;
  const auto prefix = text.substr(key_mark.size(), prefix_length);
  const auto rest = text.substr(key_mark.size() + prefix_length);
  const auto is_plain = [](std::string_view part) {
    return part.find_first_not_of(alphabet) == std::string_view::npos;
  };
  if (!rest.starts_with('_') || !is_plain(prefix) || !is_plain(rest.substr(1)))
    return std::nullopt;
  return std::string(prefix);
}

} // namespace colloquy::gateway
