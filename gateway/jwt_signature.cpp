#include "gateway/jwt_signature.hpp"

#include <jwt.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <memory>

namespace colloquy::gateway {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* pointer) const noexcept {
    Free(pointer);
  }
};
using digest_ptr = std::unique_ptr<EVP_MD_CTX, freed_by<EVP_MD_CTX_free>>;
using ecdsa_ptr = std::unique_ptr<ECDSA_SIG, freed_by<ECDSA_SIG_free>>;
using jwt_ptr = std::unique_ptr<jwt_t, freed_by<jwt_free>>;

constexpr std::size_t p256_bytes = 32; // of either half of a signature

const unsigned char* raw(std::string_view bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// OpenSSL wants an ES256 signature's halves in DER; empty if it is none.
std::string to_der(std::string_view halves) {
  if (halves.size() != 2 * p256_bytes)
    return {};
  const ecdsa_ptr signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(raw(halves), p256_bytes, nullptr);
  BIGNUM* s = BN_bin2bn(raw(halves.substr(p256_bytes)), p256_bytes, nullptr);
  if (!signature || r == nullptr || s == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0)
    return {};
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

jwt_alg_t libjwts(jwt_algorithm algorithm) noexcept {
  switch (algorithm) {
  case jwt_algorithm::hs256:
    return JWT_ALG_HS256;
  case jwt_algorithm::rs256:
    return JWT_ALG_RS256;
  case jwt_algorithm::es256:
    return JWT_ALG_ES256;
  }
  return JWT_ALG_NONE;
}

} // namespace

bool is_hs256_signature(std::string_view secret, std::string_view signed_text, std::string_view signature) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> code{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), raw(signed_text), signed_text.size(),
           code.data(), &size) == nullptr)
    return false;
  return signature.size() == size && CRYPTO_memcmp(signature.data(), code.data(), size) == 0;
}

bool is_signed_by(const jwt_public_key& key, std::string_view signed_text, std::string_view signature) {
  const auto given = key.algorithm == jwt_algorithm::es256 ? to_der(signature) : std::string(signature);
  const digest_ptr digest(EVP_MD_CTX_new());
  if (given.empty() || !digest)
    return false;
  return EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.key.get()) == 1 &&
         EVP_DigestVerify(digest.get(), raw(given), given.size(), raw(signed_text), signed_text.size()) == 1;
}

bool libjwt_accepts(const std::string& token, jwt_algorithm algorithm, std::string_view key) {
  jwt_t* decoded = nullptr;
  if (jwt_decode(&decoded, token.c_str(), raw(key), static_cast<int>(key.size())) != 0)
    return false;
  const jwt_ptr owned(decoded);
  return owned && jwt_get_alg(decoded) == libjwts(algorithm);
}

} // namespace colloquy::gateway
