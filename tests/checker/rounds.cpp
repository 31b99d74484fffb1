#include "tests/checker/rounds.hpp"

#include "tests/checker/load_exit.hpp"
#include "tests/checker/sabotage.hpp"
#include "tests/checker/truth.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <thread>

namespace colloquy::checker {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto patience = 30s; ///< for what takes a moment, on a machine that may be busy
constexpr std::size_t sessions_known = 60;
constexpr std::size_t turns_known = 8;
constexpr std::size_t repeats_known = 20;

/// The load ended because it has no journal to offer.
struct no_journal {};

bool is_durable(const line& said) {
  return said["durability"] == "durable";
}

} // namespace

const char* to_string(victim who) {
  switch (who) {
  case victim::nobody:
    return "nobody";
  case victim::load:
    return "load";
  case victim::server:
    return "server";
  case victim::both:
    return "both";
  }
  return "?";
}

double seconds_since(steady::time_point start) {
  return std::chrono::duration<double>(steady::now() - start).count();
}

rounds::rounds(const checker_options& options, watched_server& server)
  : options_(options)
  , server_(server)
  , random_(options.seed) {}

int rounds::run() {
  std::printf("crash_checker: seed %llu, %zu rounds, kill %s%s\n", static_cast<unsigned long long>(options_.seed),
              options_.rounds, options_.kill.c_str(), options_.journal ? ", with a journal" : "");
  try {
    std::size_t played = 0;
    while (played < options_.rounds && play(++played)) {
    }
    look_at_everything();
  } catch (no_journal) {
    std::printf("skipped: the service has no journal\n");
    return exit_no_journal;
  }
  return faults_ == 0 ? 0 : 1;
}

rounds::plan rounds::make_plan() {
  plan made;
  const auto dice = random_() % 100;
  if (dice < 12 || options_.kill == "nobody")
    made.who = victim::nobody;
  else if (options_.kill == "load" || !server_.can_be_killed())
    made.who = victim::load;
  else if (options_.kill == "server")
    made.who = victim::server;
  else if (options_.kill == "both")
    made.who = victim::both;
  else
    made.who = dice < 50 ? victim::load : dice < 75 ? victim::server : victim::both;
  made.group = random_() % 2 == 0;
  made.server_first = random_() % 2 == 0;
  made.load_time = 200ms + std::chrono::milliseconds(random_() % 1300);
  made.load_seed = random_() % 1'000'000'000;
  return made;
}

/// False if it makes no sense to go on.
bool rounds::play(std::size_t number) {
  const auto what = make_plan();
  const auto name = "r" + std::to_string(number);
  report told;
  watched_load load(load_options(name, what.load_seed, options_.callers));
  if (!load.await([](const line& said) { return said.kind == "ready"; }, 0, patience)) {
    if (load.wait(0s) == exit_no_journal)
      throw no_journal{};
    fault("round " + std::to_string(number) + ": the load is not ready; its log:\n" + load.log());
    return false;
  }
  told.ready = seconds_since(told.begun);
  ready_.push_back(told.ready);
  std::this_thread::sleep_for(what.load_time); // others are at work
  const auto faults_before = faults_;
  carry_out(what, load, told);
  run_evidence heard;
  for (const auto& said : load.lines())
    heard.take(said);
  if (options_.journal && (what.who == victim::load || what.who == victim::both))
    settle(number);
  look(number, heard.finish(told.keeps_all || options_.journal), what, told);
  if (faults_ > faults_before)
    std::printf("  the log of the load:\n%s\n", load.log().c_str());
  return true;
}

watched_options rounds::load_options(const std::string& name, std::uint64_t seed, unsigned callers) {
  watched_options made;
  made.program = options_.load;
  made.name = name;
  made.folder = options_.folder;
  made.known = what_is_known();
  made.arguments = {"--conninfo", server_.service_conninfo(), "--seed",    std::to_string(seed),
                    "--callers",  std::to_string(callers),    "--tenants", std::to_string(options_.tenants)};
  if (options_.journal)
    made.arguments.insert(made.arguments.end(), {"--journal", (options_.folder / "journal.db").string()});
  return made;
}

/// Sessions and turns are the database's; appends with a key are asked again, answered or not.
std::vector<line> rounds::what_is_known() {
  truth database(server_.look_conninfo());
  auto known = database.running_turns(turns_known);
  for (const auto& each : database.sessions(sessions_known))
    known.push_back(each);
  for (const auto& each : some_appends())
    known.push_back(each);
  return known;
}

/// First those that nobody knows of whether they were done.
std::vector<line> rounds::some_appends() {
  std::vector<const std::pair<const std::string, asked_append>*> chosen;
  for (const auto& each : all_.appends)
    chosen.push_back(&each);
  std::shuffle(chosen.begin(), chosen.end(), random_);
  std::stable_partition(chosen.begin(), chosen.end(), [](const auto* each) { return !each->second.is_promised; });
  chosen.resize(std::min(chosen.size(), repeats_known));
  std::vector<line> repeats;
  for (const auto* each : chosen)
    repeats.push_back(
        {"repeat",
         {{"session", each->second.session}, {"tag", each->first}, {"count", std::to_string(each->second.count)}}});
  return repeats;
}

// --- dying -----------------------------------------------------------------------------------------------------------

void rounds::carry_out(const plan& what, watched_load& load, report& told) {
  const bool kills_server = what.who == victim::server || what.who == victim::both;
  const bool kills_load = what.who == victim::load || what.who == victim::both;
  if (kills_server && what.server_first)
    server_.kill(what.group);
  if (kills_load)
    load.signal(SIGKILL);
  if (kills_server && !what.server_first)
    server_.kill(what.group);
  if (kills_load && load.wait(patience) != 128 + SIGKILL)
    fault("the load had ended before it was killed");
  if (kills_server)
    bring_back(told);
  if (what.who == victim::server)
    live_through(load, told);
  if (!kills_load)
    end_in_order(load, told);
}

void rounds::bring_back(report& told) {
  const auto start = steady::now();
  server_.start_again();
  told.server_back = seconds_since(start);
}

/// The service, which has lost its server, goes on with all it had.
void rounds::live_through(watched_load& load, report& told) {
  const auto start = steady::now();
  if (!load.await(is_durable, load.said(), patience))
    fault("nothing was durable again after the server came back");
  told.served = seconds_since(start);
  std::this_thread::sleep_for(100ms); // others are at work
}

void rounds::end_in_order(watched_load& load, report& told) {
  load.signal(SIGTERM);
  const auto code = load.wait(patience);
  told.keeps_all = code == 0;
  if (!told.keeps_all)
    fault(code ? "the load ended with " + std::to_string(*code) + " and not in order" : "the load does not end");
  else if (truth(server_.look_conninfo()).count("SELECT count(*) FROM shards WHERE process_id IS NOT NULL") != 0)
    fault("a load that ended in order still owns sessions");
}

/// What the journal has is in the database when the next service has started and ended.
void rounds::settle(std::size_t number) {
  watched_load load(load_options("s" + std::to_string(number), 0, 0));
  load.await([](const line& said) { return said.kind == "ready"; }, 0, patience);
  report told;
  end_in_order(load, told);
  if (!told.keeps_all)
    std::printf("  the log of the load that settles:\n%s\n", load.log().c_str());
}

// --- looking ---------------------------------------------------------------------------------------------------------

void rounds::look(std::size_t number, evidence&& round, const plan& what, const report& told) {
  truth database(server_.look_conninfo());
  for (const auto& each : database.faults(round, seconds_since(told.begun) + 1))
    fault(each);
  std::string refusals;
  for (const auto& [code, count] : round.refusals)
    refusals += " " + code + " " + std::to_string(count);
  std::printf("round %zu: killed %s%s after %.2f s; %zu durable and %zu accepted answers, %zu events promised; "
              "%lld sessions, %lld events there; ready in %.2f s",
              number, to_string(what.who),
              told.server_back > 0 ? (what.group ? " (server: all processes)" : " (server: immediate)") : "",
              std::chrono::duration<double>(what.load_time).count(), round.durable, round.accepted, round.events.size(),
              static_cast<long long>(database.count("SELECT count(*) FROM sessions")),
              static_cast<long long>(database.count("SELECT count(*) FROM events")), told.ready);
  if (told.server_back > 0)
    std::printf(", server back in %.2f s", told.server_back);
  if (told.served > 0)
    std::printf(", durable again %.2f s later", told.served);
  std::printf("%s%s\n", refusals.empty() ? "" : "; refused:", refusals.c_str());
  std::fflush(stdout);
  const auto faults_before = all_.faults.size();
  all_.add(std::move(round));
  for (auto i = faults_before; i < all_.faults.size(); ++i)
    fault(all_.faults[i]);
}

/// All that was ever promised, once more; and every append with a key is there once, or never was.
void rounds::look_at_everything() {
  truth database(server_.look_conninfo());
  for (const auto& each : database.faults(all_))
    fault("at the end: " + each);
  if (options_.sabotage)
    for (const auto& each : unseen_harm(server_.look_conninfo(), all_))
      fault("harm " + each);
  std::size_t kept = 0;
  for (const auto& [tag, append] : all_.appends)
    kept += append.is_promised ? 1 : 0;
  double slowest = 0, sum = 0;
  for (const auto each : ready_) {
    slowest = std::max(slowest, each);
    sum += each;
  }
  std::printf("in all: %zu durable and %zu accepted answers, %zu events, %zu turns and %zu of %zu appends with a key "
              "promised; ready in %.2f s on average, %.2f s at most; %zu faults\n",
              all_.durable, all_.accepted, all_.events.size(), all_.turns.size(), kept, all_.appends.size(),
              ready_.empty() ? 0 : sum / static_cast<double>(ready_.size()), slowest, faults_);
}

void rounds::fault(const std::string& what) {
  ++faults_;
  std::printf("FAULT: %s\n", what.c_str());
  std::fflush(stdout);
}

} // namespace colloquy::checker
