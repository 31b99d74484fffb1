#include "config/key_shape.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace colloquy::config {

namespace {

constexpr std::string_view secret_prefix = "sb_secret_";
constexpr std::string_view publishable_prefix = "sb_publishable_";
/// Every JWT begins so: it is `{"` in base64.
constexpr std::string_view jwt_prefix = "eyJ";
/// After the prefix: 22 characters of chance, a '_', and a checksum of 8.
constexpr std::size_t new_key_tail = 31;
/// No signature that Supabase knows is shorter than that of HS256: 32 bytes.
constexpr std::size_t signature_min = 43;

constexpr std::array<std::pair<std::string_view, std::size_t>, 3> signature_lengths{{
    {"HS256", signature_min},
    {"ES256", 86},
    {"RS256", 342},
}};

constexpr std::string_view base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::vector<std::string_view> parts_of(std::string_view key) {
  std::vector<std::string_view> parts;
  for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    parts.push_back(key.substr(0, dot));
    key.remove_prefix(dot + 1);
  }
  parts.push_back(key);
  return parts;
}

/// As far as it goes: what is cut off may still say something.
std::string decoded(std::string_view text) {
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto digit = base64url.find(c);
    if (digit == std::string_view::npos)
      break;
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xfff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(static_cast<unsigned char>(bits >> count & 0xff));
    }
  }
  return bytes;
}

/// The text of a member of a flat JSON object; nothing if it is not there. Enough for a JWT's own members, whose
/// values have no escapes; no JSON is judged by it.
std::optional<std::string> member_of(std::string_view json, std::string_view name) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto quoted = "\"" + std::string(name) + "\"";
  const auto skip = [&](char expected) {
    const auto next = json.find_first_not_of(blanks);
    const bool is_next = next != std::string_view::npos && json[next] == expected;
    json.remove_prefix(is_next ? next + 1 : 0);
    return is_next;
  };
  for (auto at = json.find(quoted); at != std::string_view::npos; at = json.find(quoted)) {
    json.remove_prefix(at + quoted.size());
    if (skip(':') && skip('"')) {
      const auto end = json.find('"');
      return end == std::string_view::npos ? std::nullopt : std::optional<std::string>(json.substr(0, end));
    }
  }
  return std::nullopt;
}

std::string counted(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string length_fault(std::size_t length, std::size_t whole, std::string_view of) {
  return std::string(length < whole ? "looks truncated: " : "has more than a key: ") + std::string(of) + " has " +
         counted(length, "character") + " and not " + std::to_string(whole);
}

std::optional<std::string> signature_fault(std::string_view header, std::string_view signature) {
  const auto algorithm = member_of(decoded(header), "alg").value_or("");
  for (const auto& [name, length] : signature_lengths) {
    if (name == algorithm)
      return signature.size() == length ? std::nullopt
                                        : std::optional(length_fault(signature.size(), length, "its signature"));
  }
  if (signature.size() < signature_min)
    return length_fault(signature.size(), signature_min, "its signature");
  return std::nullopt;
}

std::optional<std::string> jwt_fault(const std::vector<std::string_view>& parts) {
  if (parts.size() < 3)
    return "looks truncated: it has " + counted(parts.size(), "part") + " and a JWT has 3, with a dot between them";
  if (parts.size() > 3)
    return "has more than a key: it has " + counted(parts.size(), "part") + " and a JWT has 3";
  return signature_fault(parts[0], parts[2]);
}

key_kind jwt_kind(const std::vector<std::string_view>& parts) {
  const auto role = parts.size() > 1 ? member_of(decoded(parts[1]), "role").value_or("") : "";
  if (role == "service_role")
    return key_kind::service_role_jwt;
  return role == "anon" ? key_kind::anon_jwt : key_kind::other_jwt;
}

/// What came along when it was copied: quotes, blanks, the dots or stars of a key that was shown in part.
std::optional<std::string> foreign_character(std::string_view key) {
  if (key.find("...") != std::string_view::npos || key.find("\xE2\x80\xA6") != std::string_view::npos)
    return "looks truncated: it has an ellipsis in it, as a key that is shown in part";
  if (key.find('*') != std::string_view::npos)
    return "is not the key itself: it has stars in it, as a key that is shown hidden";
  if (std::any_of(key.begin(), key.end(),
                  [](char c) { return c != '.' && base64url.find(c) == std::string_view::npos; }))
    return "has characters that no key has, as blanks or quotes around it";
  return std::nullopt;
}

key_shape new_key(key_kind kind, std::string_view key, std::size_t prefix) {
  const auto tail = key.size() - prefix;
  key_shape shape{kind, key.size(), std::nullopt};
  if (tail < new_key_tail)
    shape.fault = length_fault(key.size(), prefix + new_key_tail, "it");
  return shape;
}

key_shape shape_by_prefix(std::string_view key) {
  if (key.starts_with(secret_prefix))
    return new_key(key_kind::secret, key, secret_prefix.size());
  if (key.starts_with(publishable_prefix))
    return new_key(key_kind::publishable, key, publishable_prefix.size());
  if (!key.starts_with(jwt_prefix))
    return {key_kind::unknown, key.size(), std::nullopt};
  const auto parts = parts_of(key);
  return {jwt_kind(parts), key.size(), jwt_fault(parts)};
}

} // namespace

std::string_view to_string(key_kind kind) noexcept {
  switch (kind) {
  case key_kind::anon_jwt:
    return "an anon key (JWT)";
  case key_kind::service_role_jwt:
    return "a service_role key (JWT)";
  case key_kind::other_jwt:
    return "a JWT of another role, or of none that can be read";
  case key_kind::secret:
    return "a secret key (sb_secret_)";
  case key_kind::publishable:
    return "a publishable key (sb_publishable_)";
  case key_kind::unknown:
    break;
  }
  return "no key of a kind that is known";
}

bool is_privileged(key_kind kind) noexcept {
  return kind == key_kind::service_role_jwt || kind == key_kind::secret;
}

key_shape shape_of(std::string_view key) {
  auto shape = shape_by_prefix(key);
  if (auto foreign = foreign_character(key))
    shape.fault = std::move(foreign);
  return shape;
}

std::string describe(const key_shape& shape) {
  return std::string(to_string(shape.kind)) + ", " + counted(shape.length, "character") +
         (shape.fault ? "; " + *shape.fault : "");
}

} // namespace colloquy::config
