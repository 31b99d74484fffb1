#include "config/load.hpp"
#include "config/supabase.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;

namespace {

using environment = std::map<std::string, std::string>;

sources with(environment names) {
  sources from;
  from.environment = std::move(names);
  from.environment.emplace("HOME", "/home/someone");
  return from;
}

std::optional<std::string> database_of(const environment& names) {
  const auto found = load(with(names));
  for (const auto& each : found.mistakes)
    FAIL_CHECK(format(each));
  return found.values.database;
}

/// All mistakes in one text; no secret may be in it.
std::string mistakes_of(const environment& names) {
  const auto found = load(with(names));
  CHECK_FALSE(found.mistakes.empty());
  std::string text;
  for (const auto& each : found.mistakes)
    text += format(each) + "\n";
  CHECK_THAT(text, !ContainsSubstring("hunter2"));
  return text;
}

std::size_t count_of(const environment& names) {
  return load(with(names)).mistakes.size();
}

const environment project{{"SUPABASE_PROJECT_REF", "abcd"}, {"SUPABASE_DB_PASSWORD", "hunter2"}};

environment and_also(environment names, const environment& more) {
  names.insert(more.begin(), more.end());
  return names;
}

const std::string direct = "postgresql://postgres:hunter2@db.abcd.supabase.co:5432/postgres";
const std::string pooled = "postgresql://postgres.abcd:hunter2@aws-0-eu-west-1.pooler.supabase.com:5432/postgres";

} // namespace

TEST_CASE("a project's pieces make a connection: the pooler where the region is known, else direct", "[supabase]") {
  const environment region{{"SUPABASE_REGION", "eu-west-1"}};
  CHECK(database_of(project) == direct);
  CHECK(database_of(and_also(project, region)) == pooled);
  CHECK(database_of(and_also(and_also(project, region), {{"DB_CONNECTION_TYPE", "direct"}})) == direct);
  CHECK(database_of(and_also(and_also(project, region), {{"DB_CONNECTION_TYPE", "supavisor_session"}})) == pooled);
}

TEST_CASE("a region may name its pooler itself", "[supabase]") {
  CHECK(database_of(and_also(project, {{"SUPABASE_REGION", "aws-1-eu-west-1"}})) ==
        "postgresql://postgres.abcd:hunter2@aws-1-eu-west-1.pooler.supabase.com:5432/postgres");
  CHECK(database_of(and_also(project, {{"SUPABASE_REGION", "aws-west"}})) ==
        "postgresql://postgres.abcd:hunter2@aws-0-aws-west.pooler.supabase.com:5432/postgres");
}

TEST_CASE("a password is percent-encoded, so that no mark in it is one of the URI's", "[supabase]") {
  CHECK(database_of({{"SUPABASE_PROJECT_REF", "abcd"}, {"SUPABASE_DB_PASSWORD", "a:/?#[]@%& +\xC3\xA4z-._~"}}) ==
        "postgresql://postgres:a%3A%2F%3F%23%5B%5D%40%25%26%20%2B%C3%A4z-._~@db.abcd.supabase.co:5432/postgres");
}

TEST_CASE("the project is taken from its address where it is not named", "[supabase]") {
  CHECK(database_of({{"SUPABASE_URL", "https://abcd.supabase.co"}, {"SUPABASE_DB_PASSWORD", "hunter2"}}) == direct);
  CHECK(project_of("https://abcd.supabase.co/rest/v1") == "abcd");
  CHECK(project_of("http://abcd.supabase.co:443") == "abcd");
  CHECK(project_of("https://db.abcd.supabase.co") == "abcd");
  CHECK(project_of("abcd.supabase.co") == "abcd");
  for (const auto* other : {"http://localhost:54321", "https://.supabase.co", "https://abcd.supabase.com", "",
                            "https://a.b.supabase.co", "https://x@y.supabase.co"}) {
    CAPTURE(other);
    CHECK_FALSE(project_of(other));
  }
}

TEST_CASE("any connection that is set wins over the pieces, and an empty one of ours is the embedded server",
          "[supabase]") {
  for (const auto* name : {"DATABASE_URL", "POSTGRES_CONNECTION", "SUPABASE_SESSION_POOLER", "COLLOQUY_DATABASE"})
    CHECK(database_of(and_also(project, {{name, "postgres://h/d"}})) == "postgres://h/d");
  CHECK_FALSE(database_of(and_also(project, {{"COLLOQUY_DATABASE", ""}})));
  CHECK(database_of(and_also(project, {{"DATABASE_URL", ""}})) == direct);
}

TEST_CASE("an address and keys of the REST interface alone ask for no database", "[supabase]") {
  CHECK_FALSE(database_of({{"SUPABASE_URL", "https://abcd.supabase.co"},
                           {"SUPABASE_KEY", "k"},
                           {"SUPABASE_SERVICE_ROLE_KEY", "k"},
                           {"SUPABASE_REGION", "eu-west-1"}}));
}

TEST_CASE("what is missing is told by the names to set, all at once", "[supabase]") {
  CHECK_THAT(mistakes_of({{"SUPABASE_DB_PASSWORD", "hunter2"}}),
             ContainsSubstring("SUPABASE_PROJECT_REF") && ContainsSubstring("SUPABASE_URL"));
  CHECK_THAT(mistakes_of({{"SUPABASE_PROJECT_REF", "abcd"}}), ContainsSubstring("SUPABASE_DB_PASSWORD"));
  CHECK_THAT(mistakes_of({{"SUPABASE_PROJECT_REF", "abcd"}, {"SUPABASE_KEY", "hunter2"}}),
             ContainsSubstring("an API key is not one"));
  const auto all = mistakes_of({{"DB_CONNECTION_TYPE", "supavisor_session"}});
  CHECK_THAT(all, ContainsSubstring("SUPABASE_PROJECT_REF") && ContainsSubstring("SUPABASE_REGION") &&
                      ContainsSubstring("SUPABASE_DB_PASSWORD") && ContainsSubstring("DATABASE_URL") &&
                      ContainsSubstring("COLLOQUY_DATABASE"));
  CHECK(count_of({{"DB_CONNECTION_TYPE", "supavisor_session"}}) == 3);
  CHECK_THAT(mistakes_of({{"SUPABASE_URL", "http://localhost:54321"}, {"SUPABASE_DB_PASSWORD", "hunter2"}}),
             ContainsSubstring("supabase_url = \"http://localhost:54321\" (environment SUPABASE_URL)"));
}

TEST_CASE("missing pieces are the only mistake, even where the embedded server would have no folder", "[supabase]") {
  sources from;
  from.environment = {{"SUPABASE_PROJECT_REF", "abcd"}};
  const auto found = load(from);
  REQUIRE(found.mistakes.size() == 1);
  CHECK(found.mistakes[0].setting == "supabase_db_password");
  from.environment["SUPABASE_DB_PASSWORD"] = "hunter2";
  CHECK(load(from).mistakes.empty());
}

TEST_CASE("a piece that is refused is told alone", "[supabase]") {
  CHECK(count_of({{"SUPABASE_PROJECT_REF", "[YOUR-PROJECT-REF]"}, {"SUPABASE_REGION", "eu-west-1"}}) == 1);
}

TEST_CASE("two projects that differ are told with both settings", "[supabase]") {
  const auto text = mistakes_of(and_also(project, {{"SUPABASE_URL", "https://other.supabase.co"}}));
  CHECK_THAT(text, ContainsSubstring("supabase_project_ref = \"abcd\"") && ContainsSubstring("other"));
  CHECK(database_of(and_also(project, {{"SUPABASE_URL", "https://abcd.supabase.co"}})) == direct);
}

TEST_CASE("a connection's type that contradicts the connection is told", "[supabase]") {
  struct pair {
    const char* type;
    const char* connection;
    const char* told;
  };
  const auto each = GENERATE(values<pair>({
      {"supavisor_session", "postgres://u:hunter2@aws-0-x.pooler.supabase.com:6543/p", "port 6543"},
      {"supavisor_session", "postgres://u:hunter2@pooler.example:6543/p", "5432"},
      {"supavisor_session", "host=h port=6543 password='hunter2 x'", "port 6543"},
      {"supavisor_session", "postgres://u:hunter2@h:5432,h2:6543/p", "port 6543"},
      {"supavisor_session", "postgres://postgres:hunter2@db.abcd.supabase.co:5432/p", "the database itself"},
      {"direct", "postgres://u:hunter2@db.abcd.supabase.co:6543/p", "transaction mode"},
      {"direct", "postgres://u:hunter2@aws-0-x.pooler.supabase.com:5432/p", "DB_CONNECTION_TYPE=supavisor_session"},
      {"direct", "host=aws-0-x.pooler.supabase.com", "goes to a pooler"},
  }));
  CAPTURE(each.connection);
  const environment names{{"DATABASE_URL", each.connection}, {"DB_CONNECTION_TYPE", each.type}};
  CHECK(count_of(names) == 1);
  CHECK_THAT(mistakes_of(names), ContainsSubstring("(environment DB_CONNECTION_TYPE)") && ContainsSubstring(each.told));
}

TEST_CASE("a type that agrees, the older form, and a server that is not Supabase's are taken as given", "[supabase]") {
  struct pair {
    const char* type;
    const char* connection;
  };
  const auto each = GENERATE(values<pair>({
      {"supavisor_session", "postgres://postgres.abcd:p@aws-0-x.pooler.supabase.com:5432/p"},
      {"supavisor_session", "postgres://postgres.abcd:p@abcd.supabase.co:5432/postgres"},
      {"direct", "postgres://postgres.abcd:p@abcd.supabase.co:5432/postgres"},
      {"direct", "postgres://postgres:p@db.abcd.supabase.co/postgres"},
      {"direct", "postgres://h:6543/p"},
      {"supavisor_session", "postgres://h/p"},
      {"direct", "host=/run/postgresql"},
  }));
  CAPTURE(each.connection);
  CHECK(database_of({{"DATABASE_URL", each.connection}, {"DB_CONNECTION_TYPE", each.type}}) == each.connection);
}

TEST_CASE("without a type no connection contradicts it", "[supabase]") {
  const std::string uri = "postgres://u:p@aws-0-x.pooler.supabase.com:6543/p";
  CHECK(database_of({{"DATABASE_URL", uri}}) == uri);
}
