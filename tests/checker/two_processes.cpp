#include "tests/checker/two_processes.hpp"

#include "tests/support/eventually.hpp"

#include <csignal>
#include <cstdio>
#include <set>
#include <thread>

namespace colloquy::checker {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto patience = 30s;
constexpr auto takeover_limit = 15s;
constexpr auto end_limit = 10s; // until what a process gave up in order is another's

bool is_ready(const line& said) {
  return said.kind == "ready";
}

bool is_durable(const line& said) {
  return said["durability"] == "durable";
}

bool is_answer(const line& said) {
  return said.kind == "made" || said.kind == "forked" || said.kind == "appended" || said.kind == "started" ||
         said.kind == "ended";
}

} // namespace

two_processes::two_processes(const checker_options& options, watched_server& server)
  : options_(options)
  , server_(server)
  , database_(server.look_conninfo()) {}

int two_processes::run() {
  std::printf("two processes: seed %llu\n", static_cast<unsigned long long>(options_.seed));
  watched_load first(load_options("first", options_.seed));
  check(first.await(is_ready, 0, patience) && first.await(is_durable, 0, patience), "the first serves");
  std::this_thread::sleep_for(500ms); // it makes sessions
  first_ = owner();
  check(!first_.empty(), "the first owns every session");
  watched_load second(load_options("second", options_.seed + 1));
  check(second.await(is_ready, 0, patience), "the second starts beside it");
  second_gets_nothing(second);
  if (second_takes_over(first, second)) {
    first_lives_on(first, second);
    first_takes_back(first, second);
  }
  look(first, second);
  if (faults_ > 0)
    std::printf("the log of the first:\n%s\nthe log of the second:\n%s\n", first.log().c_str(), second.log().c_str());
  return faults_ == 0 ? 0 : 1;
}

watched_options two_processes::load_options(const std::string& name, std::uint64_t seed) {
  watched_options made;
  made.program = options_.load;
  made.name = name;
  made.folder = options_.folder;
  made.known = database_.sessions(1000);
  made.arguments = {"--conninfo", server_.service_conninfo(),       "--seed",    std::to_string(seed % 1'000'000'000),
                    "--callers",  std::to_string(options_.callers), "--tenants", std::to_string(options_.tenants)};
  return made;
}

/// Who owns all shards; "" if they are several, or nobody.
std::string two_processes::owner() {
  return database_.text("SELECT max(process_id::text) FROM shards HAVING count(process_id) = 1024"
                        " AND count(DISTINCT process_id) = 1");
}

/// Whatever the first could write changes one of these.
std::string two_processes::traces_of_first() {
  return database_.text(
      "SELECT (SELECT count(*) FROM events WHERE data LIKE '%\"content\":\"first%') || ' messages, ' ||"
      " (SELECT count(*) FROM turns WHERE process_id = '" +
      first_ +
      "') || ' turns, ' || (SELECT count(*) FROM writers AS w"
      " WHERE w.process_id = '" +
      first_ +
      "') || ' writers at ' || (SELECT coalesce(max(seq), 0) FROM writers AS w"
      " WHERE w.process_id = '" +
      first_ + "')");
}

bool two_processes::await_owner(const std::function<bool(const std::string&)>& wanted, std::chrono::seconds within) {
  return test::eventually([&] { return wanted(owner()); }, within);
}

void two_processes::second_gets_nothing(watched_load& second) {
  check(!second.await(is_answer, 0, 3s), "the second is answered nothing while the first lives");
  std::size_t refused = 0;
  for (const auto& said : second.lines())
    refused += said.kind == "refused" && said["code"] == "not_owner" ? 1 : 0;
  check(refused > 0, "the second is told not_owner, " + std::to_string(refused) + " times");
  check(owner() == first_, "the first still owns every session");
}

bool two_processes::second_takes_over(watched_load& first, watched_load& second) {
  std::set<std::string> sessions;
  for (const auto& each : database_.sessions(1000))
    sessions.insert(each["session"]);
  const auto mark = second.said();
  const auto start = steady::now();
  first.signal(SIGSTOP);
  const bool is_taken =
      await_owner([&](const std::string& now) { return !now.empty() && now != first_; }, takeover_limit);
  const auto taken = seconds_since(start);
  second_ = owner();
  check(is_taken, "the second owns every session " + std::to_string(taken) + " s after the first was stopped");
  const bool is_served = second.await(
      [&](const line& said) { return is_durable(said) && sessions.contains(said["session"]); }, mark, patience);
  check(is_served, "it writes into the first's sessions " + std::to_string(seconds_since(start)) +
                       " s after the first was stopped");
  return is_taken;
}

void two_processes::first_lives_on(watched_load& first, watched_load& second) {
  const auto before = traces_of_first();
  const auto mark = first.said();
  first.signal(SIGCONT);
  std::set<std::string> told;
  const bool all_told = first.await(
      [&](const line& said) {
        if (said.kind == "refused" && said["code"] == "not_owner")
          told.insert(said["caller"]);
        return told.size() == options_.callers;
      },
      mark, patience);
  check(all_told, "of the first's " + std::to_string(options_.callers) + " callers, " + std::to_string(told.size()) +
                      " are told not_owner");
  std::this_thread::sleep_for(3s); // it has every chance to write
  const auto after = traces_of_first();
  check(before == after, "the first has written nothing since: " + before + ", then " + after);
  check(first.running(), "the first lives on");
  check(owner() == second_, "the second still owns every session");
  check(second.await(is_durable, second.said(), patience), "the second goes on");
}

void two_processes::first_takes_back(watched_load& first, watched_load& second) {
  const auto start = steady::now();
  second.signal(SIGTERM);
  check(second.wait(patience) == 0, "the second ends in order");
  const auto ended = steady::now();
  const bool is_back = await_owner([&](const std::string& now) { return !now.empty() && now != second_; }, end_limit);
  check(is_back, "the first owns every session " + std::to_string(seconds_since(ended)) +
                     " s after the second has ended, " + std::to_string(seconds_since(start)) + " s after it was told");
  check(first.await(is_durable, first.said(), patience), "the first serves again");
  std::this_thread::sleep_for(500ms); // it is at work
}

void two_processes::look(watched_load& first, watched_load& second) {
  first.signal(SIGCONT);
  first.signal(SIGTERM);
  check(first.wait(patience) == 0, "the first ends in order");
  run_evidence of_first, of_second;
  for (const auto& said : first.lines())
    of_first.take(said);
  for (const auto& said : second.lines())
    of_second.take(said);
  auto all = of_first.finish(true);
  all.add(of_second.finish(!second.running()));
  for (const auto& each : all.faults)
    check(false, each);
  for (const auto& each : database_.faults(all))
    check(false, each);
  std::printf("in all: %zu durable and %zu accepted answers, %zu events promised and there; %zu faults\n", all.durable,
              all.accepted, all.events.size(), faults_);
}

void two_processes::check(bool holds, const std::string& what) {
  std::printf("%s: %s\n", holds ? "yes" : "NO", what.c_str());
  std::fflush(stdout);
  faults_ += holds ? 0 : 1;
}

} // namespace colloquy::checker
