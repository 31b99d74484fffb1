#include "bench/report.hpp"

#include <nlohmann/json.hpp>

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

double to_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string rate_line(const char* name, const way& found) {
  return format("  %-38s %9.0f %9.0f %9.0f %9.2f %9.2f\n", name, found.rate.median(), found.rate.min(),
                found.rate.max(), found.own_cpu.median(), found.server_cpu.median());
}

std::string ratio_line(const char* name, const way& above, const way& below) {
  const auto by_round = above.rate / below.rate;
  return format("  %-38s %9.2f %9.2f %9.2f\n", name, above.rate.median() / below.rate.median(), by_round.min(),
                by_round.max());
}

std::string latency_line(const char* name, const histogram& found) {
  return format("  %-38s %9.2f %9.2f %9.2f\n", name, to_ms(found.percentile(0.5)), to_ms(found.percentile(0.99)),
                to_ms(found.max()));
}

json way_json(const way& found) {
  const auto& rate = found.rate;
  return {{"median", rate.median()},
          {"min", rate.min()},
          {"max", rate.max()},
          {"rounds", rate.by_round},
          {"own_cpu_us_per_event", found.own_cpu.median()},
          {"server_cpu_us_per_event", found.server_cpu.median()}};
}

json ratio_json(const way& above, const way& below) {
  const auto by_round = above.rate / below.rate;
  return {{"of_medians", above.rate.median() / below.rate.median()}, {"min", by_round.min()}, {"max", by_round.max()}};
}

json latency_json(const histogram& found) {
  return {{"count", found.count()},
          {"median", to_ms(found.percentile(0.5))},
          {"p99", to_ms(found.percentile(0.99))},
          {"max", to_ms(found.max())}};
}

json facts_json(const facts& all) {
  json out = json::object();
  for (const auto& [name, value] : all)
    out[name] = value;
  return out;
}

} // namespace

std::string to_text(const measured& run, const bench_options& options) {
  std::string text = "colloquy_bench " + run.date + "\n";
  for (const auto* each : {&run.machine, &run.server}) {
    std::string line;
    for (const auto& [name, value] : *each)
      line += (line.empty() ? "  " : ", ") + name + " " + value;
    text += line + "\n";
  }
  text += format("  %zu messages of %zu bytes a round, %zu sessions of %zu tenants, one message an append\n",
                 options.messages, options.message_bytes, options.sessions, options.tenants);
  text += format("  %zu rounds, %zu driver(s) with %zu requests in flight%s, %zu scheduler threads (%s)\n",
                 options.rounds, options.drivers, options.concurrency,
                 options.request_timeouts ? " and a timeout for each" : "", options.threads, options.policy.c_str());
  text += format("  batches of %zu events at most; every row counted and compared; %zu appends sent again\n",
                 options.batch_events, run.retried);
  text += format("\n%-40s %9s %9s %9s %9s %9s\n", "durable throughput, events/s", "median", "min", "max", "own us",
                 "server us");
  text += rate_line("COPY, one for all rows, no RLS", run.copy);
  text += rate_line("the service's batches alone, RLS", run.batches);
  text += rate_line("append through the service, RLS", run.append);
  text += ratio_line("append / COPY", run.append, run.copy);
  text += ratio_line("append / batches alone", run.append, run.batches);
  text += ratio_line("batches alone / COPY", run.batches, run.copy);
  text += "  own us, server us: processor time an event of this process and of the server, median\n";
  text += format("\nlatency in ms at %.0f messages/s, open loop", run.offered);
  text += format("\n%-40s %9s %9s %9s\n", "", "median", "p99", "max");
  text += latency_line("append to accepted", run.accepted.answered);
  text += latency_line("append to durable", run.durable.answered);
  text += latency_line("of it, sent late by the bench: accepted", run.accepted.lateness);
  text += latency_line("of it, sent late by the bench: durable", run.durable.lateness);
  return text;
}

std::string to_json(const measured& run, const bench_options& options) {
  const json out{{"date", run.date},
                 {"machine", facts_json(run.machine)},
                 {"server", facts_json(run.server)},
                 {"options",
                  {{"sessions", options.sessions},
                   {"tenants", options.tenants},
                   {"messages", options.messages},
                   {"message_bytes", options.message_bytes},
                   {"rounds", options.rounds},
                   {"drivers", options.drivers},
                   {"concurrency", options.concurrency},
                   {"batch_events", options.batch_events},
                   {"threads", options.threads},
                   {"policy", options.policy},
                   {"request_timeouts", options.request_timeouts}}},
                 {"events_per_second",
                  {{"copy", way_json(run.copy)}, {"batches", way_json(run.batches)}, {"append", way_json(run.append)}}},
                 {"append_to_copy", ratio_json(run.append, run.copy)},
                 {"append_to_batches", ratio_json(run.append, run.batches)},
                 {"batches_to_copy", ratio_json(run.batches, run.copy)},
                 {"retried", run.retried},
                 {"open_loop_per_second", run.offered},
                 {"latency_ms",
                  {{"accepted", latency_json(run.accepted.answered)},
                   {"durable", latency_json(run.durable.answered)},
                   {"late_accepted", latency_json(run.accepted.lateness)},
                   {"late_durable", latency_json(run.durable.lateness)}}}};
  return out.dump();
}

} // namespace colloquy::bench
