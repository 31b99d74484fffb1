// Makes tokens and key sets, good and bad, with keys of its own.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace colloquy::test {

inline std::string base64url(std::string_view bytes) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    const auto characters = std::min<std::size_t>(bytes.size() - at, 3) + 1;
    for (std::size_t i = 0; i < characters; ++i)
      text.push_back(alphabet[bits >> (18 - 6 * i) & 63]);
  }
  return text;
}

inline const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// A key pair, RSA or on a curve.
class signing_key {
public:
  static signing_key rsa(unsigned bits) { return signing_key(EVP_RSA_gen(bits)); }
  static signing_key curve(const char* name) { return signing_key(EVP_EC_gen(name)); }

  bool is_rsa() const { return EVP_PKEY_get_base_id(key_.get()) == EVP_PKEY_RSA; }

  /// As JOSE wants it: PKCS #1, or r and s side by side.
  std::string sign(const std::string& text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    std::size_t size = 0;
    EVP_DigestSign(context.get(), nullptr, &size, raw(text), text.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, raw(text), text.size());
    signature.resize(size);
    return is_rsa() ? signature : side_by_side(signature);
  }

  /// The public key's members, as they stand in a JWK.
  std::string members() const {
    if (is_rsa())
      return R"("kty":"RSA","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" + number(OSSL_PKEY_PARAM_RSA_E) +
             '"';
    return R"("kty":"EC","crv":"P-256","x":")" + number(OSSL_PKEY_PARAM_EC_PUB_X, 32) + R"(","y":")" +
           number(OSSL_PKEY_PARAM_EC_PUB_Y, 32) + '"';
  }

  /// With more members in front: jwk(R"("kid":"a")").
  std::string jwk(const std::string& more = "") const {
    return "{" + more + (more.empty() ? "" : ",") + members() + "}";
  }

  std::string public_pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
    PEM_write_bio_PUBKEY(out.get(), key_.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

private:
  explicit signing_key(EVP_PKEY* key)
    : key_(key, &EVP_PKEY_free) {}

  std::string number(const char* name, int size = 0) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    std::string bytes(static_cast<std::size_t>(size != 0 ? size : BN_num_bytes(value)), '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(value);
    return base64url(bytes);
  }

  static std::string side_by_side(const std::string& der) {
    const unsigned char* at = raw(der);
    ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    std::string both(64, '\0');
    auto* out = reinterpret_cast<unsigned char*>(both.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out + 32, 32);
    ECDSA_SIG_free(parsed);
    return both;
  }

  std::shared_ptr<EVP_PKEY> key_{nullptr, &EVP_PKEY_free};
};

inline std::string hs256(const std::string& text, std::string_view secret) {
  unsigned char code[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), raw(text), text.size(), code, &size);
  return {reinterpret_cast<const char*>(code), size};
}

inline std::string unsigned_token(const std::string& header, const std::string& claims) {
  return base64url(header) + "." + base64url(claims);
}

inline std::string token(const std::string& header, const std::string& claims, const signing_key& key) {
  const auto text = unsigned_token(header, claims);
  return text + "." + base64url(key.sign(text));
}

inline std::string token(const std::string& header, const std::string& claims, std::string_view secret) {
  const auto text = unsigned_token(header, claims);
  return text + "." + base64url(hs256(text, secret));
}

} // namespace colloquy::test
