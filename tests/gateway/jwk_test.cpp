#include "gateway/base64url.hpp"
#include "gateway/jwk.hpp"
#include "gateway/jwt.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/gateway/token_maker.hpp"
#include "tests/support/catch.hpp"

#include <openssl/err.h>

using namespace colloquy;
using namespace colloquy::test;
using gateway::base64url_decode;
using gateway::jwt_algorithm;
using gateway::read_jwk_set;

namespace {

const signing_key& rsa() {
  static const auto key = signing_key::rsa(2048);
  return key;
}
const signing_key& p256() {
  static const auto key = signing_key::curve("P-256");
  return key;
}

std::string set_of(const std::string& keys) {
  return R"({"keys":[)" + keys + "]}";
}

void refused(const std::string& set, const std::string& why) {
  ERR_clear_error();
  const auto keys = read_jwk_set(set);
  INFO(set.substr(0, 200));
  REQUIRE_FALSE(keys);
  CHECK(keys.failure().code == error_code::invalid_request);
  CHECK_THAT(keys.failure().message, ContainsSubstring(why));
  CHECK(ERR_peek_error() == 0);
}

/// The member's value replaced.
std::string replaced(std::string jwk, const std::string& name, const std::string& value) {
  const auto begin = jwk.find('"' + name + "\":\"") + name.size() + 4;
  return jwk.replace(begin, jwk.find('"', begin) - begin, value);
}

} // namespace

TEST_CASE("bytes have one text in base64url", "[jwt]") {
  CHECK(base64url_decode("") == "");
  CHECK(base64url_decode("AA") == std::string(1, '\0'));
  CHECK(base64url_decode("_-8") == "\xff\xef");
  for (std::size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i)
      bytes.push_back(static_cast<char>(i * 37 + size));
    CHECK(base64url_decode(base64url(bytes)) == bytes);
  }
  for (const char* text : {"A", "AAAAA", "AB", "AAB", "AA==", "A+AA", "A/AA", "AA A", "AA\n", "AA.A"})
    CHECK_FALSE(base64url_decode(text));
}

TEST_CASE("a set's keys become PEM, each for its algorithm", "[jwt]") {
  const auto keys = read_jwk_set(
      set_of(rsa().jwk(R"("kid":"a","use":"sig","alg":"RS256")") + "," + p256().jwk(R"("key_ops":["verify"])")));
  REQUIRE(keys);
  REQUIRE(keys->size() == 2);
  CHECK((*keys)[0].algorithm == jwt_algorithm::rs256);
  CHECK((*keys)[0].id == "a");
  CHECK((*keys)[0].pem == rsa().public_pem());
  CHECK((*keys)[1].algorithm == jwt_algorithm::es256);
  CHECK_FALSE((*keys)[1].id);
  CHECK((*keys)[1].pem == p256().public_pem());
}

TEST_CASE("keys for other things are passed over", "[jwt]") {
  for (const std::string& other :
       {rsa().jwk(R"("use":"enc")"), rsa().jwk(R"("alg":"RS512")"), rsa().jwk(R"("alg":"RSA-OAEP")"),
        rsa().jwk(R"("alg":"HS256")"), rsa().jwk(R"("alg":null)"), rsa().jwk(R"("key_ops":["encrypt"])"),
        rsa().jwk(R"("key_ops":"verify")"), p256().jwk(R"("alg":"RS256")"), p256().jwk(R"("use":1)"),
        replaced(p256().jwk(), "crv", "P-384"), replaced(p256().jwk(), "kty", "OKP"),
        std::string(R"({"kty":"oct","k":"c2VjcmV0","alg":"HS256"})"), std::string("{}"), std::string("1"),
        std::string("null")}) {
    CAPTURE(other);
    const auto keys = read_jwk_set(set_of(other + "," + p256().jwk()));
    REQUIRE(keys);
    CHECK(keys->size() == 1);
    refused(set_of(other), "no key for RS256");
  }
}

TEST_CASE("a key that is weak or wrong in itself is named", "[jwt]") {
  refused(set_of(p256().jwk() + "," + signing_key::rsa(1024).jwk(R"("kid":"old")")),
          "key 1 (kid 'old'): it has 1024 bits; 2048 to 8192 are allowed");
  refused(set_of(replaced(rsa().jwk(), "e", "AQ")), "its exponent must be odd, 3 or more");
  refused(set_of(replaced(rsa().jwk(), "e", "AQAA")), "its exponent must be odd");
  refused(set_of(replaced(rsa().jwk(), "e", base64url(std::string(9, '\x01')))), "of at most 64 bits");
  refused(set_of(replaced(rsa().jwk(), "n", "")), "must be numbers in base64url");
  refused(set_of(replaced(rsa().jwk(), "n", "a+b=")), "must be numbers in base64url");
  refused(set_of(replaced(rsa().jwk(), "n", base64url(std::string(1100, '\x7f')))), "are allowed");
  refused(set_of(R"({"kty":"RSA"})"), "must be numbers in base64url");
  refused(set_of(replaced(p256().jwk(), "x", base64url(std::string(32, '\x01')))), "it is no key of its kind");
  refused(set_of(replaced(p256().jwk(), "y", base64url(std::string(31, '\x01')))), "32 bytes each");
  refused(set_of(replaced(p256().jwk(), "x", base64url(std::string(33, '\0')))), "32 bytes each");
}

TEST_CASE("what is no key set is refused", "[jwt]") {
  for (const char* text : {"", "{", "-----BEGIN PUBLIC KEY-----"})
    CHECK_FALSE(read_jwk_set(text));
  for (const char* text : {"[]", "{}", "null", "1", R"({"keys":{}})", R"({"keys":null})", R"({"Keys":[]})"})
    refused(text, "must be an object with an array \"keys\"");
  refused(R"({"keys":[]})", "no key for RS256");
  std::string many = p256().jwk();
  for (std::size_t i = 0; i < gateway::jwk_keys_max; ++i)
    many += "," + p256().jwk();
  refused(set_of(many), "more than 32 keys");
  refused(std::string(gateway::jwk_set_bytes_max + 1, ' '), "larger than");
}

TEST_CASE("what is wrong with the key set's file is told with the setting and the path", "[jwt]") {
  const temp_folder folder;
  config::settings settings;
  const auto refused_with = [&](const std::filesystem::path& path, const std::string& why) {
    settings.jwt_jwks_file = path;
    const auto made = gateway::jwt_verifier::make(settings);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.failure().message, StartsWith("jwt_jwks_file: " + path.string()) && ContainsSubstring(why));
  };
  refused_with(folder.path() / "missing.json", "cannot be read");
  refused_with(folder.path(), "cannot be read");
  refused_with(folder.write("a.json", "{}"), "array \"keys\"");
  refused_with(folder.write("b.json", std::string(gateway::jwk_set_bytes_max + 1, ' ')), "larger than");
}
