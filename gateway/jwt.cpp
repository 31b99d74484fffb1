#include "gateway/jwt.hpp"

#include "gateway/base64url.hpp"
#include "gateway/jwt_signature.hpp"
#include "messages/content.hpp"

#include <nlohmann/json.hpp>
#include <openssl/err.h>

#include <algorithm>
#include <fstream>
#include <optional>

namespace colloquy::gateway {
namespace {

using nlohmann::json;

constexpr int header_depth_max = 8;

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
  const auto key = find_key(*header, *parts);
  if (!key)
    return key.failure();
  // The claims are read from the bytes that the signature is over.
  auto who = read_jwt_claims(base64url_decode(parts->claims).value_or(""), rules_, now);
  if (who && !libjwt_accepts(std::string(token), header->algorithm, *key))
    return wrong_signature();
  return who;
}

result<jwt_verifier::token_parts> jwt_verifier::split(std::string_view token) {
  if (token.size() > jwt_bytes_max)
    return refusal("the token is longer than " + std::to_string(jwt_bytes_max) + " bytes");
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos)
    return refusal("the token is no signed JWT: it must have three parts");
  token_parts parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(0, second), {}};
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

result<std::string_view> jwt_verifier::find_key(const token_header& header, const token_parts& parts) const {
  return header.algorithm == jwt_algorithm::hs256 ? find_secret(parts) : find_public_key(header, parts);
}

result<std::string_view> jwt_verifier::find_secret(const token_parts& parts) const {
  if (secret_.empty())
    return refusal("the token's alg is HS256, and no jwt_secret is set here");
  if (!is_hs256_signature(secret_, parts.signed_text, parts.signature))
    return wrong_signature();
  return std::string_view(secret_);
}

result<std::string_view> jwt_verifier::find_public_key(const token_header& header, const token_parts& parts) const {
  bool is_one_fit = false;
  for (const auto& key : keys_) {
    if (key.algorithm != header.algorithm || (header.key_id && key.id != header.key_id))
      continue;
    is_one_fit = true;
    if (is_signed_by(key, parts.signed_text, parts.signature))
      return std::string_view(key.pem);
  }
  if (is_one_fit)
    return wrong_signature();
  return refusal("there is no key for the token's alg " + std::string(to_string(header.algorithm)) +
                 (header.key_id ? " and kid" : ""));
}

} // namespace colloquy::gateway
