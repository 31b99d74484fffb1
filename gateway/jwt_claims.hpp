// What a token says, once its signature is known to be good: whom it speaks for, what that one may do, and until when.
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// Whom a token speaks for.
struct jwt_identity {
  tenant_id tenant;
  std::string subject;      ///< its sub, or empty: 1 to limits::name_chars_max characters
  bool user_scoped = false; ///< it sees only rows whose user is `subject`, which is not empty then
  bool read = false;
  bool write = false;
  bool admin = false; ///< never together with user_scoped
  std::optional<timestamp> expires_at{};
  std::vector<std::string> audience{}; ///< its aud
};

/// What a token's claims are held against.
struct jwt_claim_rules {
  std::string tenant_claim;
  std::optional<std::string> issuer{};   ///< none: any
  std::optional<std::string> audience{}; ///< none: any
};

/// Between the issuer's clock and ours.
inline constexpr std::chrono::seconds jwt_leeway{30};

/// Reads a token's claims, a JSON object:
/// - exp is required and not over; nbf and iat, if there, are not ahead; all with jwt_leeway, in seconds since 1970.
/// - iss is the issuer, aud is the audience or has it among others, where the rules name them.
/// - the tenant claim is a tenant's name.
/// - scope, a text of words or an array of them: read, write, admin; none of these means read and write. `user`
/// confines
///   to the rows of sub, which must be there then, and does not go with admin. Other words are other services'.
/// Errors: unauthenticated; the message names the claim, and no value but what is allowed.
result<jwt_identity> read_jwt_claims(std::string_view json, const jwt_claim_rules& rules, timestamp now);

} // namespace colloquy::gateway
