#include "gateway/jwt.hpp"

#include "gateway/base64url.hpp"
#include "messages/content.hpp"

#include <jwt.h>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <fstream>
#include <memory>
#include <optional>

namespace colloquy::gateway {
namespace {

using nlohmann::json;

constexpr int header_depth_max = 8;

struct jwt_deleter {
  void operator()(jwt_t* token) const noexcept { jwt_free(token); }
};

/// While this lives, what OpenSSL notes of failures stays away from the thread's queue, in which TLS on the same thread
/// looks for its own.
class openssl_errors_apart {
public:
  openssl_errors_apart() { ERR_set_mark(); }
  ~openssl_errors_apart() { ERR_pop_to_mark(); }
  openssl_errors_apart(const openssl_errors_apart&) = delete;
  openssl_errors_apart& operator=(const openssl_errors_apart&) = delete;
};

error refusal(std::string message) {
  return {error_code::unauthenticated, std::move(message)};
}

error wrong_signature() {
  return refusal("the token's signature is wrong");
}

const unsigned char* raw(std::string_view bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// What libjwt says of the signature. The algorithm that it went by must be the one that the key is for.
bool libjwt_accepts(const std::string& token, jwt_algorithm algorithm, std::string_view key) {
  jwt_t* decoded = nullptr;
  const int failed = jwt_decode(&decoded, token.c_str(), raw(key), static_cast<int>(key.size()));
  const std::unique_ptr<jwt_t, jwt_deleter> owned(failed == 0 ? decoded : nullptr);
  if (!owned)
    return false;
  switch (algorithm) {
  case jwt_algorithm::hs256:
    return jwt_get_alg(decoded) == JWT_ALG_HS256;
  case jwt_algorithm::rs256:
    return jwt_get_alg(decoded) == JWT_ALG_RS256;
  case jwt_algorithm::es256:
    return jwt_get_alg(decoded) == JWT_ALG_ES256;
  }
  return false;
}

std::optional<jwt_algorithm> parse_algorithm(const std::string& name) {
  for (const auto each : {jwt_algorithm::hs256, jwt_algorithm::rs256, jwt_algorithm::es256})
    if (name == to_string(each))
      return each;
  return std::nullopt;
}

bool is_jwt_type(std::string_view type) {
  constexpr std::string_view wanted = "jwt";
  return type.size() == wanted.size() && std::equal(type.begin(), type.end(), wanted.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(jwk_set_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.eof() && file.fail())
    return error{error_code::invalid_request, "it cannot be read"};
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

} // namespace

/// Views of the token: each of them has been found to be base64url.
struct jwt_verifier::token_parts {
  std::string_view token;
  std::string_view header;
  std::string_view claims;
  std::string_view signed_text; ///< header, dot, claims
  std::string signature;        ///< decoded
};

struct jwt_verifier::token_header {
  jwt_algorithm algorithm = jwt_algorithm::hs256;
  std::optional<std::string> key_id{};
};

result<jwt_verifier> jwt_verifier::make(const config::settings& settings) {
  jwt_verifier made;
  made.secret_ = settings.jwt_secret.value_or("");
  made.rules_ = {settings.jwt_tenant_claim, settings.jwt_issuer, settings.jwt_audience};
  if (!settings.jwt_jwks_file)
    return made;
  const auto refuse = [&](const error& why) {
    return error{error_code::invalid_request,
                 "jwt_jwks_file: " + settings.jwt_jwks_file->string() + ": " + why.message};
  };
  const auto text = read_file(*settings.jwt_jwks_file);
  if (!text)
    return refuse(text.failure());
  auto keys = read_jwk_set(*text);
  if (!keys)
    return refuse(keys.failure());
  made.keys_ = std::move(*keys);
  return made;
}

result<jwt_identity> jwt_verifier::verify(std::string_view token, timestamp now) const noexcept {
  try {
    return verify_or_throw(token, now);
  } catch (...) { // memory, or a reader of JSON that has changed its mind: no token is good for that
    return refusal("the token cannot be read");
  }
}

result<jwt_identity> jwt_verifier::verify_or_throw(std::string_view token, timestamp now) const {
  const openssl_errors_apart apart;
  const auto parts = split(token);
  if (!parts)
    return parts.failure();
  const auto header = read_header(parts->header);
  if (!header)
    return header.failure();
  if (const auto checked = check_signature(*header, *parts); !checked)
    return checked.failure();
  // The claims are read from the bytes that the signature is over.
  return read_jwt_claims(base64url_decode(parts->claims).value_or(""), rules_, now);
}

result<jwt_verifier::token_parts> jwt_verifier::split(std::string_view token) {
  if (token.size() > jwt_bytes_max)
    return refusal("the token is longer than " + std::to_string(jwt_bytes_max) + " bytes");
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos)
    return refusal("the token is no signed JWT: it must have three parts");
  token_parts parts{
      token, token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(0, second), {}};
  auto signature = base64url_decode(token.substr(second + 1));
  if (!signature || parts.header.empty() || parts.claims.empty() || !base64url_decode(parts.claims))
    return refusal("the token is no signed JWT: its parts must be base64url");
  if (signature->empty())
    return refusal("the token is not signed");
  parts.signature = std::move(*signature);
  return parts;
}

result<jwt_verifier::token_header> jwt_verifier::read_header(std::string_view encoded) {
  const auto text = base64url_decode(encoded);
  // So that no member is there twice: libjwt would go by one of them, and we by the other.
  if (!text || !check_json(*text, header_depth_max))
    return refusal("the token's header is no JSON");
  const auto header = json::parse(*text, nullptr, false);
  if (!header.is_object())
    return refusal("the token's header is no JSON object");
  for (const char* forbidden : {"crit", "jwk", "jku", "x5u", "x5c"})
    if (header.contains(forbidden))
      return refusal("the token's header has a " + std::string(forbidden) + ", which is not taken");
  const auto type = header.find("typ");
  if (type != header.end() && (!type->is_string() || !is_jwt_type(type->get<std::string>())))
    return refusal("the token's typ must be JWT, or not be there");
  const auto name = header.find("alg");
  const auto algorithm =
      name != header.end() && name->is_string() ? parse_algorithm(name->get<std::string>()) : std::nullopt;
  if (!algorithm)
    return refusal("the token's alg must be HS256, RS256 or ES256");
  token_header read{*algorithm};
  if (const auto id = header.find("kid"); id != header.end()) {
    if (!id->is_string())
      return refusal("the token's kid must be a text");
    read.key_id = id->get<std::string>();
  }
  return read;
}

result<void> jwt_verifier::check_signature(const token_header& header, const token_parts& parts) const {
  return header.algorithm == jwt_algorithm::hs256 ? check_hs256(parts) : check_public_key(header, parts);
}

// Not every libjwt that is packaged compares in constant time: 1.15.3 does it with strcmp (CVE-2024-25189; Debian 12's
// 1.10.2 is patched, 1.17.0 has it mended). So OpenSSL makes the code anew and compares it, in constant time, and only
// a token that passed comes before libjwt: there is nothing left that its comparison could tell by its time.
result<void> jwt_verifier::check_hs256(const token_parts& parts) const {
  if (secret_.empty())
    return refusal("the token's alg is HS256, and no jwt_secret is set here");
  std::array<unsigned char, EVP_MAX_MD_SIZE> code{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), raw(parts.signed_text),
           parts.signed_text.size(), code.data(), &size) == nullptr)
    return refusal("the token's signature cannot be checked");
  if (parts.signature.size() != size || CRYPTO_memcmp(parts.signature.data(), code.data(), size) != 0)
    return wrong_signature();
  if (!libjwt_accepts(std::string(parts.token), jwt_algorithm::hs256, secret_))
    return wrong_signature();
  return {};
}

result<void> jwt_verifier::check_public_key(const token_header& header, const token_parts& parts) const {
  const std::string token(parts.token);
  bool is_one_fit = false;
  for (const auto& key : keys_) {
    if (key.algorithm != header.algorithm || (header.key_id && key.id != header.key_id))
      continue;
    is_one_fit = true;
    if (libjwt_accepts(token, key.algorithm, key.pem))
      return {};
  }
  if (is_one_fit)
    return wrong_signature();
  return refusal("there is no key for the token's alg " + std::string(to_string(header.algorithm)) +
                 (header.key_id ? " and kid" : ""));
}

} // namespace colloquy::gateway
