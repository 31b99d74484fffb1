#include "config/redact.hpp"
#include "tests/support/catch.hpp"

#include <random>
#include <string>

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;

TEST_CASE("a URI is shown with its password hidden", "[redact]") {
  CHECK(redact_connection("postgres://u:hunter2@h:5432/d") == "postgres://u:***@h:5432/d");
  CHECK(redact_connection("postgresql://u:hunter2@h/d?sslmode=require") == "postgresql://u:***@h/d?sslmode=require");
  CHECK(redact_connection("postgresql://postgres.ref:h%40nter2@aws-0-eu.pooler.supabase.com:5432/postgres") ==
        "postgresql://postgres.ref:***@aws-0-eu.pooler.supabase.com:5432/postgres");
  CHECK(redact_connection("postgresql://u:hunter2@[::1]:5432,other:5433/d") ==
        "postgresql://u:***@[::1]:5432,other:5433/d");
  CHECK(redact_connection("postgresql://u:hunter2@%2Frun%2Fpg/d") == "postgresql://u:***@%2Frun%2Fpg/d");
  CHECK(redact_connection("postgresql://:hunter2@h") == "postgresql://:***@h");
}

TEST_CASE("a URI without a password is shown whole", "[redact]") {
  const auto* uri = GENERATE("postgres://", "postgres:///d", "postgres://u@h/d", "postgres://h:5432",
                             "postgresql://h/d?host=/run/pg&application_name=x");
  CHECK(redact_connection(uri) == uri);
}

TEST_CASE("a password among a URI's parameters is hidden, and whatever is not known to be none", "[redact]") {
  CHECK(redact_connection("postgres://h/d?user=u&password=hunter2&sslmode=require") ==
        "postgres://h/d?user=u&password=***&sslmode=require");
  CHECK(redact_connection("postgres://h/d?sslpassword=hunter2") == "postgres://h/d?sslpassword=***");
  CHECK(redact_connection("postgres://h/d?pgbouncer=hunter2") == "postgres://h/d?***");
  CHECK_THAT(redact_connection("postgres://h/d?pass%77ord=hunter2"), !ContainsSubstring("hunter2"));
  CHECK_THAT(redact_connection("postgres://h/d?PASSWORD=hunter2"), !ContainsSubstring("hunter2"));
}

TEST_CASE("pairs are shown with their password hidden", "[redact]") {
  CHECK(redact_connection("host=h port=5432 password=hunter2 dbname=d") == "host=h port=5432 password=*** dbname=d");
  CHECK(redact_connection("password = 'hun ter\\'2' user = u") == "password=*** user=u");
  CHECK(redact_connection("password=hun\\ ter2 user=u") == "password=*** user=u");
  CHECK(redact_connection("host='/run/pg' options='-c x=hunter2'") == "host=/run/pg options=***");
  CHECK(redact_connection("dbname='postgres://u:hunter2@h/d'") == "dbname=***");
  CHECK(redact_connection("").empty());
}

TEST_CASE("a string of no known form is hidden whole", "[redact]") {
  const std::string text =
      GENERATE(as<std::string>{}, "hunter2", "u:hunter2@h/d", "mysql://u:hunter2@h/d", " postgres://u:hunter2@h/d",
               "password=my hunter2 x", "password='hunter2", "password='a'hunter2", "password=a hunter2=x",
               "PASSWORD=hunter2", "host=h, hunter2", "pass word=hunter2");
  CAPTURE(text);
  CHECK(redact_connection(text) == "***");
}

TEST_CASE("a URI whose password should have been escaped is hidden whole", "[redact]") {
  const std::string text =
      GENERATE(as<std::string>{}, "postgres://u:hun/ter2@h/d", "postgres://u:hun?ter2@h/d", "postgres://u:hun@ter2@h/d",
               "postgres://u:hunter2", "postgres://u:1/ter2@h", "postgres://u:hunter2/d", "postgres://h/d%40hunter2",
               "postgres://u:1?user=hunter2&x=@h/d");
  CAPTURE(text);
  CHECK(redact_connection(text) == "postgres://***");
}

TEST_CASE("a colon escaped in a URI's user hides the user", "[redact]") {
  CHECK(redact_connection("postgres://u%3Ahunter2@h/d") == "postgres://***@h/d");
}

namespace {

class generator {
public:
  explicit generator(std::uint32_t seed)
    : random_(seed) {}

  std::size_t below(std::size_t bound) { return random_() % bound; }

  /// Upper case and marks only: everything else in the strings of the test is lower case or a digit, so that any four
  /// characters of the password that show up in the output came from it.
  std::string password() {
    static const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#%^&()=+[]{};:'\"\\|,.<>/?~` $-_";
    std::string made;
    for (auto left = 8 + below(12); left > 0; --left)
      made += alphabet[below(alphabet.size())];
    return made;
  }

  std::string escaped(const std::string& text) {
    static const char* hex = "0123456789ABCDEF";
    std::string made;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c >= 'A' && c <= 'Z' && below(2) == 0)
        made += c;
      else
        made += {'%', hex[byte / 16], hex[byte % 16]};
    }
    return made;
  }

  static std::string quoted(const std::string& text) {
    std::string made = "'";
    for (const char c : text) {
      if (c == '\'' || c == '\\')
        made += '\\';
      made += c;
    }
    return made + "'";
  }

private:
  std::mt19937 random_;
};

/// Four letters in a row of the password; marks may stand in any string.
bool shows_some_of(const std::string& output, const std::string& password) {
  for (std::size_t at = 0; at + 4 <= password.size(); ++at) {
    const auto part = password.substr(at, 4);
    const bool all_letters = part.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos;
    if (all_letters && output.find(part) != std::string::npos)
      return true;
  }
  return output.find(password) != std::string::npos;
}

} // namespace

TEST_CASE("a well-formed connection never shows its password", "[redact]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  generator make(seed);
  for (int round = 0; round < 20'000; ++round) {
    const auto password = make.password();
    const auto escaped = make.escaped(password);
    const std::string all[] = {
        "postgres://u:" + escaped + "@h:5432/d?sslmode=require",
        "postgresql://h/d?user=u&password=" + escaped + "&port=5",
        "postgresql://u:" + escaped + "@h1,h2:5/d?password=" + escaped,
        "host=h password=" + generator::quoted(password) + " user=u",
        "password = " + generator::quoted(password),
    };
    for (const auto& connection : all) {
      const auto shown = redact_connection(connection);
      CAPTURE(connection, shown);
      REQUIRE_FALSE(shows_some_of(shown, password));
      REQUIRE(shown.find(escaped) == std::string::npos);
      REQUIRE(shown.find(hidden) != std::string::npos);
    }
  }
}

TEST_CASE("a password put where it should have been escaped or quoted does not show", "[redact]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  generator make(seed);
  for (int round = 0; round < 20'000; ++round) {
    const auto password = make.password();
    const std::string all[] = {
        "postgres://u:" + password + "@h:5432/d",
        "postgresql://u:" + password + "@h/d?sslmode=require",
        "postgresql://h/d?password=" + password,
        "password=" + password,
        "host=h password=" + password + " dbname=d",
        "host=h password='" + password + "' dbname=d",
        "postgres:/u:" + password + "@h",
        "u:" + password + "@h/d",
    };
    for (const auto& connection : all) {
      const auto shown = redact_connection(connection);
      CAPTURE(connection, shown);
      REQUIRE_FALSE(shows_some_of(shown, password));
    }
  }
}
