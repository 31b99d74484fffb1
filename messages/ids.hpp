// Strong identifiers. A session's id cannot be passed where a turn's is wanted.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy {

/// 16 bytes in network order, as PostgreSQL's binary format has them.
using uuid_bytes = std::array<std::uint8_t, 16>;

/// A new UUIDv7 (RFC 9562): milliseconds of the wall clock, then random bits; within one thread strictly rising.
/// The random bits come from the operating system. Thread-safe.
uuid_bytes new_uuid_v7();

/// Lower-case canonical text, 36 characters.
std::string uuid_to_string(const uuid_bytes& bytes);

/// Canonical text, upper or lower case; nothing else.
std::optional<uuid_bytes> uuid_from_string(std::string_view text);

template <class Tag>
struct uuid_id {
  uuid_bytes bytes{};

  static uuid_id make() { return {new_uuid_v7()}; }
  static std::optional<uuid_id> parse(std::string_view text) {
    if (auto parsed = uuid_from_string(text))
      return uuid_id{*parsed};
    return std::nullopt;
  }
  std::string to_string() const { return uuid_to_string(bytes); }
  bool is_nil() const noexcept { return bytes == uuid_bytes{}; }
  auto operator<=>(const uuid_id&) const = default;
};

using session_id = uuid_id<struct session_tag>;
using log_id = uuid_id<struct log_tag>;
using turn_id = uuid_id<struct turn_tag>;
using process_id = uuid_id<struct process_tag>;
using key_id = uuid_id<struct key_tag>;
using audit_id = uuid_id<struct audit_tag>;

/// A tenant's name: 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit. It stands in settings and
/// metric labels, hence the narrow alphabet.
class tenant_id {
public:
  tenant_id() = default;
  static std::optional<tenant_id> parse(std::string_view text);
  const std::string& text() const noexcept { return text_; }
  auto operator<=>(const tenant_id&) const = default;

private:
  explicit tenant_id(std::string text)
    : text_(std::move(text)) {}
  std::string text_;
};

} // namespace colloquy

template <class Tag>
struct std::hash<colloquy::uuid_id<Tag>> {
  // The last eight bytes of a UUIDv7 are random, so they are a hash already.
  std::size_t operator()(const colloquy::uuid_id<Tag>& id) const noexcept {
    std::uint64_t tail = 0;
    std::memcpy(&tail, id.bytes.data() + 8, sizeof tail);
    return static_cast<std::size_t>(tail);
  }
};

template <>
struct std::hash<colloquy::tenant_id> {
  std::size_t operator()(const colloquy::tenant_id& id) const noexcept { return std::hash<std::string>{}(id.text()); }
};
