// Either judge alone, so that neither is there for show.
#include "gateway/jwt_signature.hpp"
#include "tests/gateway/token_maker.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using gateway::is_hs256_signature;
using gateway::is_signed_by;
using gateway::jwt_algorithm;
using gateway::libjwt_accepts;

namespace {

const std::string secret = "a secret of at least 32 characters, made up";
const std::string claims = R"({"tenant":"acme"})";

gateway::jwt_public_key public_key(const signing_key& key) {
  auto keys = gateway::read_jwk_set(R"({"keys":[)" + key.jwk() + "]}");
  if (!keys)
    FAIL(keys.failure().message);
  return keys->front();
}

std::string flipped(std::string bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

} // namespace

TEST_CASE("an HS256 code is right as a whole or not at all", "[jwt]") {
  const std::string text = "header.claims";
  const auto code = hs256(text, secret);
  CHECK(is_hs256_signature(secret, text, code));
  for (std::size_t at = 0; at < code.size(); ++at)
    CHECK_FALSE(is_hs256_signature(secret, text, flipped(code, at)));
  CHECK_FALSE(is_hs256_signature(secret, text, code.substr(0, 31)));
  CHECK_FALSE(is_hs256_signature(secret, text, code + '\0'));
  CHECK_FALSE(is_hs256_signature(secret, text, ""));
  CHECK_FALSE(is_hs256_signature(secret, text + ".", code));
  CHECK_FALSE(is_hs256_signature(secret + ".", text, code));
}

TEST_CASE("a public key's signature is over this text, by this key", "[jwt]") {
  const std::string text = "header.claims";
  for (const auto& key : {signing_key::rsa(2048), signing_key::curve("P-256")}) {
    const auto known = public_key(key);
    const auto signature = key.sign(text);
    CHECK(is_signed_by(known, text, signature));
    CHECK_FALSE(is_signed_by(known, text + ".", signature));
    CHECK_FALSE(is_signed_by(known, text, ""));
    CHECK_FALSE(is_signed_by(known, text, signature + '\0'));
    CHECK_FALSE(is_signed_by(known, text, signature.substr(1)));
    for (std::size_t at = 0; at < signature.size(); at += 7)
      CHECK_FALSE(is_signed_by(known, text, flipped(signature, at)));
    CHECK_FALSE(is_signed_by(public_key(signing_key::rsa(2048)), text, signature));
    CHECK_FALSE(is_signed_by(public_key(signing_key::curve("P-256")), text, signature));
  }
}

TEST_CASE("libjwt looks at the signature, too, and goes by the algorithm that is asked for", "[jwt]") {
  const auto rsa = signing_key::rsa(2048);
  const auto p256 = signing_key::curve("P-256");
  const auto hs = token(R"({"alg":"HS256"})", claims, secret);
  const auto rs = token(R"({"alg":"RS256"})", claims, rsa);
  const auto es = token(R"({"alg":"ES256"})", claims, p256);
  CHECK(libjwt_accepts(hs, jwt_algorithm::hs256, secret));
  CHECK(libjwt_accepts(rs, jwt_algorithm::rs256, rsa.public_pem()));
  CHECK(libjwt_accepts(es, jwt_algorithm::es256, p256.public_pem()));
  CHECK_FALSE(libjwt_accepts(hs, jwt_algorithm::hs256, secret + "."));
  CHECK_FALSE(libjwt_accepts(rs, jwt_algorithm::rs256, signing_key::rsa(2048).public_pem()));
  CHECK_FALSE(libjwt_accepts(es, jwt_algorithm::es256, signing_key::curve("P-256").public_pem()));
  CHECK_FALSE(libjwt_accepts(hs, jwt_algorithm::rs256, secret));
  CHECK_FALSE(
      libjwt_accepts(token(R"({"alg":"HS256"})", claims, rsa.public_pem()), jwt_algorithm::rs256, rsa.public_pem()));
  CHECK_FALSE(libjwt_accepts(token(R"({"alg":"HS512"})", claims, secret), jwt_algorithm::hs256, secret));
  CHECK_FALSE(libjwt_accepts(unsigned_token(R"({"alg":"none"})", claims) + ".", jwt_algorithm::hs256, secret));
}
