#include "bench/sessions/self_check.hpp"

#include "bench/sessions/report.hpp"

#include <nlohmann/json.hpp>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

void expect(bool holds, const char* what) {
  if (!holds)
    throw bench_failure(std::string("self check: ") + what);
}

nlohmann::json read_line(const std::string& line) {
  expect(line.find('\n') == std::string::npos, "the report for programs is one line");
  auto read = nlohmann::json::parse(line, nullptr, false);
  expect(!read.is_discarded(), "the report for programs is JSON");
  return read;
}

} // namespace

idle_options idle_self_check_options() {
  idle_options options;
  options.sessions = 300;
  options.tenants = 7;
  options.at_once = 16;
  options.wakes = 20;
  options.settle = 100ms;
  return options;
}

history_options history_self_check_options() {
  history_options options;
  options.long_messages = 2500;
  options.samples = 10;
  return options;
}

void check_report(const idle_figures& found, const idle_options& options) {
  expect(found.woken_by_get.count() == options.wakes && found.woken_by_history.count() == options.wakes,
         "as many wakes as were asked for are timed");
  expect(found.idle.allocated > found.empty.allocated && found.asleep.allocated < found.idle.allocated,
         "sessions in memory take some, and give it back");
  expect(to_text(found, options).find("bytes an idle session") != std::string::npos, "the table has the memory");
  const auto read = read_line(to_json(found, options));
  expect(read.at("idle_session_bytes").at("allocated").get<double>() > 0, "a session takes memory");
  for (const auto* way : {"get", "history"})
    expect(read.at("wake_us").at(way).at("median").get<double>() > 0, "a wake takes time");
}

void check_report(const history_figures& found, const history_options& options) {
  for (const auto& each : found.readings)
    expect(each.hot.count() == options.samples && each.cold.count() == options.samples, "every sample is timed");
  expect(to_text(found, options).find("ratio of medians") != std::string::npos, "the table has the ratios");
  const auto read = read_line(to_json(found, options));
  expect(read.at("ratios").size() == 3, "every ratio is told");
  for (const auto& each : read.at("ratios"))
    expect(each.at("hot").get<double>() > 0 && each.at("cold").get<double>() > 0, "every ratio is above 0");
}

} // namespace colloquy::bench
