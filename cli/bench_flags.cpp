#include "cli/bench_flags.hpp"

#include "config/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <string_view>

namespace colloquy::cli {
namespace {

constexpr std::array<std::string_view, 8> workload_names{"append", "turn",   "history", "mixed",
                                                         "wake",   "fanout", "lease",   "documents"};

constexpr std::size_t sessions_max = 10'000'000;
constexpr std::size_t tenants_max = 100'000;
constexpr std::size_t concurrency_max = 100'000;
constexpr std::size_t operations_max = 1'000'000'000;
constexpr std::size_t subscribers_max = 100'000;
constexpr std::size_t threads_max = 64;
constexpr std::size_t message_bytes_min = 100; ///< below this there is no room for what makes a message unique
constexpr std::size_t message_bytes_max = std::size_t{1} << 20;
constexpr double rate_max = 10'000'000;
constexpr double skew_max = 5;
constexpr std::chrono::milliseconds time_max = std::chrono::hours{24};

std::string list_of(const auto& names) {
  std::string text;
  for (const auto& each : names)
    text += (text.empty() ? "" : ", ") + std::string(each);
  return text;
}

/// One value after the other, each with what is allowed.
class judge_of {
public:
  judge_of(const CLI::App& command, const std::map<std::string, std::string>& texts,
           std::vector<config::mistake>& mistakes)
    : command_(command)
    , texts_(texts)
    , mistakes_(mistakes) {}

  bool is_given(const std::string& flag) const { return command_.count(flag) > 0; }
  const std::string& text(const std::string& flag) const { return texts_.at(flag); }

  void refuse(const std::string& flag, std::string what) {
    mistakes_.push_back({flag.substr(2), "flag " + flag, text(flag), std::move(what)});
  }

  std::size_t count(const std::string& flag, std::size_t min, std::size_t max, std::size_t otherwise) {
    if (!is_given(flag))
      return otherwise;
    if (const auto number = config::parse_whole_number(text(flag)); number && *number >= min && *number <= max)
      return *number;
    refuse(flag, "must be a whole number, " + std::to_string(min) + " to " + std::to_string(max));
    return otherwise;
  }

  double number(const std::string& flag, double max, double otherwise) {
    if (!is_given(flag))
      return otherwise;
    const auto& given = text(flag);
    double value = -1;
    const auto [end, problem] = std::from_chars(given.data(), given.data() + given.size(), value);
    if (problem == std::errc() && end == given.data() + given.size() && value >= 0 && value <= max)
      return value;
    refuse(flag, "must be a number, 0 to " + std::to_string(static_cast<long>(max)));
    return otherwise;
  }

  std::chrono::milliseconds time(const std::string& flag, std::chrono::milliseconds min,
                                 std::chrono::milliseconds otherwise) {
    if (!is_given(flag))
      return otherwise;
    if (const auto given = config::parse_duration(text(flag)); given && *given >= min && *given <= time_max)
      return *given;
    refuse(flag, "must be a duration in " + std::string(config::duration_units) + ", " + config::format_duration(min) +
                     " to " + config::format_duration(time_max));
    return otherwise;
  }

  std::vector<std::size_t> counts(const std::string& flag, std::size_t max, std::vector<std::size_t> otherwise) {
    if (!is_given(flag))
      return otherwise;
    std::vector<std::size_t> found;
    std::string_view rest = text(flag);
    for (bool has_more = true; has_more;) {
      const auto comma = rest.find(',');
      const auto number = config::parse_whole_number(rest.substr(0, comma));
      if (!number || *number < 1 || *number > max) {
        refuse(flag, "must be whole numbers, 1 to " + std::to_string(max) + ", with commas between them");
        return otherwise;
      }
      found.push_back(*number);
      has_more = comma != std::string_view::npos;
      rest.remove_prefix(has_more ? comma + 1 : 0);
    }
    return found;
  }

private:
  const CLI::App& command_;
  const std::map<std::string, std::string>& texts_;
  std::vector<config::mistake>& mistakes_;
};

void judge_place(judge_of& judge, bench_arguments& bench) {
  if (judge.is_given("--url")) {
    bench.url = judge.text("--url");
    if (!bench.url->starts_with("http://"))
      judge.refuse("--url", "must begin with http://, as in http://127.0.0.1:8080");
  }
  if (judge.is_given("--api-keys")) {
    bench.api_keys = judge.text("--api-keys");
    if (!bench.url)
      judge.refuse("--api-keys", "needs --url: in this process nobody is asked for a key");
  }
  if (judge.is_given("--report"))
    bench.report = judge.text("--report");
}

} // namespace

CLI::App& bench_flags::add_to(CLI::App& app) {
  auto& bench = *app.add_subcommand("bench", "Measure what this machine can carry, in this process or over HTTP");
  bench.add_option("WORKLOAD", workloads_, "What is done: " + list_of(workload_names) + " [append turn history]")
      ->type_name("");
  const auto add = [&](const char* flag, const char* type, const char* meaning) {
    bench.add_option(flag, texts_[flag], meaning)->type_name(type);
  };
  add("--url", "URL", "A service that is asked over HTTP [the service in this process]");
  add("--api-keys", "FILE", "With --url: a key a line, each of another tenant [none]");
  bench.add_option("--transcripts", transcripts_, "For mixed: files of one conversation a line, as replay takes them")
      ->type_name("FILE");
  add("--sessions", "N,...", "Sessions, 1 to 10000000; several numbers are measured in turn [1000]");
  add("--tenants", "N", "Tenants that they belong to in turn, 1 to 100000 [10]");
  add("--skew", "S", "Zipf's exponent by which sessions are chosen, 0 to 5; 0: in turn [0]");
  add("--concurrency", "N", "Operations under way in the closed loop, connections over HTTP, 1 to 100000 [64]");
  add("--rate", "N", "Operations a second of an open loop, timed from when each was due; 0: a closed loop [0]");
  add("--warm-up", "DURATION", "Not counted, before each measurement [2s]");
  add("--duration", "DURATION", "Of each measurement [10s]");
  add("--operations", "N", "End a measurement behind so many, if they are done earlier [as many as there is time for]");
  add("--message-bytes", "N", "JSON of one message, 100 to 1048576 [200]");
  add("--durability", "KIND", "Of appends: accepted, durable or both, one after the other [both]");
  add("--subscribers", "N", "For fanout: of one session, 1 to 100000 [1000]");
  add("--threads", "N", "Of the actors' scheduler, in this process, 1 to 64 [2]");
  add("--seed", "N", "Of what is chosen at random [1]");
  add("--report", "FILE", "Write the results as one HTML page with plots");
  bench.add_flag("--json", json_, "End with the results as one line of JSON");
  bench.add_flag("--keep", keeps_, "Leave what was written in a database that was set [it is erased]");
  return bench;
}

bench_arguments bench_flags::judge(const CLI::App& command, std::vector<config::mistake>& mistakes) const {
  bench_arguments bench;
  judge_of judge(command, texts_, mistakes);
  if (!workloads_.empty())
    bench.workloads = workloads_;
  for (const auto& each : bench.workloads)
    if (std::find(workload_names.begin(), workload_names.end(), each) == workload_names.end())
      mistakes.push_back({"workload", "argument", each, "must be one of " + list_of(workload_names)});
  judge_place(judge, bench);
  bench.transcripts.assign(transcripts_.begin(), transcripts_.end());
  if (std::count(bench.workloads.begin(), bench.workloads.end(), "mixed") > 0 && bench.transcripts.empty())
    mistakes.push_back({"transcripts", "default", "", "mixed needs --transcripts FILE, whose shape it takes"});
  bench.sessions = judge.counts("--sessions", sessions_max, bench.sessions);
  bench.tenants = judge.count("--tenants", 1, tenants_max, bench.tenants);
  bench.skew = judge.number("--skew", skew_max, bench.skew);
  bench.concurrency = judge.count("--concurrency", 1, concurrency_max, bench.concurrency);
  bench.rate = judge.number("--rate", rate_max, bench.rate);
  bench.warm_up = judge.time("--warm-up", {}, bench.warm_up);
  bench.duration = judge.time("--duration", std::chrono::milliseconds(100), bench.duration);
  if (const auto count = judge.count("--operations", 1, operations_max, 0); count > 0)
    bench.operations = count;
  bench.message_bytes = judge.count("--message-bytes", message_bytes_min, message_bytes_max, bench.message_bytes);
  if (judge.is_given("--durability")) {
    const auto& kind = judge.text("--durability");
    if (kind != "accepted" && kind != "durable" && kind != "both")
      judge.refuse("--durability", "must be accepted, durable or both");
    bench.measures_accepted = kind != "durable";
    bench.measures_durable = kind != "accepted";
  }
  bench.subscribers = judge.count("--subscribers", 1, subscribers_max, bench.subscribers);
  bench.threads = judge.count("--threads", 1, threads_max, bench.threads);
  bench.seed = judge.count("--seed", 0, operations_max, bench.seed);
  bench.json = json_;
  bench.keeps = keeps_;
  return bench;
}

} // namespace colloquy::cli
