#include "config/load.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

#include <cstdlib>

using namespace colloquy::config;
using namespace std::chrono_literals;
using colloquy::test::temp_folder;

namespace {

sources with_home() {
  sources from;
  from.environment = {{"HOME", "/home/someone"}};
  return from;
}

settings load_well(const sources& from) {
  const auto found = load(from);
  for (const auto& each : found.mistakes)
    FAIL_CHECK(format(each));
  return found.values;
}

} // namespace

TEST_CASE("with nothing given every setting has its default", "[load]") {
  const auto found = load_well(with_home());
  CHECK_FALSE(found.database);
  CHECK(found.schema == "public");
  CHECK(found.data_dir == "/home/someone/.local/share/colloquy");
  CHECK_FALSE(found.postgres_bin_dir);
  CHECK(found.embedded_user == "postgres");
  CHECK(found.log_level == log_level::info);
  CHECK(found.application_name == "colloquy-mcp");
  CHECK(found.pool_min == 5);
  CHECK(found.pool_max == 20);
  CHECK(found.connect_timeout == 10s);
  CHECK(found.statement_timeout == 30s);
  CHECK(found.idle_in_transaction_timeout == 60s);
  CHECK(found.batch_events_max == 2000);
  CHECK(found.batch_bytes_max == 4194304);
  CHECK(found.batches_in_flight_max == 2);
  CHECK(found.undurable_bytes_max == 268435456);
  CHECK(found.session_undurable_bytes_max == 33554432);
  CHECK_FALSE(found.journal);
  CHECK_FALSE(found.journal_path);
  CHECK(found.journal_bytes_max == 268435456);
  CHECK(found.sessions_resident_max == 1'000'000);
  CHECK(found.session_idle_timeout == 5min);
  CHECK(found.request_timeout == 30s);
  CHECK(found.shutdown_timeout == 5s);
}

TEST_CASE("flags win over the environment, that over the .env, that over the file", "[load]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.write("x.conf", "pool_max = 11");
  CHECK(load_well(from).pool_max == 11);
  from.env_file = folder.write(".env", "COLLOQUY_POOL_MAX=12");
  CHECK(load_well(from).pool_max == 12);
  from.environment["POOL_SIZE"] = "13";
  CHECK(load_well(from).pool_max == 13);
  from.flags = {{"--pool-max", "14"}};
  CHECK(load_well(from).pool_max == 14);
}

TEST_CASE("every environment name of a setting is read, and each wins over those after it", "[load]") {
  for (const auto& setting : descriptors()) {
    if (setting.kind != setting_kind::count && setting.kind != setting_kind::duration)
      continue;
    const temp_folder folder;
    auto from = with_home();
    std::string env_file;
    int number = 2;
    for (auto name = setting.environment.rbegin(); name != setting.environment.rend(); ++name, ++number) {
      CAPTURE(name->name);
      const auto seconds = std::to_string(number);
      std::string value = setting.kind == setting_kind::count ? setting.default_text : seconds + "s";
      if (name->written == spelling::bare_milliseconds)
        value = seconds + "000";
      if (name->written == spelling::bare_seconds)
        value = seconds;
      if (setting.kind == setting_kind::count && setting.environment.size() > 1)
        value = seconds;
      from.environment[name->name] = value;
      env_file += name->name + "=" + value + "\n";
      const auto text = setting.kind == setting_kind::count ? value : seconds + "s";
      CHECK(setting.write(load_well(from)) == text);
      auto from_file = with_home();
      from_file.env_file = folder.write(".env", env_file);
      CHECK(setting.write(load_well(from_file)) == text);
    }
  }
}

TEST_CASE("the connection is looked for under the users' names in their order", "[load]") {
  auto from = with_home();
  for (const auto* name : {"DATABASE_URL", "POSTGRES_CONNECTION", "SUPABASE_SESSION_POOLER", "COLLOQUY_DATABASE"}) {
    const auto uri = std::string("postgres://h/") + name;
    from.environment[name] = uri;
    CHECK(load_well(from).database == uri);
  }
}

TEST_CASE("a name of another program left empty is not set; ours left empty counts", "[load]") {
  auto from = with_home();
  from.environment["SUPABASE_SESSION_POOLER"] = "";
  from.environment["DATABASE_URL"] = "postgres://h/d";
  from.environment["LOG_LEVEL"] = "";
  CHECK(load_well(from).database == "postgres://h/d");
  from.environment["COLLOQUY_DATABASE"] = "";
  CHECK_FALSE(load_well(from).database);
  from.environment["COLLOQUY_LOG_LEVEL"] = "";
  CHECK(load(from).mistakes.size() == 1);
}

TEST_CASE("a flag is known by any spelling of its name and its last value wins", "[load]") {
  auto from = with_home();
  from.flags = {{"pool_max", "7"}, {"pool-max", "8"}, {"--pool-max", "9"}, {"--log-level", "debug"}};
  CHECK(load_well(from).pool_max == 9);
  CHECK(load_well(from).log_level == log_level::debug);
}

TEST_CASE("of a name that stands twice in the .env the last wins, as in a shell", "[load]") {
  const temp_folder folder;
  auto from = with_home();
  from.env_file = folder.write(".env", "DB_POOL_MAX=7\nDB_POOL_MAX=8\n");
  CHECK(load_well(from).pool_max == 8);
}

TEST_CASE("the settings file takes comments, quotes and units", "[load]") {
  const temp_folder folder;
  auto from = with_home();
  from.file = folder.write("x.conf", "# words\n\n database = 'host=h password=a#b'  # words\r\n"
                                     "statement_timeout=5min\nbatch_bytes_max = \"1MiB\"\nschema = s # words\n");
  const auto found = load_well(from);
  CHECK(found.database == "host=h password=a#b");
  CHECK(found.statement_timeout == 5min);
  CHECK(found.batch_bytes_max == 1048576);
  CHECK(found.schema == "s");
}

TEST_CASE("references expand in every source", "[load]") {
  const temp_folder folder;
  auto from = with_home();
  from.environment["WORD"] = "w";
  from.environment["LEVEL"] = "debug";
  from.environment["LOG_LEVEL"] = "${LEVEL}";
  from.env_file = folder.write(".env", "PW=secret\nDATABASE_URL=\"postgres://u:${PW}@h/d\"\nLEVEL=error\n");
  from.file = folder.write("x.conf", "schema = ${WORD}_s\napplication_name = '${WORD}'\n");
  from.flags = {{"data-dir", "${HOME}/d"}};
  const auto found = load_well(from);
  CHECK(found.log_level == log_level::debug);
  CHECK(found.database == "postgres://u:secret@h/d");
  CHECK(found.schema == "w_s");
  CHECK(found.application_name == "${WORD}");
  CHECK(found.data_dir == "/home/someone/d");
}

TEST_CASE("the data folder follows XDG_DATA_HOME, then HOME, and relative ones are ignored", "[load]") {
  auto from = with_home();
  from.environment["XDG_DATA_HOME"] = "/data";
  CHECK(load_well(from).data_dir == "/data/colloquy");
  from.environment["XDG_DATA_HOME"] = "data";
  CHECK(load_well(from).data_dir == "/home/someone/.local/share/colloquy");
}

TEST_CASE("without a home the data folder is a mistake only where the embedded server needs it", "[load]") {
  sources from;
  const auto found = load(from);
  REQUIRE(found.mistakes.size() == 1);
  CHECK(found.mistakes[0].setting == "data_dir");
  from.flags = {{"data-dir", "/d"}};
  CHECK(load(from).mistakes.empty());
  from.flags = {{"database", "postgres://h"}};
  CHECK(load(from).mistakes.empty());
}

TEST_CASE("a journal that is on is in the data folder, unless it has a path of its own", "[load]") {
  auto from = with_home();
  from.flags = {{"journal-path", "ignored"}};
  CHECK(load_well(from).journal_path == std::filesystem::current_path() / "ignored");
  from.flags = {{"journal", "on"}};
  CHECK(load_well(from).journal_path == "/home/someone/.local/share/colloquy/journal.db");
  from.flags.emplace_back("data-dir", "d");
  CHECK(load_well(from).journal_path == std::filesystem::current_path() / "d" / "journal.db");
  from.flags.emplace_back("journal-path", "e/../j");
  CHECK(load_well(from).journal_path == std::filesystem::current_path() / "j");
}

TEST_CASE("without a home a journal needs a path, also where the database is elsewhere", "[load]") {
  sources from;
  from.flags = {{"database", "postgres://h"}, {"journal", "true"}};
  const auto found = load(from);
  REQUIRE(found.mistakes.size() == 1);
  CHECK(found.mistakes[0].setting == "journal_path");
  from.flags.emplace_back("journal-path", "/j");
  CHECK(load_well(from).journal_path == "/j");
}

TEST_CASE("relative folders become absolute", "[load]") {
  auto from = with_home();
  from.flags = {{"data-dir", "a/../b"}, {"postgres-bin-dir", "./c"}};
  const auto found = load_well(from);
  CHECK(found.data_dir == std::filesystem::current_path() / "b");
  CHECK(found.postgres_bin_dir == std::filesystem::current_path() / "c");
}

TEST_CASE("a default follows its bound down, where only the bound is given", "[load]") {
  auto from = with_home();
  from.environment["POOL_SIZE"] = "3";
  from.flags = {{"undurable-bytes-max", "8MiB"}};
  const auto found = load_well(from);
  CHECK(found.pool_min == 3);
  CHECK(found.session_undurable_bytes_max == 8388608);
}

TEST_CASE("the environment of the process is read as it is", "[load]") {
  const auto from = sources_of_process();
  const auto* path = std::getenv("PATH");
  REQUIRE(path != nullptr);
  CHECK(from.environment.at("PATH") == path);
  CHECK_FALSE(from.file);
  CHECK(from.flags.empty());
  CHECK(from.env_file.has_value() == std::filesystem::exists(".env"));
}
