// What an API key of Supabase is, and whether all of it is there, without showing any of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::config {

enum class key_kind {
  anon_jwt,         ///< older: a JWT whose payload says the role anon
  service_role_jwt, ///< older: a JWT whose payload says the role service_role
  other_jwt,        ///< a JWT of another role, or one that cannot be read
  secret,           ///< sb_secret_..., takes the place of service_role
  publishable,      ///< sb_publishable_..., takes the place of anon
  unknown,
};

/// For a person: "a service_role key (JWT)".
std::string_view to_string(key_kind kind) noexcept;

/// True for keys that Supabase lets past row level security.
bool is_privileged(key_kind kind) noexcept;

struct key_shape {
  key_kind kind = key_kind::unknown;
  std::size_t length = 0;           ///< in bytes
  std::optional<std::string> fault; ///< why it cannot be whole: "looks truncated: ..."; never a part of the key
};

/// Looks at the form alone. The role of a JWT is read and not verified, so this is for advice, never for access.
key_shape shape_of(std::string_view key);

/// "a service_role key (JWT), 219 characters", and the fault if there is one.
std::string describe(const key_shape& shape);

} // namespace colloquy::config
