#include "bench/self_check.hpp"

#include "bench/report.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

void expect(bool holds, const char* what) {
  if (!holds)
    throw bench_failure(std::string("self check: ") + what);
}

bool is_near(std::chrono::nanoseconds found, double wanted) {
  return std::abs(static_cast<double>(found.count()) - wanted) <= wanted / 60;
}

} // namespace

bench_options self_check_options() {
  bench_options options;
  options.sessions = 7;
  options.tenants = 3;
  options.messages = 5003;
  options.rounds = 2;
  options.drivers = 2;
  options.concurrency = 16;
  options.latency_time = 200ms;
  return options;
}

void check_histogram() {
  histogram empty;
  expect(empty.percentile(0.5) == 0ns && empty.max() == 0ns, "an empty histogram has no latency");
  for (const double step : {1.0, 127.0, 1e3, 1e6, 3e9}) {
    histogram lower;
    histogram upper;
    for (int i = 1; i <= 1000; ++i)
      (i % 2 == 0 ? lower : upper).record(std::chrono::nanoseconds(static_cast<std::int64_t>(i * step)));
    lower.merge(upper);
    expect(lower.count() == 1000, "a merged histogram has the values of both");
    expect(is_near(lower.percentile(0.5), 500 * step), "the median is that of the values");
    expect(is_near(lower.percentile(0.99), 990 * step), "the 99th percentile is that of the values");
    expect(lower.percentile(1) == lower.max(), "the last percentile is the maximum");
    expect(is_near(lower.max(), 1000 * step), "the maximum is that of the values");
  }
  histogram extreme;
  extreme.record(std::chrono::nanoseconds::max());
  extreme.record(-1ns);
  expect(extreme.max() == std::chrono::nanoseconds::max() && extreme.percentile(0.5) == 0ns,
         "any value has its bucket");
}

void check_report(const measured& run, const bench_options& options) {
  expect(to_text(run, options).find("append / COPY") != std::string::npos, "the table has the ratio");
  const auto line = to_json(run, options);
  expect(line.find('\n') == std::string::npos, "the report for programs is one line");
  const auto read = nlohmann::json::parse(line, nullptr, false);
  expect(!read.is_discarded(), "the report for programs is JSON");
  for (const auto* ratio : {"append_to_copy", "append_to_batches", "batches_to_copy"})
    expect(read.at(ratio).at("of_medians").get<double>() > 0, "every ratio is above 0");
  for (const auto* way : {"copy", "batches", "append"})
    expect(read.at("events_per_second").at(way).at("rounds").size() == options.rounds, "every round is told");
  for (const auto* answer : {"accepted", "durable"})
    expect(read.at("latency_ms").at(answer).at("count").get<std::size_t>() == run.offered_messages,
           "every message has its latency");
}

} // namespace colloquy::bench
