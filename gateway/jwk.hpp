// A JSON Web Key Set (RFC 7517): the public keys that tokens may be signed with.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace colloquy::gateway {

/// The ways a token may be signed; there are no others.
enum class jwt_algorithm { hs256, rs256, es256 };

/// As in a token's header: "RS256".
std::string_view to_string(jwt_algorithm algorithm) noexcept;

/// A public key, good for one algorithm.
struct jwt_public_key {
  jwt_algorithm algorithm = jwt_algorithm::rs256; ///< rs256 or es256
  std::optional<std::string> id{};                ///< the key's kid
  std::shared_ptr<evp_pkey_st> key;               ///< never null, never changed
  std::string pem;                                ///< the same as SubjectPublicKeyInfo
};

/// So many keys of a set are used at most: a token without a kid is tried against each that fits.
inline constexpr std::size_t jwk_keys_max = 32;
inline constexpr std::size_t jwk_set_bytes_max = 1024 * 1024;

/// The keys of a set that RS256 or ES256 tokens can be signed with. Keys for other things are passed over, as a
/// provider's set has them: another kty, curve, alg, use or key_ops. Of private members nothing is read.
/// Errors, invalid_request: it is no key set; none of its keys can be used; one that is meant for us is wrong in itself
/// or weak (RSA of less than 2048 bits or more than 8192, a point off its curve), named by its place and kid.
result<std::vector<jwt_public_key>> read_jwk_set(std::string_view json);

} // namespace colloquy::gateway
