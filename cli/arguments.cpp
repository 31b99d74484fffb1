#include "cli/arguments.hpp"

#include "cli/bench_flags.hpp"
#include "cli/exit_code.hpp"
#include "config/settings.hpp"
#include "config/units.hpp"
#include "messages/version.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>

namespace colloquy::cli {
namespace {

constexpr std::size_t copies_max = 1'000'000;
constexpr std::size_t concurrency_max = 100'000;  ///< conversations in flight; each is some kilobytes
constexpr std::size_t machine_parts_max = 10'000; ///< cores or disks

/// The texts that the parser has filled, until they are judged.
struct raw_arguments {
  std::vector<std::string> files;
  std::string copies;
  std::string concurrency;
  bool json = false;
  bool print_sql = false;
  bool require_database = false;
  bool advise = false;
  std::string connection;
  std::string cores;
  std::string disks;
  std::string config_file;
  bench_flags bench;
  std::map<std::string, std::string> settings; ///< by flag
};

std::string flag_of(std::string_view setting) {
  std::string flag = "--" + std::string(setting);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string_view type_name_of(config::setting_kind kind) {
  switch (kind) {
  case config::setting_kind::path:
    return "DIR";
  case config::setting_kind::level:
    return "LEVEL";
  case config::setting_kind::count:
    return "N";
  case config::setting_kind::duration:
    return "DURATION";
  case config::setting_kind::size:
    return "SIZE";
  case config::setting_kind::text:
    break;
  }
  return "TEXT";
}

/// Values are taken as texts: what is allowed is told in one place, in one way, and all mistakes at once.
void add_settings(CLI::App& command, raw_arguments& raw) {
  command.add_option("--config", raw.config_file, "A file of settings, key = value")->type_name("FILE");
  for (const auto& each : config::descriptors()) {
    const std::string flag = flag_of(each.name);
    std::string help(each.meaning);
    if (!each.default_text.empty())
      help += " [" + each.default_text + "]";
    const bool is_common =
        each.name == "database" || each.name == "data_dir" || each.name == "log_level" || each.name == "log_format";
    command.add_option(flag, raw.settings[flag], help)
        ->type_name(each.name == "database" ? "URI" : std::string(type_name_of(each.kind)))
        ->group(is_common ? "Options" : "Settings")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

std::size_t judge_count(const CLI::App& command, const std::string& flag, const std::string& text, std::size_t max,
                        std::size_t otherwise, std::vector<config::mistake>& mistakes) {
  if (command.count(flag) == 0)
    return otherwise;
  const auto number = config::parse_whole_number(text);
  if (number && *number >= 1 && *number <= max)
    return *number;
  mistakes.push_back({flag.substr(2), "flag " + flag, text, "must be a whole number, 1 to " + std::to_string(max)});
  return otherwise;
}

doctor_arguments judge_doctor(const CLI::App& command, const raw_arguments& raw,
                              std::vector<config::mistake>& mistakes) {
  doctor_arguments doctor{raw.json, raw.advise};
  const auto take = [&](const char* flag, const std::string& text, std::size_t max) {
    const auto count = judge_count(command, flag, text, max, 0, mistakes);
    return count > 0 ? std::optional<std::size_t>(count) : std::nullopt;
  };
  doctor.cores = take("--cores", raw.cores, machine_parts_max);
  doctor.disks = take("--disks", raw.disks, machine_parts_max);
  doctor.concurrency = take("--concurrency", raw.concurrency, concurrency_max);
  return doctor;
}

command_line judge(const CLI::App& command, const raw_arguments& raw) {
  command_line line;
  if (command.count("--config") > 0)
    line.config_file = raw.config_file;
  for (const auto& [flag, text] : raw.settings)
    if (command.count(flag) > 0)
      line.setting_flags.emplace_back(flag, text);
  if (command.get_name() == "serve") {
    line.command = serve_arguments{raw.require_database};
    return line;
  }
  if (command.get_name() == "mcp") {
    for (const auto* flag : {"--connection-string", "CONNECTION"})
      if (command.count(flag) > 0)
        line.setting_flags.emplace_back("--database", raw.connection);
    line.command = mcp_arguments{};
    return line;
  }
  if (command.get_name() == "migrate") {
    line.command = migrate_arguments{raw.print_sql, raw.json};
    return line;
  }
  if (command.get_name() == "doctor") {
    line.command = judge_doctor(command, raw, line.mistakes);
    return line;
  }
  if (command.get_name() == "bench") {
    auto bench = raw.bench.judge(command, line.mistakes);
    const auto is_given = [&](const char* flag) { return command.count(flag) > 0; };
    bench.has_place_of_its_own = !is_given("--database") && !is_given("--data-dir") && !is_given("--config");
    line.command = std::move(bench);
    return line;
  }
  replay_arguments replay;
  replay.files.assign(raw.files.begin(), raw.files.end());
  replay.json = raw.json;
  replay.copies = judge_count(command, "--copies", raw.copies, copies_max, replay.copies, line.mistakes);
  replay.concurrency =
      judge_count(command, "--concurrency", raw.concurrency, concurrency_max, replay.concurrency, line.mistakes);
  line.command = std::move(replay);
  return line;
}

void add_replay(CLI::App& app, raw_arguments& raw) {
  auto& replay = *app.add_subcommand("replay", "Replay transcripts through real sessions, and read them back");
  replay.add_option("FILE", raw.files, "Files of one conversation a line: {\"conversation_id\", \"messages\": [...]}")
      ->required()
      ->type_name("");
  replay.add_option("--copies", raw.copies, "How often each conversation is replayed, 1 to 1000000 [1]")
      ->type_name("N");
  replay.add_option("--concurrency", raw.concurrency, "Conversations in flight, 1 to 100000 [256]")->type_name("N");
  replay.add_flag("--json", raw.json, "Report as one line of JSON");
  add_settings(replay, raw);
}

void add_serve(CLI::App& app, raw_arguments& raw) {
  auto& serve = *app.add_subcommand("serve", "Serve HTTP");
  serve.add_flag("--require-database", raw.require_database, "End if the database is away, instead of waiting for it");
  add_settings(serve, raw);
}

void add_mcp(CLI::App& app, raw_arguments& raw) {
  auto& mcp = *app.add_subcommand("mcp", "Serve the Model Context Protocol on standard input and output");
  mcp.add_option("CONNECTION", raw.connection, "As --database; better in the environment, where nobody else sees it")
      ->type_name("");
  mcp.add_option("--connection-string", raw.connection, "As --database")->type_name("URI");
  add_settings(mcp, raw);
}

void add_migrate(CLI::App& app, raw_arguments& raw) {
  auto& migrate = *app.add_subcommand("migrate", "Bring a database's schema up to date, and make the roles");
  migrate.add_flag("--print-sql", raw.print_sql, "Print the SQL for an administrator and change nothing");
  migrate.add_flag("--json", raw.json, "Report as one line of JSON");
  add_settings(migrate, raw);
}

void add_doctor(CLI::App& app, raw_arguments& raw) {
  auto& doctor = *app.add_subcommand("doctor", "Check the configuration, the database, and the way to it");
  doctor.add_flag("--json", raw.json, "Report as one line of JSON");
  doctor.add_flag("--advise", raw.advise, "Say how large the pool should be, too");
  doctor.add_option("--cores", raw.cores, "For --advise: cores of the database's machine, 1 to 10000 [this machine's]")
      ->type_name("N");
  doctor.add_option("--disks", raw.disks, "For --advise: its disks, 1 to 10000; an SSD is one [this machine's]")
      ->type_name("N");
  doctor
      .add_option("--concurrency", raw.concurrency,
                  "For --advise: operations expected at a time, 1 to 100000 [what pool_max is right for]")
      ->type_name("N");
  add_settings(doctor, raw);
}

finished end_of(CLI::App& app, const CLI::ParseError& why) {
  std::ostringstream out;
  std::ostringstream problems;
  // The library calls every mistake by a number of its own.
  const bool is_mistake = app.exit(why, out, problems) != 0;
  return {is_mistake ? exit_wrong_usage : exit_done, out.str(), is_mistake ? "colloquy: " + problems.str() : ""};
}

/// The parser would only say that a subcommand is required, not that the one given is none.
std::optional<finished> unknown_subcommand(CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-')
    return std::nullopt;
  std::string names;
  for (const auto* each : app.get_subcommands([](CLI::App*) { return true; })) {
    if (each->get_name() == argv[1])
      return std::nullopt;
    names += (names.empty() ? "" : ", ") + each->get_name();
  }
  return finished{exit_wrong_usage, "",
                  "colloquy: there is no subcommand \"" + std::string(argv[1]) + "\"; there are: " + names + "\n"};
}

/// Last word first, as the parser wants them. "--name=" is made two words, for to the parser it has no value.
std::vector<std::string> words_of(int argc, const char* const* argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word.starts_with("--") && word.size() > 3 && word.find('=') == word.size() - 1) {
      word.pop_back();
      words.push_back(std::move(word));
      words.emplace_back();
    } else {
      words.push_back(std::move(word));
    }
  }
  std::reverse(words.begin(), words.end());
  return words;
}

} // namespace

std::variant<command_line, finished> parse_arguments(int argc, const char* const* argv) {
  CLI::App app("Colloquy keeps the conversations of AI agents.", "colloquy");
  raw_arguments raw;
  app.set_version_flag("--version", "colloquy " + std::string(version));
  app.require_subcommand(1);
  add_serve(app, raw);
  add_mcp(app, raw);
  add_replay(app, raw);
  add_migrate(app, raw);
  add_doctor(app, raw);
  add_settings(raw.bench.add_to(app), raw);
  if (auto unknown = unknown_subcommand(app, argc, argv))
    return *std::move(unknown);
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::ParseError& why) {
    return end_of(app, why);
  }
  return judge(*app.get_subcommands().front(), raw);
}

config::sources command_line::make_sources() const {
  auto from = config::sources_of_process();
  from.flags = setting_flags;
  from.file = config_file;
  return from;
}

config::loaded command_line::load_settings() const {
  const auto from = make_sources();
  auto read = config::load(from);
  // Somebody who replays, measures or asks the doctor looks at the report; the course of things is for those who ask.
  const bool is_default = read.values.log_level == config::settings{}.log_level && !says_log_level(from);
  const bool is_looked_at = std::holds_alternative<replay_arguments>(command) ||
                            std::holds_alternative<doctor_arguments>(command) ||
                            std::holds_alternative<bench_arguments>(command);
  if (is_looked_at && is_default)
    read.values.log_level = config::log_level::warn;
  read.mistakes.insert(read.mistakes.begin(), mistakes.begin(), mistakes.end());
  return read;
}

bool command_line::says_log_level(const config::sources& from) const {
  const auto& names = config::find_setting("log_level")->environment;
  const bool in_flags =
      std::any_of(from.flags.begin(), from.flags.end(), [](const auto& flag) { return flag.first == "--log-level"; });
  return in_flags || std::any_of(names.begin(), names.end(),
                                 [&](const auto& each) { return from.environment.contains(each.name); });
}

} // namespace colloquy::cli
