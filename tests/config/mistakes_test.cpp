#include "config/load.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;
using colloquy::test::temp_folder;

namespace {

sources with_home() {
  sources from;
  from.environment = {{"HOME", "/home/someone"}};
  return from;
}

std::string only_mistake(const sources& from) {
  const auto found = load(from);
  for (const auto& each : found.mistakes)
    UNSCOPED_INFO(format(each));
  REQUIRE(found.mistakes.size() == 1);
  return format(found.mistakes.front());
}

} // namespace

TEST_CASE("a bad value is told with setting, value, source and what is allowed", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  const auto conf = folder.write("x.conf", "\npool_max = many\n");
  from.file = conf;
  CHECK(only_mistake(from) ==
        "pool_max = \"many\" (file " + conf.string() + " line 2): must be a whole number, 2 to 1000");
  const auto env = folder.write(".env", "DB_POOL_MAX=0\n");
  from.env_file = env;
  CHECK(only_mistake(from) ==
        "pool_max = \"0\" (file " + env.string() + " line 1 DB_POOL_MAX): must be a whole number, 2 to 1000");
  from.environment["POOL_SIZE"] = "1001";
  CHECK(only_mistake(from) == "pool_max = \"1001\" (environment POOL_SIZE): must be a whole number, 2 to 1000");
  from.flags = {{"pool_max", "-1"}};
  CHECK(only_mistake(from) == "pool_max = \"-1\" (flag --pool-max): must be a whole number, 2 to 1000");
}

TEST_CASE("a bad value that is overridden is not told", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.write("x.conf", "pool_max = many\nschema = '\n");
  from.env_file = folder.write(".env", "DB_POOL_MAX=none\nPOOL_SIZE='\n");
  from.environment["POOL_SIZE"] = "${NOWHERE}";
  from.environment["COLLOQUY_POOL_MAX"] = "9";
  from.environment["COLLOQUY_SCHEMA"] = "s";
  const auto found = load(from);
  CHECK(found.mistakes.empty());
  CHECK(found.values.pool_max == 9);
}

TEST_CASE("a bare number is allowed under a user's name and refused with the units under ours", "[mistakes]") {
  auto from = with_home();
  from.environment["STATEMENT_TIMEOUT"] = "5000";
  CHECK(load(from).mistakes.empty());
  from.environment["COLLOQUY_STATEMENT_TIMEOUT"] = "5000";
  CHECK_THAT(only_mistake(from), ContainsSubstring("ms, s, min or h"));
}

TEST_CASE("a user's name says what is allowed in its own unit", "[mistakes]") {
  auto from = with_home();
  from.environment["PGCONNECT_TIMEOUT"] = "0";
  CHECK(only_mistake(from) ==
        "connect_timeout = \"0\" (environment PGCONNECT_TIMEOUT): must be a whole number of seconds, 1 to 600");
}

TEST_CASE("an unknown name is told with the nearest one, and never its value", "[mistakes]") {
  const temp_folder folder;
  SECTION("a flag") {
    auto from = with_home();
    from.flags = {{"--pol-max", "hunter2"}};
    CHECK(only_mistake(from) == "--pol-max (flag): there is no such setting, did you mean --pool-max?");
  }
  SECTION("the environment") {
    auto from = with_home();
    from.environment["COLLOQUY_DATABSE"] = "hunter2";
    CHECK(only_mistake(from) ==
          "COLLOQUY_DATABSE (environment): there is no such setting, did you mean COLLOQUY_DATABASE?");
  }
  SECTION("the .env") {
    auto from = with_home();
    from.env_file = folder.write(".env", "COLLOQUY_SHEMA=hunter2");
    const auto text = only_mistake(from);
    CHECK_THAT(text, ContainsSubstring("did you mean COLLOQUY_SCHEMA?"));
    CHECK_THAT(text, !ContainsSubstring("hunter2"));
  }
  SECTION("the file") {
    auto from = with_home();
    from.file = folder.write("x.conf", "pool-max = hunter2");
    const auto text = only_mistake(from);
    CHECK_THAT(text, StartsWith("pool-max (file "));
    CHECK_THAT(text, ContainsSubstring("line 1): there is no such setting, did you mean pool_max?"));
    CHECK_THAT(text, !ContainsSubstring("hunter2"));
  }
  SECTION("near to nothing") {
    auto from = with_home();
    from.environment["COLLOQUY_UNHEARD_OF_THING"] = "x";
    CHECK(only_mistake(from) == "COLLOQUY_UNHEARD_OF_THING (environment): there is no such setting");
  }
}

TEST_CASE("names that are not ours are left alone in the environment and the .env", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.environment["COLLOQY_POOL"] = "x";
  from.env_file = folder.write(".env", "OTHER=1\nbroken line\nKEY='open\n= x\nOTHER_KEY='a'b\n");
  CHECK(load(from).mistakes.empty());
}

TEST_CASE("what a container platform sets for a service named colloquy is no mistake", "[mistakes]") {
  auto from = with_home();
  for (const auto* name : {"COLLOQUY_SERVICE_HOST", "COLLOQUY_SERVICE_PORT", "COLLOQUY_PORT", "COLLOQUY_PORT_80_TCP"})
    from.environment[name] = "tcp://10.0.0.1:80";
  CHECK(load(from).mistakes.empty());
}

TEST_CASE("a line of ours in the .env that cannot be read is told without its text", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.env_file = folder.write(".env", "OTHER=1\nDATABASE_URL='postgres://u:hunter2@h\n");
  const auto text = only_mistake(from);
  CHECK_THAT(text, StartsWith("database (file "));
  CHECK_THAT(text, ContainsSubstring("line 2 DATABASE_URL): has a quote that is not closed"));
  CHECK_THAT(text, !ContainsSubstring("hunter2"));
}

TEST_CASE("lines of the settings file that cannot be read, or come twice, are told by their numbers", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.write("x.conf", "[hunter2]\nschema = 'a'b\npool_max = 7\npool_max = 7\n");
  const auto found = load(from);
  REQUIRE(found.mistakes.size() == 3);
  CHECK_THAT(format(found.mistakes[0]), ContainsSubstring("line 1): is not of the form NAME = value"));
  CHECK_THAT(format(found.mistakes[0]), !ContainsSubstring("hunter2"));
  CHECK_THAT(format(found.mistakes[1]), ContainsSubstring("line 4): is given on line 3 already"));
  CHECK_THAT(format(found.mistakes[2]), ContainsSubstring("line 2): has text after the closing quote"));
}

TEST_CASE("a named file that is missing is a mistake of its own", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.path() / "none.conf";
  CHECK_THAT(only_mistake(from), StartsWith("config = \"" + from.file->string() + "\" (flag --config): cannot"));
  from.file.reset();
  from.env_file = folder.path() / "none";
  CHECK_THAT(only_mistake(from), StartsWith(".env = \"" + from.env_file->string() + "\""));
}

TEST_CASE("an undefined reference is told by its name", "[mistakes]") {
  auto from = with_home();
  from.environment["DATABASE_URL"] = "postgres://u:${NOWHERE}@h";
  CHECK(only_mistake(from) == "database = \"postgres://u:***@h\" (environment DATABASE_URL): refers to ${NOWHERE}, "
                              "which is not set in the environment or the .env file");
}

TEST_CASE("what a reference brought in is not shown", "[mistakes]") {
  auto from = with_home();
  from.environment["SECRET"] = "hunter2";
  from.flags = {{"pool-max", "${SECRET}"}};
  CHECK_THAT(only_mistake(from), StartsWith("pool_max = \"${SECRET}\""));
}

TEST_CASE("a password in a bad value is not shown, whichever setting it was given to", "[mistakes]") {
  auto from = with_home();
  from.flags = {{"database", "mysql://u:hunter2@h"},
                {"schema", "postgres://u:hunter2@h/d"},
                {"pool-max", "host=h password=hunter2"}};
  const auto found = load(from);
  CHECK(found.mistakes.size() == 3);
  for (const auto& each : found.mistakes)
    CHECK_THAT(format(each), !ContainsSubstring("hunter2") && ContainsSubstring("***"));
}

TEST_CASE("two written values that contradict each other are told with both", "[mistakes]") {
  auto from = with_home();
  from.environment["DB_POOL_MIN"] = "30";
  CHECK(only_mistake(from) ==
        "pool_min = \"30\" (environment DB_POOL_MIN): must be at most pool_max, which is 20 (default)");
  from.environment["POOL_SIZE"] = "25";
  CHECK(only_mistake(from) == "pool_min = \"30\" (environment DB_POOL_MIN): must be at most pool_max, which is 25 "
                              "(environment POOL_SIZE)");
  from.environment["POOL_SIZE"] = "30";
  CHECK(load(from).mistakes.empty());
  from.flags = {{"session-undurable-bytes-max", "1GiB"}};
  CHECK(only_mistake(from) == "session_undurable_bytes_max = \"1GiB\" (flag --session-undurable-bytes-max): must be at "
                              "most undurable_bytes_max, which is 256MiB (default)");
}

TEST_CASE("values refused already are not compared", "[mistakes]") {
  auto from = with_home();
  from.flags = {{"pool-min", "900"}, {"pool-max", "many"}};
  CHECK_THAT(only_mistake(from), StartsWith("pool_max"));
}

TEST_CASE("every mistake is told at once", "[mistakes]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.write("x.conf", "schema = A\ncolour = red\nrequest_timeout = 30\n");
  from.env_file = folder.write(".env", "LOG_LEVEL=loud\nCOLLOQUY_X=1\n");
  from.environment["PGAPPNAME"] = "\xC3\xA4";
  from.environment["DATABASE_URL"] = "${NOWHERE}";
  from.flags = {{"batch-bytes-max", "1KiB"}, {"pool-min", "50"}, {"shape", "round"}};
  std::vector<std::string> settings_told;
  for (const auto& each : load(from).mistakes)
    settings_told.push_back(each.setting);
  CHECK(settings_told == std::vector<std::string>{"shape", "COLLOQUY_X", "colour", "database", "schema", "log_level",
                                                  "application_name", "batch_bytes_max", "request_timeout",
                                                  "pool_min"});
}

TEST_CASE("a mistake is one printable line of bounded length", "[mistakes]") {
  auto from = with_home();
  from.flags = {{"schema", "a\nb\x1b[31m\r" + std::string(1, '\0') + std::string(10'000, 'x')}};
  const auto text = only_mistake(from);
  CHECK(text.size() < 500);
  for (const char c : text)
    CHECK(static_cast<unsigned char>(c) >= 0x20);
}
