#include "bench/load/load_report.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <cstdio>

namespace colloquy::load {
namespace {

using json = nlohmann::ordered_json;

std::string format(const char* pattern, auto... values) {
  std::array<char, 512> line{};
  std::snprintf(line.data(), line.size(), pattern, values...);
  return line.data();
}

double to_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

double per_operation(double sum, const measurement& found) {
  return found.operations > 0 ? sum / static_cast<double>(found.operations) : 0;
}

double us_an_operation(std::chrono::nanoseconds time, const measurement& found) {
  return per_operation(std::chrono::duration<double, std::micro>(time).count(), found);
}

std::string line_of(const facts& all) {
  std::string line;
  for (const auto& [name, value] : all)
    line += (line.empty() ? "  " : ", ") + name + " " + value;
  return line.empty() ? line : line + "\n";
}

json to_object(const facts& all) {
  json out = json::object();
  for (const auto& [name, value] : all)
    out[name] = value;
  return out;
}

json latency_json(const histogram& found) {
  json out{{"count", found.count()}};
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}})
    out[name] = to_ms(found.percentile(share));
  out["max"] = to_ms(found.max());
  return out;
}

json to_json(const measurement& found) {
  json out{{"workload", found.workload},
           {"variant", found.variant},
           {"sessions", found.sessions},
           {"loop", found.offered ? "open" : "closed"}};
  if (found.offered)
    out["offered_per_s"] = *found.offered;
  out["operations"] = found.operations;
  out["seconds"] = std::chrono::duration<double>(found.time).count();
  out["per_s"] = found.rate();
  out["latency_ms"] = latency_json(found.latency);
  if (found.offered)
    out["late_ms"] = latency_json(found.lateness);
  json parts = json::object();
  for (const auto& [name, each] : found.parts)
    parts[name] = latency_json(each);
  if (!found.parts.empty())
    out["parts_ms"] = std::move(parts);
  out["own_cpu_us"] = us_an_operation(found.cpu.own, found);
  if (found.cpu.server.count() > 0)
    out["server_cpu_us"] = us_an_operation(found.cpu.server, found);
  if (found.allocations)
    out["allocations"] = per_operation(static_cast<double>(*found.allocations), found);
  json refused = json::object();
  for (const auto& [code, count] : found.refused)
    refused[code] = count;
  out["refused"] = std::move(refused);
  out["events_verified"] = found.events_verified;
  json curve = json::array();
  for (const auto count : found.done_by_bucket)
    curve.push_back(static_cast<double>(count) * 1000 / static_cast<double>(found.bucket.count()));
  out["per_s_over_time"] = {
      {"bucket_ms", found.bucket.count()}, {"warm_up_buckets", found.warm_up_buckets}, {"per_s", std::move(curve)}};
  return out;
}

} // namespace

std::string heading(const load_report& report) {
  return "colloquy bench " + report.date + "\n" + line_of(report.machine) + line_of(report.server) +
         line_of(report.settings) +
         format("\n%-18s %9s %6s %9s %9s %9s %9s %9s %8s %8s %7s %10s\n", "", "sessions", "loop", "ops/s", "p50 ms",
                "p99 ms", "p99.9 ms", "max ms", "own us", "serv us", "allocs", "read back");
}

std::string row(const measurement& found) {
  auto text = format("%-18s %9zu %6s %9.0f %9.3f %9.3f %9.3f %9.3f %8.1f ", found.name().c_str(), found.sessions,
                     found.offered ? "open" : "closed", found.rate(), to_ms(found.latency.percentile(0.5)),
                     to_ms(found.latency.percentile(0.99)), to_ms(found.latency.percentile(0.999)),
                     to_ms(found.latency.max()), us_an_operation(found.cpu.own, found));
  text += found.cpu.server.count() > 0 ? format("%8.1f ", us_an_operation(found.cpu.server, found)) : "       - ";
  text +=
      found.allocations ? format("%7.1f ", per_operation(static_cast<double>(*found.allocations), found)) : "      - ";
  text += format("%10zu\n", found.events_verified);
  for (const auto& [name, each] : found.parts)
    if (each.count() > 0)
      text += format("  %-16s %9s %6s %9zu %9.3f %9.3f %9.3f %9.3f\n", name.c_str(), "", "of it",
                     static_cast<std::size_t>(each.count()), to_ms(each.percentile(0.5)), to_ms(each.percentile(0.99)),
                     to_ms(each.percentile(0.999)), to_ms(each.max()));
  if (found.offered)
    text += format("  %-16s %9s %6s %9s %9.3f %9.3f %9.3f %9.3f\n", "begun late", "", "of it", "",
                   to_ms(found.lateness.percentile(0.5)), to_ms(found.lateness.percentile(0.99)),
                   to_ms(found.lateness.percentile(0.999)), to_ms(found.lateness.max()));
  for (const auto& [code, count] : found.refused)
    text += format("  %s: %zu, tried again later\n", code.c_str(), count);
  return text;
}

json to_json(const load_report& report) {
  json measurements = json::array();
  for (const auto& each : report.measurements)
    measurements.push_back(to_json(each));
  return {{"date", report.date},
          {"machine", to_object(report.machine)},
          {"server", to_object(report.server)},
          {"settings", to_object(report.settings)},
          {"measurements", std::move(measurements)}};
}

} // namespace colloquy::load
