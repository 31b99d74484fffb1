// Whether a token's signature is good: asked of OpenSSL first and of libjwt last, each with a key that the caller
// chose.
#pragma once

#include "gateway/jwk.hpp"

#include <string>
#include <string_view>

namespace colloquy::gateway {

// libjwt has the last word on every token that is taken, and no other token gets as far as libjwt, because
// - its comparison of HS256 codes is not always in constant time: 1.15.3 does it with strcmp (CVE-2024-25189; Debian
//   12's 1.10.2 is patched, 1.17.0 has it mended). Here OpenSSL makes the code anew and compares it in constant time,
//   so libjwt's comparison has nothing left to tell by how long it takes;
// - it reads a public key from PEM for each token, which takes OpenSSL 3.0 most of a millisecond: too much for whoever
//   sends rubbish. Here the key has been read before.
// What is refused may leave a note in OpenSSL's queue of errors, which the caller is to take out again.

/// HS256: in constant time.
bool is_hs256_signature(std::string_view secret, std::string_view signed_text, std::string_view signature);

/// RS256 or ES256, as the key says; `signature` as it is in a token, decoded.
bool is_signed_by(const jwt_public_key& key, std::string_view signed_text, std::string_view signature);

/// What libjwt says of the whole token. The algorithm it went by must be the one given. `key`: the secret, or PEM.
/// `token` must be three parts in base64url, none of them empty.
bool libjwt_accepts(const std::string& token, jwt_algorithm algorithm, std::string_view key);

} // namespace colloquy::gateway
