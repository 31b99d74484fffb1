#include "bench/load/html_report.hpp"

#include "bench/load/svg_plot.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <map>

namespace colloquy::load {
namespace {

// Whatever the page says, a browser may fetch nothing for it.
constexpr const char* head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>colloquy bench</title>
<style>
:root { color-scheme: light dark; --ink: #1d2733; --faint: #d9dee4; --paper: #fff; --quiet: #5b6875; --mark: #f0f3f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --faint: #36414c; --paper: #151b21; --quiet: #9aa7b3; --mark: #1f2831; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1060px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p.quiet, caption { color: var(--quiet); text-align: left; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--faint); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 600; }
.facts td { text-align: left; } .facts { margin: 0 2rem 1rem 0; display: inline-table; vertical-align: top; }
svg.plot { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--quiet); } svg .name { fill: var(--ink); } svg polyline { fill: none; stroke-width: 1.8; }
svg .grid { stroke: var(--faint); stroke-width: 1; } svg .axis { stroke: var(--quiet); } svg .mark { fill: var(--mark); }
pre { overflow: auto; max-height: 30rem; font-size: 12px; }
</style></head><body>
)";

constexpr double nines_step = 0.1;

double to_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string figure(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string name_of(const measurement& found) {
  return found.name() + ", " + std::to_string(found.sessions) + " sessions" + (found.offered ? ", open loop" : "");
}

/// Against the number of nines, so that the tail has room: 1 is 90 %, 2 is 99 %.
plot latency_plot(const load_report& report) {
  plot out{"latency",
           "Latency by percentile",
           {"percentile", plot_scale::linear, {}},
           {"ms", plot_scale::logarithmic, {}},
           {},
           0,
           {}};
  double most = 2;
  for (const auto& each : report.measurements) {
    const auto count = each.latency.count();
    if (count == 0)
      continue;
    plot_series line{name_of(each), {}};
    const double end = std::log10(static_cast<double>(count));
    for (double nines = 0; nines < end + nines_step / 2; nines += nines_step) {
      const auto value = to_ms(each.latency.percentile(1 - std::pow(10, -nines)));
      if (value > 0)
        line.points.emplace_back(nines, value);
    }
    most = std::max(most, end);
    out.series.push_back(std::move(line));
  }
  for (const auto& [share, name] : {std::pair{0.0, "0"},
                                    {0.5, "50"},
                                    {0.9, "90"},
                                    {0.99, "99"},
                                    {0.999, "99.9"},
                                    {0.9999, "99.99"},
                                    {0.99999, "99.999"},
                                    {0.999999, "99.9999"}})
    if (const double nines = -std::log10(1 - share); nines <= most)
      out.x.ticks.emplace_back(nines, std::string(name) + " %");
  return out;
}

plot throughput_plot(const load_report& report) {
  plot out{"throughput",
           "Throughput over time",
           {"seconds", plot_scale::linear, {}},
           {"operations a second", plot_scale::linear, {}},
           {},
           0,
           "warm-up"};
  for (const auto& each : report.measurements) {
    plot_series line{name_of(each), {}};
    const auto seconds = std::chrono::duration<double>(each.bucket).count();
    // The last bucket is not full.
    for (std::size_t i = 0; i + 1 < each.done_by_bucket.size(); ++i)
      line.points.emplace_back((static_cast<double>(i) + 0.5) * seconds,
                               static_cast<double>(each.done_by_bucket[i]) / seconds);
    out.mark_until = std::max(out.mark_until, static_cast<double>(each.warm_up_buckets) * seconds);
    out.series.push_back(std::move(line));
  }
  return out;
}

template <class Value>
plot scaling_plot(const load_report& report, plot out, Value value) {
  std::map<std::string, std::map<double, double>> by_name;
  std::map<double, bool> sessions;
  for (const auto& each : report.measurements) {
    by_name[each.name()][static_cast<double>(each.sessions)] = value(each);
    sessions[static_cast<double>(each.sessions)] = true;
  }
  for (const auto& [name, points] : by_name)
    out.series.push_back({name, {points.begin(), points.end()}});
  return out;
}

std::string section(const plot& wanted, const char* meaning) {
  return "<h2>" + escape_html(wanted.title) + "</h2><p class=\"quiet\">" + meaning + "</p>" + to_svg(wanted) + "\n";
}

std::string facts_table(const char* title, const facts& all) {
  if (all.empty())
    return "";
  std::string out = "<table class=\"facts\"><caption>" + std::string(title) + "</caption>";
  for (const auto& [name, value] : all)
    out += "<tr><td>" + escape_html(name) + "</td><td>" + escape_html(value) + "</td></tr>";
  return out + "</table>";
}

std::string results_table(const load_report& report) {
  std::string out =
      "<div class=\"wide\"><table id=\"results\"><tr><th>workload</th><th>sessions</th><th>loop</th><th>a second</th>"
      "<th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>p99.9 ms</th><th>max ms</th><th>own µs</th>"
      "<th>server µs</th><th>allocations</th><th>read back</th></tr>";
  const auto cell = [&](const std::string& text) { out += "<td>" + escape_html(text) + "</td>"; };
  for (const auto& each : report.measurements) {
    const auto count = std::max(1.0, static_cast<double>(each.operations));
    const auto us = [&](std::chrono::nanoseconds time) {
      return figure(std::chrono::duration<double, std::micro>(time).count() / count, 1);
    };
    out += "<tr>";
    cell(each.name());
    cell(std::to_string(each.sessions));
    cell(each.offered ? "open, " + figure(*each.offered, 0) + "/s" : "closed");
    cell(figure(each.rate(), 0));
    for (const double share : {0.5, 0.9, 0.99, 0.999})
      cell(figure(to_ms(each.latency.percentile(share)), 3));
    cell(figure(to_ms(each.latency.max()), 3));
    cell(us(each.cpu.own));
    cell(each.cpu.server.count() > 0 ? us(each.cpu.server) : "");
    cell(each.allocations ? figure(static_cast<double>(*each.allocations) / count, 1) : "");
    cell(std::to_string(each.events_verified));
    out += "</tr>";
  }
  return out +
         "</table></div><p class=\"quiet\">own, server: processor time an operation of the bench's process and of "
         "PostgreSQL; allocations an operation, the load's among them; read back: events that were compared "
         "with what was said</p>\n";
}

/// Inside <script type="application/json">: no text may end the element.
std::string script_text(const load_report& report) {
  std::string out;
  for (const char c : to_json(report).dump())
    out += c == '<' ? "\\u003c" : std::string(1, c);
  return out;
}

} // namespace

std::string to_html(const load_report& report) {
  std::string out = head;
  out += "<h1>colloquy bench</h1><p class=\"quiet\">" + escape_html(report.date) + "</p>\n";
  out += results_table(report);
  out += section(latency_plot(report),
                 "The share of operations that took no longer. In an open loop from when each was due.");
  out += section(throughput_plot(report), "Operations done, each measurement from its own beginning.");
  out += section(scaling_plot(report,
                              {"scaling",
                               "Scaling with sessions",
                               {"sessions", plot_scale::logarithmic, {}},
                               {"operations a second", plot_scale::linear, {}},
                               {},
                               0,
                               {}},
                              [](const measurement& each) { return each.rate(); }),
                 "The same load on more sessions.");
  out += "<h2>Machine and settings</h2>" + facts_table("machine", report.machine) +
         facts_table("PostgreSQL", report.server) + facts_table("bench", report.settings) + "\n";
  out += "<script type=\"application/json\" id=\"figures\">" + script_text(report) + "</script>\n</body></html>\n";
  return out;
}

} // namespace colloquy::load
