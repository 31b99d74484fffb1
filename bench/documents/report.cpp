#include "bench/documents/measurements.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace colloquy::bench {
namespace {

using json = nlohmann::ordered_json;

std::string format(const char* pattern, auto... values) {
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), pattern, values...);
  return line.data();
}

double to_us(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

double at(const histogram& times, double share) {
  return to_us(times.percentile(share));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double median_at(const std::vector<histogram>& rounds, double share) {
  std::vector<double> values;
  for (const auto& each : rounds)
    values.push_back(at(each, share));
  return median(values);
}

/// Of each round, in order of size.
std::vector<double> ratios(const finding& found, double share) {
  std::vector<double> values;
  for (std::size_t i = 0; i < found.service.size(); ++i)
    values.push_back(at(found.service[i], share) / at(found.by_hand[i], share));
  std::sort(values.begin(), values.end());
  return values;
}

std::string times_line(const std::string& name, const std::vector<histogram>& rounds) {
  return format("    %-44s %9.0f %9.0f\n", name.c_str(), median_at(rounds, 0.5), median_at(rounds, 0.99));
}

std::string ratio_line(const finding& found) {
  const auto of_medians = ratios(found, 0.5);
  const auto of_p99 = ratios(found, 0.99);
  return format("    %-44s %9.2f %9.2f   rounds %.2f to %.2f\n", "ratio, median of the rounds'", median(of_medians),
                median(of_p99), of_p99.front(), of_p99.back());
}

std::vector<std::pair<const char*, const histogram*>> kinds_of(const paging& pages) {
  return {{"first", &pages.first},
          {"second", &pages.second},
          {"middle", &pages.middle},
          {"deep", &pages.deep},
          {"deep_place", &pages.deep_place}};
}

std::string pages_line(const paging& pages) {
  std::string line = format("  %-28s %9lld", pages.filter.c_str(), static_cast<long long>(pages.matches));
  for (const auto& [name, times] : kinds_of(pages))
    line += format(" %10.2f", at(*times, 0.5) / 1000);
  return line + "\n";
}

json rounds_json(const std::vector<histogram>& rounds) {
  json out = json::array();
  for (const auto& each : rounds)
    out.push_back({{"count", each.count()}, {"p50_us", at(each, 0.5)}, {"p99_us", at(each, 0.99)}});
  return out;
}

void expect(bool holds, const char* what) {
  if (!holds)
    throw bench_failure(std::string("self check: ") + what);
}

} // namespace

std::string to_text(const documents_figures& found, const documents_options& options) {
  std::string out;
  for (const auto& [name, value] : found.server)
    out += (out.empty() ? "  " : ", ") + name + " " + value;
  out += format("\n  %zu documents of %zu tenants, %zu rounds of %zu finds by %zu at once; each finds 10\n",
                options.documents, options.tenants, options.rounds, options.finds, options.concurrency);
  out += format("\n%-48s %9s %9s\n", "find by an indexed field, us", "median", "p99");
  for (const auto& each : found.findings)
    out += "  " + each.what + "\n" + times_line("the service", each.service) +
           times_line("the same SQL by hand, pgbench", each.by_hand) + ratio_line(each);
  out += format("  the ratio may be %.1f\n", find_ratio_max);
  out += format("\n%-30s %9s %10s %10s %10s %10s %10s\n", "pages of 100 of a million, ms", "matches", "first", "second",
                "middle", "deep", "by place");
  for (const auto& each : found.pagings)
    out += pages_line(each);
  return out + format("  medians of %zu; load of the machine %.1f before, %.1f after; seed %u\n", options.pages,
                      found.load_before, found.load_after, options.seed);
}

std::string to_json(const documents_figures& found, const documents_options& options) {
  json out{{"documents", options.documents}, {"tenants", options.tenants}, {"concurrency", options.concurrency}};
  for (const auto& [name, value] : found.server)
    out["server"][name] = value;
  out["load"] = {found.load_before, found.load_after};
  for (const auto& each : found.findings)
    out["finds"].push_back({{"by", each.what},
                            {"service", rounds_json(each.service)},
                            {"by_hand", rounds_json(each.by_hand)},
                            {"ratio_p50", median(ratios(each, 0.5))},
                            {"ratio_p99", median(ratios(each, 0.99))}});
  for (const auto& each : found.pagings) {
    json pages{{"filter", each.filter}, {"matches", each.matches}};
    for (const auto& [name, times] : kinds_of(each))
      pages["median_ms"][name] = at(*times, 0.5) / 1000;
    out["pages"].push_back(std::move(pages));
  }
  return out.dump();
}

documents_options documents_self_check_options() {
  documents_options options;
  options.documents = 10'000;
  options.tenants = 20;
  options.rounds = 2;
  options.finds = 50;
  options.concurrency = 2;
  options.pages = 3;
  return options;
}

void check_report(const documents_figures& found, const documents_options& options) {
  expect(found.findings.size() == 2 && found.pagings.size() == 3, "all is measured");
  for (const auto& each : found.findings)
    for (std::size_t i = 0; i < options.rounds; ++i)
      expect(each.service.at(i).count() == options.finds && each.by_hand.at(i).count() == options.finds,
             "every find is timed, each way");
  for (const auto& each : found.pagings)
    for (const auto& [name, times] : kinds_of(each))
      expect(times->count() == options.pages, "every page is timed");
  expect(to_text(found, options).find("the ratio may be") != std::string::npos, "the table has the ratio");
  const auto read = json::parse(to_json(found, options), nullptr, false);
  expect(!read.is_discarded() && read.at("finds").size() == 2 && read.at("pages").size() == 3,
         "the report for programs is JSON and has all of it");
  for (const auto& each : read.at("finds"))
    expect(each.at("ratio_p99").get<double>() > 0, "every ratio is above 0");
}

} // namespace colloquy::bench
