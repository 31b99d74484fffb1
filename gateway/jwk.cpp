#include "gateway/jwk.hpp"

#include "gateway/base64url.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"

#include <nlohmann/json.hpp>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>

namespace colloquy::gateway {
namespace {

using nlohmann::json;

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* pointer) const noexcept {
    Free(pointer);
  }
};
using bignum_ptr = std::unique_ptr<BIGNUM, freed_by<BN_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using key_context_ptr = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;
using parameters_ptr = std::unique_ptr<OSSL_PARAM, freed_by<OSSL_PARAM_free>>;
using parameters_builder_ptr = std::unique_ptr<OSSL_PARAM_BLD, freed_by<OSSL_PARAM_BLD_free>>;

constexpr int rsa_bits_min = 2048;
constexpr int rsa_bits_max = 8192;        // beyond it, checking a signature costs too much for anyone's asking
constexpr int rsa_exponent_bits_max = 64; // the same
constexpr std::size_t p256_bytes = 32;    // of a coordinate
constexpr std::size_t coordinates_bytes_max = 2048;
constexpr int jwk_depth_max = 16;

error refusal(std::string message) {
  return {error_code::invalid_request, std::move(message)};
}

/// The member as a string; nothing if it is missing or none.
std::optional<std::string> text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string())
    return std::nullopt;
  return found->get<std::string>();
}

/// A large number or a coordinate: bytes, most significant first.
std::optional<std::string> bytes_of(const json& object, const char* name) {
  const auto text = text_of(object, name);
  if (!text || text->size() > coordinates_bytes_max)
    return std::nullopt;
  auto bytes = base64url_decode(*text);
  if (!bytes || bytes->empty())
    return std::nullopt;
  return bytes;
}

const unsigned char* raw(const std::string& bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

key_ptr make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const parameters_ptr parameters(OSSL_PARAM_BLD_to_param(builder));
  const key_context_ptr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return key_ptr(key);
}

bool is_sound(EVP_PKEY* key) {
  const key_context_ptr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return context && EVP_PKEY_public_check(context.get()) == 1;
}

result<key_ptr> rsa_key(const json& jwk) {
  const auto modulus = bytes_of(jwk, "n");
  const auto exponent = bytes_of(jwk, "e");
  if (!modulus || !exponent)
    return refusal("its n and e must be numbers in base64url");
  const bignum_ptr n(BN_bin2bn(raw(*modulus), static_cast<int>(modulus->size()), nullptr));
  const bignum_ptr e(BN_bin2bn(raw(*exponent), static_cast<int>(exponent->size()), nullptr));
  const parameters_builder_ptr builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder)
    return refusal("there is not enough memory for it");
  if (BN_num_bits(n.get()) < rsa_bits_min || BN_num_bits(n.get()) > rsa_bits_max)
    return refusal("it has " + std::to_string(BN_num_bits(n.get())) + " bits; " + std::to_string(rsa_bits_min) +
                   " to " + std::to_string(rsa_bits_max) + " are allowed");
  if (BN_num_bits(e.get()) < 2 || BN_num_bits(e.get()) > rsa_exponent_bits_max || BN_is_odd(e.get()) == 0)
    return refusal("its exponent must be odd, 3 or more, of at most " + std::to_string(rsa_exponent_bits_max) +
                   " bits");
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return refusal("there is not enough memory for it");
  return make_key("RSA", builder.get());
}

result<key_ptr> p256_key(const json& jwk) {
  const auto x = bytes_of(jwk, "x");
  const auto y = bytes_of(jwk, "y");
  if (!x || !y || x->size() != p256_bytes || y->size() != p256_bytes)
    return refusal("its x and y must be " + std::to_string(p256_bytes) + " bytes each, in base64url");
  const std::string point = '\x04' + *x + *y; // not compressed
  const parameters_builder_ptr builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return refusal("there is not enough memory for it");
  return make_key("EC", builder.get());
}

result<std::string> to_pem(EVP_PKEY* key) {
  const bio_ptr written(BIO_new(BIO_s_mem()));
  if (!written || PEM_write_bio_PUBKEY(written.get(), key) != 1)
    return refusal("it cannot be written as PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(written.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

result<jwt_public_key> read_key(const json& jwk, jwt_algorithm algorithm) {
  auto key = algorithm == jwt_algorithm::rs256 ? rsa_key(jwk) : p256_key(jwk);
  if (!key)
    return key.failure();
  if (!*key || !is_sound(key->get()))
    return refusal("it is no key of its kind");
  auto pem = to_pem(key->get());
  if (!pem)
    return pem.failure();
  return jwt_public_key{algorithm, text_of(jwk, "kid"), std::move(*key), std::move(*pem)};
}

/// What the key is for, as far as it is for tokens of ours; nothing for all others.
std::optional<jwt_algorithm> algorithm_of(const json& jwk) {
  const auto type = text_of(jwk, "kty");
  std::optional<jwt_algorithm> algorithm;
  if (type == "RSA")
    algorithm = jwt_algorithm::rs256;
  else if (type == "EC" && text_of(jwk, "crv") == "P-256")
    algorithm = jwt_algorithm::es256;
  if (!algorithm)
    return std::nullopt;
  if (jwk.contains("alg") && text_of(jwk, "alg") != std::string(to_string(*algorithm)))
    return std::nullopt;
  if (jwk.contains("use") && text_of(jwk, "use") != "sig")
    return std::nullopt;
  const auto operations = jwk.find("key_ops");
  if (operations != jwk.end() &&
      (!operations->is_array() || std::find(operations->begin(), operations->end(), "verify") == operations->end()))
    return std::nullopt;
  return algorithm;
}

result<std::vector<jwt_public_key>> read_keys(const json& keys) {
  std::vector<jwt_public_key> found;
  for (std::size_t place = 0; place < keys.size(); ++place) {
    const auto& jwk = keys[place];
    const auto algorithm = jwk.is_object() ? algorithm_of(jwk) : std::nullopt;
    if (!algorithm)
      continue;
    auto key = read_key(jwk, *algorithm);
    if (!key) {
      const auto id = text_of(jwk, "kid");
      return refusal("key " + std::to_string(place) + (id ? " (kid " + colloquy::quoted(*id) + ")" : "") + ": " +
                     key.failure().message);
    }
    if (found.size() == jwk_keys_max)
      return refusal("it has more than " + std::to_string(jwk_keys_max) + " keys for RS256 and ES256");
    found.push_back(std::move(*key));
  }
  if (found.empty())
    return refusal("it has no key for RS256 (kty RSA) or ES256 (kty EC, crv P-256) tokens");
  return found;
}

} // namespace

std::string_view to_string(jwt_algorithm algorithm) noexcept {
  switch (algorithm) {
  case jwt_algorithm::hs256:
    return "HS256";
  case jwt_algorithm::rs256:
    return "RS256";
  case jwt_algorithm::es256:
    return "ES256";
  }
  return "";
}

result<std::vector<jwt_public_key>> read_jwk_set(std::string_view text) {
  if (text.size() > jwk_set_bytes_max)
    return refusal("it is larger than " + std::to_string(jwk_set_bytes_max) + " bytes");
  if (const auto checked = check_json(text, jwk_depth_max); !checked)
    return checked.failure();
  const auto set = json::parse(text, nullptr, false);
  const auto keys = set.is_object() ? set.find("keys") : set.end();
  if (!set.is_object() || keys == set.end() || !keys->is_array())
    return refusal("it must be an object with an array \"keys\" (RFC 7517)");
  // What OpenSSL notes of a key that it refuses is not to be found by whoever looks there next, such as TLS.
  ERR_set_mark();
  auto found = read_keys(*keys);
  ERR_pop_to_mark();
  return found;
}

} // namespace colloquy::gateway
