#include "config/key_shape.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;

namespace {

// {"alg":"HS256","typ":"JWT"}
const std::string hs256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
// {"alg":"ES256","typ":"JWT"}
const std::string es256 = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9";
// {"role":"anon"}
const std::string anon = "eyJyb2xlIjoiYW5vbiJ9";
// {"iss":"supabase","ref":"abcd","role":"service_role","iat":1700000000,"exp":2000000000}
const std::string service_role = "eyJpc3MiOiJzdXBhYmFzZSIsInJlZiI6ImFiY2QiLCJyb2xlIjoic2VydmljZV9yb2xlIiwiaWF0IjoxNzAw"
                                 "MDAwMDAwLCJleHAiOjIwMDAwMDAwMDB9";
// { "role" : "authenticated" }
const std::string authenticated = "eyAicm9sZSIgOiAiYXV0aGVudGljYXRlZCIgfQ";

std::string jwt(const std::string& payload, std::size_t signature = 43, const std::string& header = hs256) {
  return header + "." + payload + "." + std::string(signature, 's');
}

std::string fault_of(std::string_view key) {
  return shape_of(key).fault.value_or("");
}

} // namespace

TEST_CASE("a JWT is known by the role in its payload", "[key_shape]") {
  CHECK(shape_of(jwt(anon)).kind == key_kind::anon_jwt);
  CHECK(shape_of(jwt(service_role)).kind == key_kind::service_role_jwt);
  CHECK(shape_of(jwt("eyAicm9sZSIgOiAiYW5vbiIgfQ")).kind == key_kind::anon_jwt); // { "role" : "anon" }
  CHECK(shape_of(jwt(authenticated)).kind == key_kind::other_jwt);
  CHECK(shape_of(jwt("e30")).kind == key_kind::other_jwt); // {}
  CHECK(shape_of(jwt("!!!")).kind == key_kind::other_jwt);
  for (const auto& payload : {anon, service_role, authenticated})
    CHECK(fault_of(jwt(payload)).empty());
}

TEST_CASE("newer keys are known by their prefix", "[key_shape]") {
  const std::string tail = std::string(22, 'r') + "_" + std::string(8, 'c');
  CHECK(shape_of("sb_secret_" + tail).kind == key_kind::secret);
  CHECK(shape_of("sb_secret_" + tail).length == 41);
  CHECK(fault_of("sb_secret_" + tail).empty());
  CHECK(shape_of("sb_publishable_" + tail).kind == key_kind::publishable);
  CHECK(fault_of("sb_publishable_" + tail).empty());
  CHECK_THAT(fault_of("sb_secret_" + tail.substr(1)), ContainsSubstring("40 characters and not 41"));
  CHECK_THAT(fault_of("sb_publishable_"), ContainsSubstring("looks truncated"));
}

TEST_CASE("only keys that pass row level security are privileged", "[key_shape]") {
  CHECK(is_privileged(key_kind::service_role_jwt));
  CHECK(is_privileged(key_kind::secret));
  for (const auto kind : {key_kind::anon_jwt, key_kind::other_jwt, key_kind::publishable, key_kind::unknown})
    CHECK_FALSE(is_privileged(kind));
}

TEST_CASE("a JWT cut off anywhere looks truncated", "[key_shape]") {
  const auto whole = jwt(service_role);
  for (std::size_t length = 3; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK_THAT(fault_of(std::string_view(whole).substr(0, length)), ContainsSubstring("looks truncated"));
  }
  CHECK(fault_of(jwt(anon, 42)) == "looks truncated: its signature has 42 characters and not 43");
  CHECK(fault_of(hs256) == "looks truncated: it has 1 part and a JWT has 3, with a dot between them");
}

TEST_CASE("a signature is as long as its algorithm makes it", "[key_shape]") {
  CHECK(fault_of(jwt(anon, 86, es256)).empty());
  CHECK_THAT(fault_of(jwt(anon, 43, es256)), ContainsSubstring("looks truncated"));
  CHECK_THAT(fault_of(jwt(anon, 44)), ContainsSubstring("more than a key"));
  CHECK_THAT(fault_of(jwt(anon) + ".x"), ContainsSubstring("more than a key"));
  CHECK(fault_of(jwt(anon, 100, "eyJ9")).empty()); // of an algorithm that nobody knows here
  CHECK_THAT(fault_of(jwt(anon, 42, "eyJ9")), ContainsSubstring("looks truncated"));
}

TEST_CASE("what came along when a key was copied is told", "[key_shape]") {
  CHECK_THAT(fault_of("sb_secret_uV5nB..."), ContainsSubstring("ellipsis"));
  CHECK_THAT(fault_of("sb_secret_****"), ContainsSubstring("stars"));
  CHECK_THAT(fault_of("\"" + jwt(anon) + "\""), ContainsSubstring("blanks or quotes"));
  CHECK_THAT(fault_of(jwt(anon) + " "), ContainsSubstring("blanks or quotes"));
}

TEST_CASE("anything else is no key that is known", "[key_shape]") {
  CHECK(shape_of("").kind == key_kind::unknown);
  CHECK(shape_of("hunter2").kind == key_kind::unknown);
  CHECK(describe(shape_of("hunter2")) == "no key of a kind that is known, 7 characters");
}

TEST_CASE("a description has kind and length and never a part of the key", "[key_shape]") {
  CHECK(describe(shape_of(jwt(anon))) == "an anon key (JWT), 101 characters");
  const auto cut = jwt("c2VjcmV0", 5);
  const auto text = describe(shape_of(cut));
  CHECK_THAT(text, ContainsSubstring("looks truncated"));
  for (const auto* part : {"c2VjcmV0", "eyJ", "sssss"})
    CHECK_THAT(text, !ContainsSubstring(part));
}
