// JSON Web Tokens as bearer tokens: which key a token must be signed with is decided here, from the settings and never
// from the token; the signature is OpenSSL's and libjwt's to check, the claims are jwt_claims.hpp's.
#pragma once

#include "config/settings.hpp"
#include "gateway/jwk.hpp"
#include "gateway/jwt_claims.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// A longer token is refused unread.
inline constexpr std::size_t jwt_bytes_max = 8 * 1024;

/// A value, made anew when the settings' files are read again; const calls may come from several threads.
class jwt_verifier {
public:
  /// From jwt_secret, jwt_jwks_file (read here, blocking), jwt_issuer, jwt_audience and jwt_tenant_claim.
  /// Errors, invalid_request: the file cannot be read, or jwk.hpp refuses what is in it; named with setting and path.
  static result<jwt_verifier> make(const config::settings& settings);

  /// False if there is neither secret nor key set: then every token is refused.
  bool takes_tokens() const noexcept { return !secret_.empty() || !keys_.empty(); }

  /// Whom the token speaks for. Its alg must be HS256 (only with jwt_secret), or RS256 or ES256 (only with a key of
  /// that kind in the key set; of this kid, if the token names one). A header with crit, jwk, jku, x5u or x5c, which
  /// would have the token choose its own key or rules, is refused, and so is every typ but JWT.
  /// Errors: unauthenticated; the message says what is wrong and never has the token in it. Nothing is thrown.
  /// A good RS256 or ES256 token takes most of a millisecond; a bad one a tenth of it at most, an HS256 one less.
  result<jwt_identity> verify(std::string_view token, timestamp now) const noexcept;

private:
  struct token_parts;
  struct token_header;

  jwt_verifier() = default;
  static result<token_parts> split(std::string_view token);
  static result<token_header> read_header(std::string_view encoded);
  result<jwt_identity> verify_or_throw(std::string_view token, timestamp now) const;
  /// What libjwt is to check the token with, once OpenSSL has found that it was signed with it: see jwt_signature.hpp.
  result<std::string_view> find_key(const token_header& header, const token_parts& parts) const;
  result<std::string_view> find_secret(const token_parts& parts) const;
  result<std::string_view> find_public_key(const token_header& header, const token_parts& parts) const;

  std::string secret_; ///< empty: none
  std::vector<jwt_public_key> keys_;
  jwt_claim_rules rules_;
};

} // namespace colloquy::gateway
