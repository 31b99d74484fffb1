#include "bench/load/bench_command.hpp"

#include "bench/bench_failure.hpp"
#include "bench/load/actor_place.hpp"
#include "bench/load/allocation_count.hpp"
#include "bench/load/html_report.hpp"
#include "bench/load/http_place.hpp"
#include "bench/load/load_course.hpp"
#include "bench/load/load_progress.hpp"
#include "bench/load/load_report.hpp"
#include "bench/load/workload_list.hpp"
#include "cli/exit_code.hpp"
#include "cli/signals.hpp"
#include "config/units.hpp"
#include "db/startup.hpp"
#include "tests/support/temp_dir.hpp"

#include <caf/scoped_actor.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>

namespace colloquy::load {
namespace {

using bench::bench_failure;

void say(const std::string& sentence) {
  std::cerr << "colloquy: " << sentence << '\n';
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

facts settings_facts(const cli::bench_arguments& arguments) {
  facts found{{"place", arguments.url ? "HTTP" : "this process"}};
  if (arguments.rate > 0)
    found.emplace_back("rate", short_number(arguments.rate) + "/s");
  else
    found.emplace_back("concurrency", std::to_string(arguments.concurrency));
  found.emplace_back("warm-up", config::format_duration(arguments.warm_up));
  found.emplace_back("duration", config::format_duration(arguments.duration));
  if (arguments.operations)
    found.emplace_back("operations", std::to_string(*arguments.operations));
  found.emplace_back("tenants", std::to_string(arguments.tenants));
  found.emplace_back("skew", short_number(arguments.skew));
  found.emplace_back("message bytes", std::to_string(arguments.message_bytes));
  found.emplace_back("seed", std::to_string(arguments.seed));
  if (!arguments.url)
    found.emplace_back("scheduler threads", std::to_string(arguments.threads));
  return found;
}

/// One run of all that is wanted, in one place.
class bench_run {
public:
  bench_run(const cli::bench_arguments& arguments, const config::settings& settings, const cli::signal_watch& signals)
    : arguments_(arguments)
    , settings_(settings)
    , signals_(signals) {
    report_.date = to_rfc3339(system_time());
    report_.machine = machine_facts();
    report_.settings = settings_facts(arguments);
  }

  load_report& report() { return report_; }

  void measure_all(load_place& place, int server_pid) {
    workload_list list(arguments_);
    std::cout << heading(report_) << std::flush;
    for (const auto& wanted : list_measurements(arguments_)) {
      auto found = measure(place, list, wanted, server_pid);
      std::cout << row(found) << std::flush;
      report_.measurements.push_back(std::move(found));
    }
  }

private:
  measurement measure(load_place& place, workload_list& list, const wanted_measurement& wanted, int server_pid) {
    auto& work = list.make(wanted, place.client());
    const auto probe = [server_pid] { return usage{bench::cpu_time_now(server_pid), allocations_now()}; };
    load_progress line(wanted.workload + (wanted.variant.empty() ? "" : " " + wanted.variant) + ", " +
                       std::to_string(wanted.sessions) + " sessions");
    auto found = run_course(place, work, plan_for(wanted, arguments_, settings_.request_timeout), probe,
                            [&](const course_view& seen) {
                              line.draw(seen);
                              if (signals_.received())
                                throw bench_failure("interrupted");
                            });
    found.workload = wanted.workload;
    found.variant = wanted.variant;
    found.sessions = wanted.sessions;
    if (arguments_.url) // this process is the load alone
      found.allocations.reset();
    return found;
  }

  const cli::bench_arguments& arguments_;
  const config::settings& settings_;
  const cli::signal_watch& signals_;
  load_report report_;
};

/// What a bench writes has a user of its own, so it can go again.
void erase_all(actor_place& place, std::size_t tenants, std::chrono::milliseconds limit) {
  caf::scoped_actor self(place.system());
  for (std::size_t i = 0; i < tenants; ++i) {
    erase_user request;
    request.tenant = tenant_id::parse("bench-" + std::to_string(i)).value_or(tenant_id());
    request.user_id = "bench";
    self->request(place.service().directory(), limit, std::move(request))
        .receive(
            [](const result<erased>& done) {
              if (!done)
                say("what was written is still there: " + done.failure().message);
            },
            [](const caf::error&) { say("what was written is still there: no answer in time"); });
  }
}

/// The service in this process, on a server of its own unless one was said.
void run_inside(bench_run& run, const cli::bench_arguments& arguments, config::settings settings) {
  std::optional<test::temp_dir> own;
  if (arguments.has_place_of_its_own) {
    own.emplace("colloquy-bench");
    settings.database.reset();
    settings.data_dir = *own / "data";
  }
  const auto most = *std::max_element(arguments.sessions.begin(), arguments.sessions.end());
  settings.sessions_resident_max = std::max(settings.sessions_resident_max, 2 * most + 100);
  auto opened = db::open_database(settings);
  if (!opened)
    throw bench_failure(opened.failure().message);
  if (auto ready = db::make_ready(*opened, settings); !ready)
    throw bench_failure(ready.failure().message);
  run.report().server = server_facts(opened->service_conninfo, settings.schema);
  const auto server = opened->embedded ? opened->embedded->pid() : local_server_pid(opened->service_conninfo);
  count_allocations();
  actor_place place(settings, opened->service_conninfo, arguments.tenants, arguments.threads);
  run.measure_all(place, server);
  if (!own && !arguments.keeps)
    erase_all(place, arguments.tenants, settings.request_timeout);
  place.stop();
  if (auto stopped = opened->stop(); !stopped)
    throw bench_failure(stopped.failure().message);
}

/// A key a line, blanks around it and empty lines aside.
std::vector<std::string> read_keys(const std::filesystem::path& file) {
  std::ifstream lines(file);
  std::vector<std::string> keys;
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find_first_not_of(" \t\r");
    if (first != std::string::npos)
      keys.push_back(line.substr(first, line.find_last_not_of(" \t\r") - first + 1));
  }
  if (keys.empty())
    throw bench_failure("there is no key in " + file.string());
  return keys;
}

void run_over_http(bench_run& run, const cli::bench_arguments& arguments) {
  const auto to = parse_http_url(*arguments.url);
  if (!to)
    throw bench_failure("the URL " + *arguments.url + " has no host");
  auto keys = arguments.api_keys ? read_keys(*arguments.api_keys) : std::vector<std::string>();
  http_place place(*to, std::move(keys), arguments.concurrency);
  run.measure_all(place, 0);
}

void write_report(const std::filesystem::path& file, const load_report& report) {
  std::ofstream out(file, std::ios::binary);
  out << to_html(report) << std::flush;
  if (!out)
    throw bench_failure("the report could not be written to " + file.string());
}

} // namespace

int run_bench(const cli::bench_arguments& arguments, const config::settings& settings) try {
  const cli::signal_watch signals; // first: every thread made later leaves the signals to it
  bench_run run(arguments, settings, signals);
  if (arguments.url)
    run_over_http(run, arguments);
  else
    run_inside(run, arguments, settings);
  if (arguments.report)
    write_report(*arguments.report, run.report());
  if (arguments.json)
    std::cout << to_json(run.report()).dump() << '\n';
  std::cout << std::flush;
  return std::cout ? cli::exit_done : cli::exit_failed;
} catch (const bench_failure& why) {
  say(std::string("the bench failed: ") + why.what());
  return cli::exit_failed;
}

} // namespace colloquy::load
