#include "gateway/jwt.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/gateway/token_maker.hpp"
#include "tests/support/catch.hpp"

#include <openssl/err.h>

#include <random>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using gateway::jwt_verifier;

namespace {

const std::string secret = "a secret of at least 32 characters, made up";
const std::string hs256_header = R"({"alg":"HS256","typ":"JWT"})";
const std::string rs256_header = R"({"alg":"RS256","typ":"JWT"})";
const std::string es256_header = R"({"alg":"ES256","typ":"JWT"})";
const timestamp now{1'800'000'000s};
const std::string good_claims = R"({"tenant":"acme","sub":"ann","exp":1800000600})";

// Making them takes a while, so they are made once.
const signing_key& rsa() {
  static const auto key = signing_key::rsa(2048);
  return key;
}
const signing_key& p256() {
  static const auto key = signing_key::curve("P-256");
  return key;
}

config::settings with_secret() {
  config::settings settings;
  settings.jwt_secret = secret;
  return settings;
}

jwt_verifier made(const config::settings& settings) {
  auto made = jwt_verifier::make(settings);
  if (!made)
    FAIL(made.failure().message);
  return *made;
}

/// Knows the keys given, each a JWK.
jwt_verifier knowing(const std::string& keys, config::settings settings = {}) {
  const temp_folder folder;
  settings.jwt_jwks_file = folder.write("keys.json", R"({"keys":[)" + keys + "]}");
  return made(settings);
}

jwt_verifier knowing_both(config::settings settings = {}) {
  return knowing(rsa().jwk() + "," + p256().jwk(), std::move(settings));
}

void check_good(const jwt_verifier& verifier, const std::string& text) {
  const auto who = verifier.verify(text, now);
  if (!who)
    FAIL_CHECK(who.failure().message);
}

void check_refused(const jwt_verifier& verifier, const std::string& text, const std::string& why) {
  ERR_clear_error();
  const auto who = verifier.verify(text, now);
  if (who) {
    FAIL_CHECK("accepted; expected: " + why);
    return;
  }
  CHECK(who.failure().code == error_code::unauthenticated);
  CHECK_THAT(who.failure().message, ContainsSubstring(why));
  for (const auto& part : {text, text.substr(text.rfind('.') + 1)})
    if (part.size() > 8)
      CHECK(who.failure().message.find(part) == std::string::npos);
  CHECK(ERR_peek_error() == 0); // nothing is left for TLS to stumble over
}

} // namespace

TEST_CASE("a token is good with the key that the settings name, in each of the three ways", "[jwt]") {
  check_good(made(with_secret()), token(hs256_header, good_claims, secret));
  const auto both = knowing_both();
  check_good(both, token(rs256_header, good_claims, rsa()));
  check_good(both, token(es256_header, good_claims, p256()));
  check_good(both, token(R"({"alg":"ES256"})", good_claims, p256()));
  check_good(both, token(R"({"alg":"ES256","typ":"jwt","x5t":"thumb","cty":"x"})", good_claims, p256()));
  const auto who = both.verify(token(rs256_header, good_claims, rsa()), now);
  REQUIRE(who);
  CHECK(who->tenant == *tenant_id::parse("acme"));
  CHECK(who->subject == "ann");
  CHECK(who->expires_at == timestamp{1'800'000'600s});
}

TEST_CASE("without a secret and without keys no token is taken", "[jwt]") {
  const auto none = made({});
  CHECK_FALSE(none.takes_tokens());
  CHECK(made(with_secret()).takes_tokens());
  CHECK(knowing_both().takes_tokens());
  check_refused(none, token(hs256_header, good_claims, secret), "no jwt_secret is set");
  check_refused(none, token(hs256_header, good_claims, std::string_view{}), "no jwt_secret is set");
  check_refused(none, token(rs256_header, good_claims, rsa()), "there is no key for the token's alg RS256");
  check_refused(made(with_secret()), token(es256_header, good_claims, p256()), "no key for the token's alg ES256");
}

TEST_CASE("another secret's or another key's signature is refused", "[jwt]") {
  check_refused(made(with_secret()), token(hs256_header, good_claims, secret + "."), "signature is wrong");
  const auto both = knowing_both();
  check_refused(both, token(rs256_header, good_claims, signing_key::rsa(2048)), "signature is wrong");
  check_refused(both, token(es256_header, good_claims, signing_key::curve("P-256")), "signature is wrong");
}

TEST_CASE("no alg but the three is taken, whatever it is signed with", "[jwt]") {
  const auto verifier = knowing_both(with_secret());
  for (const char* alg : {"none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "RS384", "RS512", "PS256",
                          "ES384", "ES512", "ES256K", "EdDSA", "HS256 ", "dir"}) {
    CAPTURE(alg);
    const auto header = R"({"alg":")" + std::string(alg) + R"("})";
    check_refused(verifier, token(header, good_claims, secret), "alg must be HS256, RS256 or ES256");
    check_refused(verifier, token(header, good_claims, rsa()), "alg must be HS256, RS256 or ES256");
  }
  for (const char* header : {"{}", R"({"typ":"JWT"})", R"({"alg":null})", R"({"alg":["HS256"]})", R"({"alg":256})"})
    check_refused(verifier, token(header, good_claims, secret), "alg must be HS256, RS256 or ES256");
  check_refused(verifier, token("[]", good_claims, secret), "no JSON object");
  check_refused(verifier, token(R"("HS256")", good_claims, secret), "no JSON object");
  check_refused(verifier, token(R"({"alg":"none","alg":"HS256"})", good_claims, secret), "header is no JSON");
  check_refused(verifier, token(R"({"alg":"HS256","alg":"none"})", good_claims, secret), "header is no JSON");
}

TEST_CASE("a token without a signature is refused", "[jwt]") {
  const auto verifier = knowing_both(with_secret());
  const auto bare = unsigned_token(R"({"alg":"none"})", good_claims);
  check_refused(verifier, bare, "three parts");
  check_refused(verifier, bare + ".", "not signed");
  for (const auto& header : {hs256_header, rs256_header, es256_header})
    check_refused(verifier, unsigned_token(header, good_claims) + ".", "not signed");
}

TEST_CASE("a public key is no secret: HS256 made with it is refused", "[jwt]") {
  const auto pem = rsa().public_pem();
  const auto text = unsigned_token(hs256_header, good_claims);
  const auto with = [&](std::string_view key) { return text + "." + base64url(hs256(text, key)); };
  for (const auto& verifier : {knowing_both(), knowing_both(with_secret())})
    for (const std::string& key :
         {pem, pem.substr(0, pem.size() - 1), rsa().jwk(), rsa().members(), p256().public_pem(), std::string{}})
      CHECK_FALSE(verifier.verify(with(key), now));
}

TEST_CASE("an alg fits its kind of key only", "[jwt]") {
  check_refused(knowing(rsa().jwk()), token(es256_header, good_claims, p256()), "no key for the token's alg ES256");
  check_refused(knowing(p256().jwk()), token(rs256_header, good_claims, rsa()), "no key for the token's alg RS256");
  check_refused(knowing_both(), token(es256_header, good_claims, rsa()), "signature is wrong");
  check_refused(knowing_both(), token(rs256_header, good_claims, p256()), "signature is wrong");
}

TEST_CASE("an ES256 signature of nothing but zeroes, or in DER, is refused", "[jwt]") {
  const auto verifier = knowing_both();
  const auto text = unsigned_token(es256_header, good_claims);
  check_refused(verifier, text + "." + base64url(std::string(64, '\0')), "signature is wrong");
  check_refused(verifier, text + "." + base64url(std::string(63, '\x01')), "signature is wrong");
  check_refused(verifier, text + "." + base64url(std::string("\x30\x06\x02\x01\x01\x02\x01\x01", 8)),
                "signature is wrong");
}

TEST_CASE("a token does not bring its own key or its own rules", "[jwt]") {
  const auto verifier = knowing_both(with_secret());
  const auto evil = signing_key::rsa(2048);
  for (const std::string& member :
       {R"("jwk":)" + evil.jwk(), std::string(R"("jku":"https://evil.example/keys")"),
        std::string(R"("x5u":"https://evil.example/c")"), std::string(R"("x5c":["MIIB"])"),
        std::string(R"("crit":["exp"])"), std::string(R"("crit":[],"b64":false)"), std::string(R"("jwk":null)")}) {
    CAPTURE(member);
    check_refused(verifier, token(R"({"alg":"RS256",)" + member + "}", good_claims, evil), "which is not taken");
    // Nor when the signature is right: then the issuer asks for something that is not done here.
    check_refused(verifier, token(R"({"alg":"HS256",)" + member + "}", good_claims, secret), "which is not taken");
  }
  for (const char* typ : {R"("at+jwt")", R"("JWE")", "1", "null"})
    check_refused(verifier, token(R"({"alg":"HS256","typ":)" + std::string(typ) + "}", good_claims, secret),
                  "typ must be JWT");
}

TEST_CASE("a kid chooses among the keys, and none but its own", "[jwt]") {
  const auto other = signing_key::rsa(2048);
  const auto verifier = knowing(rsa().jwk(R"("kid":"a")") + "," + other.jwk(R"("kid":"b")") + "," + p256().jwk());
  const auto with = [](const std::string& kid) { return R"({"alg":"RS256","kid":)" + kid + "}"; };
  check_good(verifier, token(with(R"("a")"), good_claims, rsa()));
  check_good(verifier, token(with(R"("b")"), good_claims, other));
  check_good(verifier, token(rs256_header, good_claims, other));
  check_refused(verifier, token(with(R"("b")"), good_claims, rsa()), "signature is wrong");
  check_refused(verifier, token(with(R"("c")"), good_claims, rsa()), "no key for the token's alg RS256 and kid");
  check_refused(verifier, token(with(R"("../../dev/null")"), good_claims, rsa()), "no key");
  check_refused(verifier, token(with("1"), good_claims, rsa()), "kid must be a text");
  check_refused(verifier, token(R"({"alg":"ES256","kid":"a"})", good_claims, p256()), "no key");
}

TEST_CASE("what is no token, or none that one would read, is refused before its signature", "[jwt]") {
  const auto verifier = knowing_both(with_secret());
  const auto good = token(hs256_header, good_claims, secret);
  for (const std::string& text :
       {std::string{}, std::string("."), std::string(".."), std::string("a.b"), std::string("a.b.c.d"), good + ".",
        good + ".x", "." + good, std::string("...."), good + "=", " " + good, good + "\n", good + std::string(1, '\0')})
    CHECK_FALSE(verifier.verify(text, now));
  check_refused(verifier, "colloquy_key_of_another_kind", "three parts");
  check_refused(verifier, good + std::string(gateway::jwt_bytes_max, 'A'), "longer than 8192 bytes");
  const std::string deep(1000, '[');
  check_refused(verifier, token(deep, good_claims, secret), "header is no JSON");
  CHECK_FALSE(verifier.verify(token(hs256_header, deep, secret), now));
  const auto nested = R"({"tenant":"acme","exp":1800000600,"a":)" + std::string(100, '[') + std::string(100, ']') + "}";
  check_refused(verifier, token(hs256_header, nested, secret), "claims are refused");
  check_refused(verifier, token(hs256_header, "[]", secret), "must be a JSON object");
  check_refused(verifier, token(hs256_header, R"({"tenant":"acme","exp":1800000600,"tenant":"other"})", secret),
                "claims are refused");
  check_refused(verifier, token("{\"alg\":\"HS256\",\"typ\":\"\xff\"}", good_claims, secret), "header is no JSON");
}

TEST_CASE("a token with any character changed is another token, and refused", "[jwt]") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
  const auto verifier = knowing_both(with_secret());
  const std::string alphabet = "ABCXYZabcxyz0189-_.=+/ \t\n\"{}";
  for (const auto& good : {token(hs256_header, good_claims, secret), token(rs256_header, good_claims, rsa()),
                           token(es256_header, good_claims, p256())}) {
    check_good(verifier, good);
    for (std::size_t at = 0; at < good.size(); ++at) { // each character once
      auto text = good;
      text[at] = text[at] == 'A' ? 'B' : 'A';
      if (verifier.verify(text, now))
        FAIL_CHECK("accepted with another character at " << at << ": " << text);
    }
    for (int round = 0; round < 1000; ++round) {
      auto text = good;
      for (auto changes = pick(3) + 1; changes > 0 && !text.empty(); --changes) {
        const auto at = pick(text.size());
        switch (pick(4)) {
        case 0:
          text[at] = alphabet[pick(alphabet.size())];
          break;
        case 1:
          text[at] = static_cast<char>(pick(256));
          break;
        case 2:
          text.erase(at, pick(4) + 1);
          break;
        default:
          text.insert(at, 1, alphabet[pick(alphabet.size())]);
        }
      }
      if (text != good && verifier.verify(text, now))
        FAIL_CHECK("accepted: " << text);
    }
  }
}
