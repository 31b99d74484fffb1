// The real program, and the real replay on a real database.
#include "cli/replay_checker.hpp"
#include "cli/replay_driver.hpp"
#include "messages/content.hpp"
#include "tests/cli/program_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/places.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_service.hpp"

#include <caf/scoped_actor.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace colloquy;
using namespace colloquy::cli;
using namespace colloquy::cli::test;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;
using colloquy::test::temp_dir;
using colloquy::test::test_database;

namespace {

const std::filesystem::path examples = std::string(colloquy::test::source_dir()) + "/examples/conversations";

std::vector<std::filesystem::path> example_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& each : std::filesystem::directory_iterator(examples))
    if (each.path().extension() == ".jsonl")
      files.push_back(each.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> replay_arguments_with(std::vector<std::string> more) {
  more.insert(more.begin(), "replay");
  for (const auto& file : example_files())
    more.push_back(file.string());
  return more;
}

std::vector<std::string> lines_of_examples() {
  std::vector<std::string> lines;
  for (const auto& path : example_files()) {
    std::ifstream file(path, std::ios::binary);
    for (std::string line; std::getline(file, line);)
      lines.push_back(line);
  }
  return lines;
}

std::size_t count_messages(const std::vector<std::string>& lines) {
  std::size_t count = 0;
  for (const auto& line : lines)
    count += parse_conversation(line).value().messages.size();
  return count;
}

nlohmann::json report_of(const program_run& run) {
  const auto text = run.out();
  INFO(text << run.err());
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 1);
  return nlohmann::json::parse(text);
}

/// As a literal of SQL.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text)
    out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

} // namespace

TEST_CASE("the examples go through the embedded server, again and again") {
  temp_dir data;
  const auto messages = count_messages(lines_of_examples());
  for (int round = 0; round < 2; ++round) {
    program_run run(replay_arguments_with({"--json", "--data-dir", data.path().string()}));
    INFO(run.err());
    CHECK(run.wait() == 0);
    const auto report = report_of(run);
    CHECK(report["conversations"] == lines_of_examples().size());
    CHECK(report["messages"] == messages);
    CHECK(report["durable"] == messages);
    CHECK(report["verified"] == messages);
    CHECK(report["mismatched"] == 0);
    CHECK(report["bad_lines"] == 0);
    CHECK(report["seconds"] > 0.0);
    CHECK(report["messages_per_s"] > 0.0);
  }
}

TEST_CASE("every message is in the database as the bytes in the file, and nothing else is") {
  auto database = test_database::make();
  program_run run(replay_arguments_with({"--copies", "2", "--database", database.service_conninfo()}));
  REQUIRE(run.wait() == 0);
  CHECK_THAT(run.out(), ContainsSubstring("conversations            24\n"));
  for (const auto& line : lines_of_examples()) {
    const auto expected = parse_conversation(line).value();
    const auto id = nlohmann::json::parse(expected.id_json).get<std::string>();
    for (int copy = 1; copy <= 2; ++copy) {
      const auto rows =
          database.exec("SELECT e.data, e.role, e.turn_id IS NOT NULL FROM sessions s JOIN events e USING "
                        "(tenant_id, log_id) WHERE s.metadata::json->>'conversation_id' = " +
                        quoted(id) + " AND s.metadata::json->>'copy' = '" + std::to_string(copy) +
                        "' AND e.kind = 'message' ORDER BY e.\"offset\"");
      REQUIRE(rows.size() == expected.messages.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK(rows[i][0] == expected.messages[i].data);
        CHECK(rows[i][1] == to_string(expected.messages[i].role));
      }
    }
  }
  CHECK(database.value("SELECT count(*) FROM turns WHERE status <> 'completed' OR ended_at IS NULL") == "0");
  CHECK(database.value("SELECT count(*) FROM (SELECT max(\"offset\") + 1 - count(*) AS holes FROM events "
                       "GROUP BY log_id) logs WHERE holes <> 0") == "0");
  CHECK(database.value("SELECT count(*) FROM sessions WHERE user_id <> 'replay' OR external_id IS NOT NULL") == "0");
}

TEST_CASE("a bad line is named, skipped, and costs the exit code") {
  auto database = test_database::make();
  temp_dir dir;
  const auto path = dir / "mixed.jsonl";
  std::ofstream(path) << R"({"conversation_id":"a","messages":[{"role":"user","content":"x"}]})"
                      << "\nnot json\n"
                      << R"({"conversation_id":"b","messages":[{"role":"user","content":"x"},{"role":"who"}]})"
                      << "\n"
                      << R"({"conversation_id":"c","messages":[{"role":"user","content":"y"}]})";
  program_run run({"replay", path.string(), "--json", "--database", database.service_conninfo()});
  CHECK(run.wait() == 1);
  const auto report = report_of(run);
  CHECK(report["conversations"] == 2);
  CHECK(report["messages"] == 2);
  CHECK(report["verified"] == 2);
  CHECK(report["bad_lines"] == 2);
  CHECK_THAT(run.err(), ContainsSubstring(path.string() + " line 2: skipped: not valid JSON") &&
                            ContainsSubstring(path.string() + " line 3: skipped: message 2: role 'who'"));
}

TEST_CASE("a missing file is wrong usage, and nothing is begun") {
  temp_dir dir;
  const auto data = dir / "data";
  program_run run({"replay", "/nonexistent/file.jsonl", "--copies", "0", "--data-dir", data.string()});
  CHECK(run.wait() == 2);
  CHECK(run.out().empty());
  CHECK_THAT(run.err(), ContainsSubstring("/nonexistent/file.jsonl") && ContainsSubstring("--copies"));
  CHECK_FALSE(std::filesystem::exists(data));
}

TEST_CASE("an unmigrated database is refused until it is migrated") {
  auto database = test_database::make_empty();
  const auto arguments = replay_arguments_with({"--json", "--database", database.owner_conninfo()});
  program_run refused(arguments);
  CHECK(refused.wait() == 1);
  CHECK(refused.out().empty());
  CHECK_THAT(refused.err(), ContainsSubstring("colloquy migrate"));

  program_run migrating({"migrate", "--json", "--database", database.owner_conninfo()});
  REQUIRE(migrating.wait() == 0);
  CHECK_FALSE(report_of(migrating)["applied"].empty());
  program_run again({"migrate", "--database", database.owner_conninfo()});
  REQUIRE(again.wait() == 0);
  CHECK_THAT(again.out(), ContainsSubstring("nothing to apply"));

  program_run accepted(arguments);
  CHECK(accepted.wait() == 0);
}

TEST_CASE("the schema is printed without a database") {
  program_run run({"migrate", "--print-sql", "--schema", "elsewhere", "--data-dir", "/nonexistent/data"});
  CHECK(run.wait() == 0);
  CHECK_THAT(run.out(), ContainsSubstring("CREATE TABLE events") && ContainsSubstring("elsewhere"));
}

TEST_CASE("no password is shown") {
  for (const std::vector<std::string>& command : {replay_arguments_with({}), std::vector<std::string>{"migrate"}}) {
    auto arguments = command;
    arguments.insert(arguments.end(), {"--log-level", "trace", "--database"});
    arguments.emplace_back("postgresql://someone:s3cr3t@127.0.0.1:1/nowhere?connect_timeout=2");
    program_run run(arguments);
    CHECK(run.wait() == 1);
    CHECK_FALSE(run.err().empty());
    CHECK_THAT(run.out() + run.err(), !ContainsSubstring("s3cr3t"));
  }
}

TEST_CASE("interrupted, it makes durable what was accepted and says how far it came") {
  for (int number : {SIGINT, SIGTERM}) {
    auto database = test_database::make();
    program_run run(
        replay_arguments_with({"--json", "--copies", "1000000", "--database", database.service_conninfo()}));
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (database.value("SELECT count(*) FROM events") == "0") {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      std::this_thread::sleep_for(10ms); // another process is at work
    }
    run.signal(number);
    CHECK(run.wait() == 1);
    const auto report = report_of(run);
    CHECK(report["interrupted"] == true);
    CHECK(report["messages"] > 0);
    CHECK(report["durable"] == report["messages"]);
    CHECK(database.value("SELECT count(*) FROM events WHERE kind = 'message'") ==
          std::to_string(report["messages"].get<std::size_t>()));
  }
}

TEST_CASE("a second signal ends it at once") {
  auto database = test_database::make();
  program_run run(replay_arguments_with({"--copies", "1000000", "--database", database.service_conninfo()}));
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (database.value("SELECT count(*) FROM events") == "0") {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(10ms); // another process is at work
  }
  run.signal(SIGINT);
  run.signal(SIGTERM);
  CHECK(run.wait(10s) == 1);
  CHECK(run.out().empty());
}

TEST_CASE("a row that was changed behind the service's back is found") {
  colloquy::test::test_service service;
  replay_plan plan;
  plan.tenant = colloquy::test::tenant("default");
  plan.files = example_files();
  caf::scoped_actor self{service.system()};
  const auto transcripts = [&] {
    return caf::actor_cast<transcript_actor>(service.system().spawn<transcript_source, caf::detached>(plan.files));
  };
  append_outcome_ptr appended;
  self->send(
      service.system().spawn<replay_driver>(service.directory(), service.service().budget(), transcripts(), plan),
      begin_replay{});
  self->receive([&](const append_outcome_ptr& outcome) { appended = outcome; }, caf::after(60s) >> [] {});
  REQUIRE(appended);
  REQUIRE(appended->durable);
  const auto check = [&] {
    std::optional<check_outcome> checked;
    self->send(service.system().spawn<replay_checker>(service.directory(), transcripts(), plan, appended),
               begin_check{});
    self->receive([&](const check_outcome& outcome) { checked = outcome; }, caf::after(60s) >> [] {});
    REQUIRE(checked.has_value());
    return *checked;
  };
  const auto whole = check();
  CHECK(whole.verified == appended->messages);
  CHECK(whole.mismatched == 0);

  const std::string one = "WHERE (log_id, \"offset\") IN (SELECT log_id, \"offset\" FROM events WHERE kind = 'message' "
                          "AND role = 'assistant' ORDER BY log_id, \"offset\" LIMIT 1)";
  service.database().exec("UPDATE events SET data = data || ' ' " + one);
  const auto changed = check();
  CHECK(changed.verified == appended->messages - 1);
  CHECK(changed.mismatched == 1);
  service.database().exec("DELETE FROM events " + one);
  const auto missing = check();
  CHECK(missing.verified == appended->messages - 1);
  CHECK(missing.mismatched == 2); // the message, and the gap where it was
}
