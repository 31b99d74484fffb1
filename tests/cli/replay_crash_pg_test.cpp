// The real program killed in the middle of a replay, with the server that it runs.
#include "db/embedded_server.hpp"
#include "tests/cli/program_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/places.hpp"
#include "tests/support/test_cluster.hpp"

#include <iostream>
#include <random>

using namespace colloquy;
using namespace colloquy::cli::test;
using namespace std::chrono_literals;
using colloquy::test::sql_error;
using colloquy::test::temp_dir;
using colloquy::test::test_connection;

namespace {

std::vector<std::string> replay_of_examples(const std::filesystem::path& data_dir, const std::string& copies) {
  std::vector<std::string> arguments;
  for (const char* word : {"replay", "--json", "--copies"})
    arguments.emplace_back(word);
  arguments.push_back(copies);
  arguments.emplace_back("--data-dir");
  arguments.push_back(data_dir.string());
  for (const auto& each : std::filesystem::directory_iterator(std::string(colloquy::test::source_dir()) + "/examples/conversations"))
    if (each.path().extension() == ".jsonl")
      arguments.push_back(each.path().string());
  return arguments;
}

/// Waits until a running program has made that many events durable.
void wait_for_events(const std::filesystem::path& data_dir, int wanted) {
  const auto conninfo = "host='" + (data_dir / "postgres/socket").string() + "' user=postgres dbname=colloquy";
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  for (int seen = 0; seen < wanted;) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(5ms); // another process is at work
    try {
      seen = std::stoi(test_connection(conninfo).value("SELECT count(*) FROM events"));
    } catch (const sql_error&) { // the server, or its schema, is not there yet
    }
  }
}

} // namespace

TEST_CASE("killed in the middle of a replay, it comes back with its data, and no session has a gap") {
  temp_dir dir;
  const auto data_dir = dir.path() / "data";
  const auto seed = std::random_device{}();
  std::cout << "kills from seed " << seed << "\n";
  std::mt19937 random(seed);
  int kept = 0;
  for (int round = 0; round < 3; ++round) {
    {
      program_run run(replay_of_examples(data_dir, "1000000"));
      wait_for_events(data_dir, kept + std::uniform_int_distribution<int>(1, 20'000)(random));
      run.signal(SIGKILL);
      REQUIRE(run.wait() == 128 + SIGKILL);
    }
    db::embedded_options options;
    options.data_dir = data_dir;
    auto server = db::embedded_server::start(options);
    REQUIRE(server);
    test_connection look("host='" + server->socket_dir() + "' user=postgres dbname=colloquy");
    const auto events = std::stoi(look.value("SELECT count(*) FROM events"));
    CHECK(events > kept);
    kept = events;
    CHECK(look.value("SELECT count(*) FROM (SELECT FROM events GROUP BY tenant_id, log_id"
                     " HAVING min(\"offset\") <> 0 OR max(\"offset\") <> count(*) - 1) AS gaps") == "0");
    CHECK(look.value("SELECT count(*) FROM events AS e WHERE NOT EXISTS (SELECT FROM sessions AS s"
                     " WHERE s.tenant_id = e.tenant_id AND s.log_id = e.log_id)") == "0");
    CHECK(look.value("SELECT count(*) FROM sessions AS s WHERE s.turn_count <> (SELECT count(*) FROM turns AS t"
                     " WHERE t.tenant_id = s.tenant_id AND t.session_id = s.id AND t.status = 'completed')") == "0");
  }
  program_run again(replay_of_examples(data_dir, "1"));
  const auto exit_code = again.wait();
  INFO(again.out() << again.err());
  CHECK(exit_code == 0);
}
