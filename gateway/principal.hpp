// Who calls.
#pragma once

#include "messages/clock.hpp"
#include "messages/tenant.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::gateway {

enum class principal_kind : std::uint8_t {
  nobody,   ///< no key was shown where one is needed, or none for a call that is open to all
  local,    ///< no key is needed: this machine alone is served, and no tenant has a key
  key,      ///< an API key
  token,    ///< a JWT
  operator_ ///< the admin key
};

struct principal {
  principal_kind kind = principal_kind::nobody;
  tenant_id tenant{}; ///< of an operator the one that a call names in its path
  key_scopes scopes{};
  std::optional<std::string> as_user{}; ///< sees only what this user sees
  std::string name{};                   ///< for the audit log
  key_id key{};
  std::optional<timestamp> valid_until{};
  std::vector<std::string> audience{}; ///< of a token: for whom it is
  std::string token_sha256{};          ///< of a token without a subject: what tells it from others; hexadecimal

  bool is_operator() const noexcept { return kind == principal_kind::operator_; }
};

} // namespace colloquy::gateway
