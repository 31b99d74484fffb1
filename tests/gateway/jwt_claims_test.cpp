#include "gateway/jwt_claims.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using gateway::jwt_claim_rules;
using gateway::jwt_identity;
using gateway::read_jwt_claims;

namespace {

const timestamp now{1'800'000'000s};
const jwt_claim_rules no_rules{"tenant", {}, {}};

/// Claims that are good but for what is added.
std::string with(const std::string& more) {
  return R"({"tenant":"acme","exp":1800000600,)" + more + "}";
}

jwt_identity good(const std::string& claims, const jwt_claim_rules& rules = no_rules, timestamp at = now) {
  INFO(claims);
  const auto who = read_jwt_claims(claims, rules, at);
  if (!who)
    FAIL(who.failure().message);
  return *who;
}

void refused(const std::string& claims, const std::string& why, const jwt_claim_rules& rules = no_rules,
             timestamp at = now) {
  INFO(claims);
  const auto who = read_jwt_claims(claims, rules, at);
  REQUIRE_FALSE(who);
  CHECK(who.failure().code == error_code::unauthenticated);
  CHECK_THAT(who.failure().message, ContainsSubstring(why));
}

} // namespace

TEST_CASE("a token without an end, or past it, is refused; clocks may differ by half a minute", "[jwt]") {
  const std::string claims = R"({"tenant":"acme","exp":1800000000})";
  CHECK(good(claims, no_rules, now - 1s).expires_at == now);
  good(claims, no_rules, now + 30s - 1us);
  refused(claims, "it has expired", no_rules, now + 30s);
  refused(R"({"tenant":"acme"})", "exp is missing");
  CHECK(good(R"({"tenant":"acme","exp":1800000000.5})").expires_at == now + 500ms);
  CHECK(good(R"({"tenant":"acme","exp":1.8e9})").expires_at == now);
  for (const char* exp : {"null", R"("1800000600")", "true", "[]", "{}", "-1", "1e300", "253402300800",
                          "18446744073709551615", "9223372036854775807", "-9223372036854775808"})
    refused(R"({"tenant":"acme","exp":)" + std::string(exp) + "}", "exp must be a number of seconds");
}

TEST_CASE("a token that begins later, or was made later, is refused", "[jwt]") {
  for (const std::string name : {"nbf", "iat"}) {
    good(with('"' + name + R"(":1800000000)"));
    good(with('"' + name + R"(":0)"));
    good(with('"' + name + R"(":1800000030)"));
    refused(with('"' + name + R"(":1800000031)"), name + " is in the future");
    refused(with('"' + name + R"(":"1800000000")"), name + " must be a number");
    refused(with('"' + name + R"(":null)"), name + " must be a number");
  }
}

TEST_CASE("the issuer is checked where one is set", "[jwt]") {
  const jwt_claim_rules rules{"tenant", "https://id.example", {}};
  good(with(R"("iss":"https://id.example")"), rules);
  good(with(R"("iss":"anybody")"));
  for (const char* iss : {R"("iss":"https://id.example/")", R"("iss":"")", R"("iss":["https://id.example"])",
                          R"("iss":null)", R"("sub":"https://id.example")"})
    refused(with(iss), "iss is not the issuer", rules);
}

TEST_CASE("the audience is checked where one is set, alone or among others", "[jwt]") {
  const jwt_claim_rules rules{"tenant", {}, "colloquy"};
  good(with(R"("aud":"colloquy")"), rules);
  good(with(R"("aud":["other","colloquy"])"), rules);
  good(with(R"("aud":"other")"));
  for (const char* aud : {R"("aud":"Colloquy")", R"("aud":"other colloquy")", R"("aud":[])", R"("aud":[["colloquy"]])",
                          R"("aud":{"colloquy":"colloquy"})", R"("aud":null)", R"("sub":"colloquy")"})
    refused(with(aud), "aud does not name this service", rules);
}

TEST_CASE("the tenant is taken from its claim and must be a tenant's name", "[jwt]") {
  CHECK(good(R"({"https://x/t":"b-2","exp":1800000600})", {"https://x/t", {}, {}}).tenant.text() == "b-2");
  refused(R"({"tenant":"acme","exp":1800000600})", R"(claim "org" must be there)", {"org", {}, {}});
  for (const char* tenant : {"null", "1", R"(["acme"])", R"({"acme":1})"})
    refused(R"({"exp":1800000600,"tenant":)" + std::string(tenant) + "}", "must be there and be a tenant's name");
  for (const char* tenant : {R"("")", R"("ACME")", R"("-a")", R"("a b")", R"("a/../b")", R"("a\u0001")"})
    refused(R"({"exp":1800000600,"tenant":)" + std::string(tenant) + "}", "is no tenant's name");
}

TEST_CASE("scopes come as words or as an array; none of ours means reading and writing", "[jwt]") {
  struct row {
    std::string scope;
    bool read, write, admin;
  };
  for (const auto& [scope, read, write, admin] : {
           row{R"("read")", true, false, false},
           row{R"("write")", false, true, false},
           row{R"("read write")", true, true, false},
           row{R"("openid  read ")", true, false, false},
           row{R"("admin")", false, false, true},
           row{R"(["read","admin"])", true, false, true},
           row{R"("openid profile")", true, true, false},
           row{R"("")", true, true, false},
           row{R"([])", true, true, false},
           row{R"("Read reader")", true, true, false},
       }) {
    const auto who = good(with(R"("scope":)" + scope));
    CHECK(who.read == read);
    CHECK(who.write == write);
    CHECK(who.admin == admin);
    CHECK_FALSE(who.user_scoped);
  }
  const auto silent = good(R"({"tenant":"acme","exp":1800000600})");
  CHECK((silent.read && silent.write && !silent.admin && silent.subject.empty()));
  for (const char* scope : {"null", "1", R"({"read":true})", R"(["read",1])", R"([["admin"]])"})
    refused(with(R"("scope":)" + std::string(scope)), "scope must be a text of words");
}

TEST_CASE("a user's token is confined to its sub and governs nothing", "[jwt]") {
  const auto who = good(with(R"("scope":"user read","sub":"ann")"));
  CHECK((who.user_scoped && who.read && !who.write));
  CHECK(who.subject == "ann");
  CHECK(good(with(R"("scope":["user"],"sub":"ann")")).write);
  refused(with(R"("scope":"user")"), "must have a sub");
  refused(with(R"("scope":"user admin","sub":"ann")"), "exclude each other");
}

TEST_CASE("a sub is a name of 1 to 255 characters", "[jwt]") {
  std::string longest;
  for (int i = 0; i < 255; ++i)
    longest += "ä";
  CHECK(good(with(R"("sub":")" + longest + '"')).subject == longest);
  for (const auto& sub : {'"' + longest + "a\"", std::string(R"("")"), std::string("1"), std::string("null")})
    refused(with(R"("sub":)" + sub), "sub must be a text of 1 to 255 characters");
  refused(with(R"("sub":"a\u0000")"), "claims are refused");
}
