// The verdict, the next thing to do, and how a report looks; and the advice on sizes.
#include "cli/arguments.hpp"
#include "cli/doctor_report.hpp"
#include "cli/doctor_report_sizing.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

#include <fstream>

using namespace colloquy;
using namespace colloquy::cli;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

probe_result probe(std::string name, probe_status status, std::string advice = "") {
  probe_result made{std::move(name), status, "a summary"};
  made.advice = std::move(advice);
  return made;
}

doctor_report report(std::vector<probe_result> probes) {
  return {std::move(probes), std::nullopt};
}

std::variant<command_line, finished> parse(std::vector<const char*> words) {
  words.insert(words.begin(), {"colloquy", "doctor"});
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

} // namespace

TEST_CASE("the verdict is the worst, and next is the first of the worst") {
  const auto good = report({probe("a", probe_status::ok), probe("b", probe_status::skip, "unasked")});
  CHECK(verdict_of(good) == "ok");
  CHECK_THAT(next_of(good), ContainsSubstring("nothing"));
  const auto warned = report(
      {probe("a", probe_status::ok), probe("b", probe_status::warn, "do b"), probe("c", probe_status::warn, "do c")});
  CHECK(verdict_of(warned) == "warnings");
  CHECK(next_of(warned) == "b: do b");
  const auto bad = report({probe("a", probe_status::warn, "do a"), probe("b", probe_status::fail),
                           probe("c", probe_status::fail, "do c"), probe("d", probe_status::skip)});
  CHECK(verdict_of(bad) == "failed");
  CHECK(next_of(bad) == "b: a summary");
}

TEST_CASE("a line has its mark, its name, its summary and its time, and advice below it") {
  auto slow = probe("dns", probe_status::warn, "first\nsecond");
  slow.took = 12ms;
  const auto text = to_text(slow, false);
  CHECK(text == "[warn] dns            a summary (12 ms)\n"
                "                      first\n"
                "                      second\n");
  CHECK_THAT(to_text(slow, true), ContainsSubstring("\x1b[33m[warn]"));
  for (const auto status : {probe_status::ok, probe_status::fail, probe_status::skip})
    CHECK(to_text(probe("x", status), false).find("x  ") == text.find("dns"));
}

TEST_CASE("others' words cannot move a terminal's cursor") {
  auto evil = probe("login", probe_status::fail, "\x1b[2Jadvice");
  evil.summary = "words\x1b[1A\r\x07 more";
  const auto text = to_text(evil, false) + closing_text(report({evil}), false);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("JSON is one object in one line, whatever bytes were said") {
  auto odd = probe("login", probe_status::fail, "do it");
  odd.summary = "not UTF-8: \xff";
  odd.took = 5ms;
  const auto text = to_json(report({odd, skipped("clocks", "nobody is logged in")}));
  CHECK(text.find('\n') == std::string::npos);
  const auto read = nlohmann::json::parse(text);
  CHECK(read["verdict"] == "failed");
  CHECK(read["next"] == "login: do it");
  REQUIRE(read["probes"].size() == 2);
  CHECK(read["probes"][0]["status"] == "fail");
  CHECK(read["probes"][0]["took_ms"] == 5);
  CHECK(read["probes"][0]["details"].is_object());
  CHECK(read["probes"][1]["summary"] == "skipped: because nobody is logged in");
  CHECK_FALSE(read.contains("sizing"));
}

TEST_CASE("sizing takes the server's limits and what others use of it") {
  sizing_facts facts;
  facts.cores = 4;
  facts.disks = 1;
  facts.concurrency = 20;
  facts.pool_max = 20;
  facts.is_this_machine = true;
  db::doctor::usage_facts usage;
  usage.max_connections = 60;
  usage.superuser_reserved = 3;
  usage.reserved = 2;
  usage.used = 45;
  usage.ours = 10;
  facts.usage = usage;
  const auto sizing = make_sizing(facts);
  CHECK(sizing.advice.by_cores == 9);
  CHECK(sizing.advice.by_concurrency == 24);
  CHECK(sizing.advice.by_concurrency_ample == 35);
  CHECK(sizing.advice.server_left == 20);
  CHECK(sizing.advice.pool_max == 20);
  CHECK(sizing.notes.empty());
  CHECK_THAT(to_text(sizing), ContainsSubstring("pool_max = 20") && ContainsSubstring("warning"));
  CHECK(to_json(sizing)["used_by_others"] == 35);
}

TEST_CASE("sizing says what it took for granted, and knows the pooler's limit") {
  sizing_facts facts;
  facts.pool_max = 40;
  facts.is_supavisor = true;
  const auto sizing = make_sizing(facts);
  CHECK(sizing.notes.size() == 3);
  CHECK(sizing.input.concurrency == 33);
  CHECK(sizing.advice.limit == 30);
  CHECK_FALSE(sizing.advice.warnings.empty());
}

TEST_CASE("only disks that rotate count, and one there is always") {
  const colloquy::test::temp_dir folder;
  const auto add = [&](const char* name, const char* rotational) {
    std::filesystem::create_directories(folder / name / "queue");
    std::ofstream(folder / name / "queue" / "rotational") << rotational << "\n";
  };
  CHECK(count_disks(folder / "nowhere") == 1);
  add("nvme0n1", "0");
  add("loop0", "1");
  add("dm-0", "1");
  CHECK(count_disks(folder.path()) == 1);
  add("sda", "1");
  add("sdb", "1");
  add("vda", "1");
  CHECK(count_disks(folder.path()) == 3);
}

TEST_CASE("doctor takes its options and every setting") {
  const auto line = parse(
      {"--json", "--advise", "--disks", "2", "--cores=8", "--concurrency", "50", "--database", "postgresql://h/d"});
  REQUIRE(std::holds_alternative<command_line>(line));
  const auto& doctor = std::get<doctor_arguments>(std::get<command_line>(line).command);
  CHECK((doctor.json && doctor.advise));
  CHECK(doctor.disks == 2u);
  CHECK(doctor.cores == 8u);
  CHECK(doctor.concurrency == 50u);
  CHECK(std::get<command_line>(line).setting_flags.size() == 1);
  const auto plain = std::get<doctor_arguments>(std::get<command_line>(parse({})).command);
  CHECK_FALSE((plain.json || plain.advise || plain.disks || plain.cores || plain.concurrency));
}

TEST_CASE("doctor's numbers out of range are mistakes") {
  const auto line = parse({"--disks", "0", "--cores", "x", "--concurrency", "100001"});
  REQUIRE(std::holds_alternative<command_line>(line));
  CHECK(std::get<command_line>(line).mistakes.size() == 3);
}
