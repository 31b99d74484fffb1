#include "cli/arguments.hpp"
#include "cli/exit_code.hpp"
#include "cli/replay_command.hpp"
#include "messages/version.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <fstream>
#include <sstream>

using namespace colloquy;
using namespace colloquy::cli;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;

namespace {

std::variant<command_line, finished> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "colloquy");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

command_line parsed(std::vector<const char*> words) {
  auto line = parse(std::move(words));
  REQUIRE(std::holds_alternative<command_line>(line));
  return std::get<command_line>(line);
}

finished ended(std::vector<const char*> words) {
  auto line = parse(std::move(words));
  REQUIRE(std::holds_alternative<finished>(line));
  return std::get<finished>(line);
}

} // namespace

TEST_CASE("replay takes files and its options in any order") {
  const auto line = parsed({"replay", "--copies", "3", "a.jsonl", "--json", "b.jsonl", "--concurrency=9", "--database",
                            "postgresql://h/d", "--data-dir", "/d", "--config", "c.conf"});
  CHECK(line.mistakes.empty());
  const auto& replay = std::get<replay_arguments>(line.command);
  CHECK(replay.files == std::vector<std::filesystem::path>{"a.jsonl", "b.jsonl"});
  CHECK(replay.copies == 3);
  CHECK(replay.concurrency == 9);
  CHECK(replay.json);
  CHECK(line.config_file == "c.conf");
  CHECK(line.setting_flags ==
        std::vector<std::pair<std::string, std::string>>{{"--data-dir", "/d"}, {"--database", "postgresql://h/d"}});
}

TEST_CASE("replay has defaults") {
  const auto replay = std::get<replay_arguments>(parsed({"replay", "a"}).command);
  CHECK(replay.copies == 1);
  CHECK(replay.concurrency == 256);
  CHECK_FALSE(replay.json);
}

TEST_CASE("every setting is a flag of every subcommand") {
  for (const auto& each : config::descriptors()) {
    std::string flag = "--" + std::string(each.name);
    std::replace(flag.begin(), flag.end(), '_', '-');
    for (const char* command : {"replay", "migrate"}) {
      std::vector<const char*> words{command, flag.c_str(), "x"};
      if (command == std::string("replay"))
        words.push_back("file");
      CHECK(parsed(words).setting_flags.size() == 1);
    }
  }
}

TEST_CASE("an empty value of a flag counts") {
  const std::vector<std::pair<std::string, std::string>> empty{{"--database", ""}};
  CHECK(parsed({"migrate", "--database", ""}).setting_flags == empty);
  CHECK(parsed({"migrate", "--database=", "--json"}).setting_flags == empty);
}

TEST_CASE("numbers out of range are mistakes that name flag, value and range, all at once") {
  for (const char* bad : {"0", "-1", "1000001", "1.5", "x", "", "99999999999999999999"}) {
    const auto copies = std::string("--copies=") + bad;
    const auto line = parsed({"replay", "a", copies.c_str(), "--concurrency", "0"});
    REQUIRE(line.mistakes.size() == 2);
    CHECK_THAT(config::format(line.mistakes[0]),
               ContainsSubstring("--copies") && ContainsSubstring(bad) && ContainsSubstring("1 to 1000000"));
    CHECK_THAT(config::format(line.mistakes[1]), ContainsSubstring("1 to 100000"));
  }
}

TEST_CASE("mistakes of the command line and of settings are told together") {
  const auto line = parsed({"migrate", "--pool-max", "none", "--log-level", "loud", "--data-dir", "/tmp"});
  const auto loaded = line.load_settings();
  REQUIRE(loaded.mistakes.size() == 2);
  CHECK_THAT(config::format(loaded.mistakes[0]) + config::format(loaded.mistakes[1]),
             ContainsSubstring("log_level") && ContainsSubstring("loud") && ContainsSubstring("pool_max"));
}

TEST_CASE("a replay logs only warnings unless told") {
  CHECK(parsed({"replay", "a", "--data-dir", "/tmp"}).load_settings().values.log_level == config::log_level::warn);
  CHECK(parsed({"replay", "a", "--data-dir", "/tmp", "--log-level", "info"}).load_settings().values.log_level ==
        config::log_level::info);
  CHECK(parsed({"migrate", "--data-dir", "/tmp"}).load_settings().values.log_level == config::log_level::info);
}

TEST_CASE("a service waits for its database unless told not to, and logs the course of things") {
  const auto plain = parsed({"serve", "--data-dir", "/tmp"});
  CHECK_FALSE(std::get<serve_arguments>(plain.command).require_database);
  CHECK(plain.load_settings().values.log_level == config::log_level::info);
  CHECK(std::get<serve_arguments>(parsed({"serve", "--require-database"}).command).require_database);
}

TEST_CASE("what cannot be read ends with 2 and a sentence") {
  for (const std::vector<const char*>& words : {std::vector<const char*>{},
                                                {"backup"},
                                                {"mcp", "extra", "words"},
                                                {"replay"},
                                                {"replay", "a", "--nonsense"},
                                                {"migrate", "extra"},
                                                {"replay", "a", "--copies"},
                                                {"--json"}}) {
    const auto end = ended(words);
    CHECK(end.exit_code == exit_wrong_usage);
    CHECK(end.to_stdout.empty());
    CHECK_THAT(end.to_stderr, ContainsSubstring("colloquy: "));
  }
}

TEST_CASE("a subcommand that there is not is named, with those that there are") {
  const auto end = ended({"backup", "--json"});
  CHECK_THAT(end.to_stderr, ContainsSubstring("\"backup\"") && ContainsSubstring("serve") && ContainsSubstring("replay") &&
                                ContainsSubstring("migrate"));
}

TEST_CASE("help lists what there is and nothing else") {
  const auto help = ended({"--help"});
  CHECK(help.exit_code == exit_done);
  CHECK_THAT(help.to_stdout, ContainsSubstring("serve") && ContainsSubstring("replay") &&
                                 ContainsSubstring("migrate") && ContainsSubstring("doctor") &&
                                 ContainsSubstring("mcp") && ContainsSubstring("bench"));
  CHECK_THAT(help.to_stdout, !ContainsSubstring("backup"));
  CHECK_THAT(ended({"replay", "--help"}).to_stdout, ContainsSubstring("--concurrency") &&
                                                        ContainsSubstring("--database") &&
                                                        ContainsSubstring("--batch-events-max"));
}

TEST_CASE("the version is the one that the changelog begins with") {
  CHECK(ended({"--version"}).to_stdout == "colloquy " + std::string(version) + "\n");
  std::ifstream file(std::string(colloquy::test::source_dir()) + "/CHANGELOG.md");
  std::stringstream text;
  text << file.rdbuf();
  const auto first = text.str().find("\n## ");
  REQUIRE(first != std::string::npos);
  CHECK_THAT(text.str().substr(first + 1), StartsWith("## " + std::string(version) + " "));
}

TEST_CASE("files that cannot be replayed are mistakes, all of them") {
  colloquy::test::temp_dir dir;
  std::ofstream(dir / "good.jsonl") << "\n";
  std::vector<config::mistake> mistakes;
  add_file_mistakes({dir / "good.jsonl", dir / "missing.jsonl", dir.path(), "/dev/null"}, mistakes);
  REQUIRE(mistakes.size() == 3);
  CHECK_THAT(config::format(mistakes[0]), ContainsSubstring("missing.jsonl") && ContainsSubstring("No such file"));
  CHECK_THAT(config::format(mistakes[1]), ContainsSubstring("folder"));
  CHECK_THAT(config::format(mistakes[2]), ContainsSubstring("no regular file"));
}
