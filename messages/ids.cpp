#include "messages/ids.hpp"

#include "messages/hex.hpp"

#include <chrono>
#include <random>

namespace colloquy {
namespace {

std::uint64_t random_bits() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device; // getrandom(2) on Linux
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

constexpr std::size_t uuid_chars = 36;

constexpr bool is_dash_position(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

} // namespace

uuid_bytes new_uuid_v7() {
  using namespace std::chrono;
  // 48 bits of milliseconds and 12 of a counter: ids made by one thread sort in the order they were made, even
  // within a millisecond or when the wall clock steps back.
  thread_local std::uint64_t last = 0;
  auto now = static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
  std::uint64_t stamp = now << 12;
  if (stamp <= last)
    stamp = last + 1;
  last = stamp;

  std::uint64_t high = ((stamp >> 12) << 16) | 0x7000u | (stamp & 0x0fffu);
  std::uint64_t low = (random_bits() >> 2) | (std::uint64_t{1} << 63);
  uuid_bytes out{};
  for (std::size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
    out[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
  }
  return out;
}

std::string uuid_to_string(const uuid_bytes& bytes) {
  std::string out(uuid_chars, '-');
  std::size_t at = 0;
  for (const auto byte : bytes) {
    at += is_dash_position(at) ? 1 : 0;
    out[at++] = hex::digits[byte >> 4];
    out[at++] = hex::digits[byte & 0x0f];
  }
  return out;
}

std::optional<uuid_bytes> uuid_from_string(std::string_view text) {
  if (text.size() != uuid_chars)
    return std::nullopt;
  uuid_bytes out{};
  std::size_t at = 0;
  for (auto& byte : out) {
    if (is_dash_position(at) && text[at++] != '-')
      return std::nullopt;
    const int value = hex::value(text[at]) * 16 | hex::value(text[at + 1]); // less than 0 if either is
    if (value < 0)
      return std::nullopt;
    byte = static_cast<std::uint8_t>(value);
    at += 2;
  }
  return out;
}

std::optional<tenant_id> tenant_id::parse(std::string_view text) {
  if (text.empty() || text.size() > 63)
    return std::nullopt;
  auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!is_alnum(text.front()))
    return std::nullopt;
  for (char c : text)
    if (!is_alnum(c) && c != '-' && c != '_')
      return std::nullopt;
  return tenant_id(std::string(text));
}

} // namespace colloquy
