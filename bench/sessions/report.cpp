#include "bench/sessions/report.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>

namespace colloquy::bench {
namespace {

using json = nlohmann::ordered_json;
using places = history_places;

std::string format(const char* pattern, auto... values) {
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), pattern, values...);
  return line.data();
}

double to_us(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

std::string facts_line(const facts& all) {
  std::string line;
  for (const auto& [name, value] : all)
    line += (line.empty() ? "  " : ", ") + name + " " + value;
  return line + "\n";
}

std::string times_line(const std::string& name, const histogram& found) {
  return format("  %-52s %9.0f %9.0f %9.0f %9.0f\n", name.c_str(), to_us(found.percentile(0.5)),
                to_us(found.percentile(0.9)), to_us(found.percentile(0.99)), to_us(found.max()));
}

std::string times_head(const char* what) {
  return format("\n%-54s %9s %9s %9s %9s\n", what, "median", "p90", "p99", "max");
}

std::string ratio_line(const char* name, double hot, double cold) {
  return format("  %-52s %9.2f %9.2f\n", name, hot, cold);
}

std::string name_of(const history_reading& reading) {
  return "the last " + std::to_string(reading.limit) + " of " + std::to_string(reading.log_messages) + ", " +
         std::to_string(reading.returned()) + " returned";
}

json facts_json(const facts& all) {
  json out = json::object();
  for (const auto& [name, value] : all)
    out[name] = value;
  return out;
}

json times_json(const histogram& found) {
  return {{"count", found.count()},
          {"median", to_us(found.percentile(0.5))},
          {"p90", to_us(found.percentile(0.9))},
          {"p99", to_us(found.percentile(0.99))},
          {"max", to_us(found.max())}};
}

json memory_json(const memory_sample& found) {
  return {{"resident", found.resident}, {"trimmed", found.trimmed}, {"allocated", found.allocated}};
}

json load_json(const machine_load& load) {
  return {{"before", load.before}, {"after", load.after}};
}

struct history_ratio {
  const char* name;
  const char* meaning;
  std::size_t above;
  std::size_t below;
};
constexpr std::array<history_ratio, 3> history_ratios{
    {{"long_to_short", "the last 20 of the long log / of 10, returning 20 / 10", places::long_log, places::short_log},
     {"long_to_full_page", "the last 20 of the long log / of 20, returning 20 / 20", places::long_log,
      places::full_page},
     {"long_half_to_short", "the last 10 of the long log / of 10, returning 10 / 10", places::long_log_half,
      places::short_log}}};

} // namespace

double bytes_a_session(const idle_figures& found, std::size_t sessions, std::size_t memory_sample::*count) {
  return (static_cast<double>(found.idle.*count) - static_cast<double>(found.empty.*count)) /
         static_cast<double>(sessions);
}

double ratio(const histogram& left, const histogram& right) {
  const auto below = to_us(right.percentile(0.5));
  return below > 0 ? to_us(left.percentile(0.5)) / below : 0;
}

std::string to_text(const idle_figures& found, const idle_options& options) {
  auto text = facts_line(found.server);
  text +=
      format("  %zu sessions of %zu tenants, each with %zu messages of %zu bytes in one completed turn, %zu bytes of "
             "metadata, one idempotency key\n",
             options.sessions, options.tenants, options.messages, options.message_bytes, options.metadata_bytes);
  text += format("  made in %.0f s; the cache of tails, %zu MiB at most, counts too\n",
                 std::chrono::duration<double>(found.making).count(), options.tail_cache_bytes_max >> 20);
  text += format("\n%-54s %9s %9s %9s\n", "memory of the process, MiB", "resident", "trimmed", "allocated");
  const auto line = [](const char* name, const memory_sample& sample) {
    return format("  %-52s %9zu %9zu %9zu\n", name, sample.resident >> 20, sample.trimmed >> 20,
                  sample.allocated >> 20);
  };
  text += line("the service without a session", found.empty);
  text += line("all sessions in memory, idle", found.idle);
  text += line("all asleep", found.asleep);
  text += format("  %-52s %9.0f %9.0f %9.0f\n", "bytes an idle session",
                 bytes_a_session(found, options.sessions, &memory_sample::resident),
                 bytes_a_session(found, options.sessions, &memory_sample::trimmed),
                 bytes_a_session(found, options.sessions, &memory_sample::allocated));
  text += format("  it may cost %.0f\n", idle_session_bytes_max);
  text += times_head("waking, one after another, us");
  text += times_line("by get_session", found.woken_by_get);
  text += times_line("by its last 20 messages", found.woken_by_history);
  text += format("  load of the machine %.1f before, %.1f after; seed %u\n", found.load.before, found.load.after,
                 options.seed);
  return text;
}

std::string to_text(const history_figures& found, const history_options& options) {
  auto text = facts_line(found.server);
  text += format("  messages of %zu bytes, %zu samples of each, in turn\n", options.message_bytes, options.samples);
  text += times_head("awake, newest messages in memory, us");
  for (const auto& each : found.readings)
    text += times_line(name_of(each), each.hot);
  text += times_head("asleep before, us");
  for (const auto& each : found.readings)
    text += times_line(name_of(each), each.cold);
  text += format("\n%-54s %9s %9s\n", "ratio of medians", "awake", "asleep");
  for (const auto& each : history_ratios) {
    const auto& above = found.readings[each.above];
    const auto& below = found.readings[each.below];
    text += ratio_line(each.meaning, ratio(above.hot, below.hot), ratio(above.cold, below.cold));
  }
  text += format("  each may be %.1f; load of the machine %.1f before, %.1f after; seed %u\n", history_ratio_max,
                 found.load.before, found.load.after, options.seed);
  return text;
}

std::string to_json(const idle_figures& found, const idle_options& options) {
  const json out{
      {"server", facts_json(found.server)},
      {"options",
       {{"sessions", options.sessions},
        {"tenants", options.tenants},
        {"messages", options.messages},
        {"message_bytes", options.message_bytes},
        {"metadata_bytes", options.metadata_bytes},
        {"wakes", options.wakes},
        {"seed", options.seed}}},
      {"making_s", std::chrono::duration<double>(found.making).count()},
      {"memory_bytes",
       {{"empty", memory_json(found.empty)},
        {"idle", memory_json(found.idle)},
        {"asleep", memory_json(found.asleep)},
        {"tail_cache_max", options.tail_cache_bytes_max}}},
      {"idle_session_bytes",
       {{"resident", bytes_a_session(found, options.sessions, &memory_sample::resident)},
        {"trimmed", bytes_a_session(found, options.sessions, &memory_sample::trimmed)},
        {"allocated", bytes_a_session(found, options.sessions, &memory_sample::allocated)},
        {"max", idle_session_bytes_max}}},
      {"wake_us", {{"get", times_json(found.woken_by_get)}, {"history", times_json(found.woken_by_history)}}},
      {"load", load_json(found.load)}};
  return out.dump();
}

std::string to_json(const history_figures& found, const history_options& options) {
  json readings = json::array();
  for (const auto& each : found.readings)
    readings.push_back({{"log_messages", each.log_messages},
                        {"limit", each.limit},
                        {"returned", each.returned()},
                        {"hot_us", times_json(each.hot)},
                        {"cold_us", times_json(each.cold)}});
  json ratios = json::object();
  for (const auto& each : history_ratios) {
    const auto& above = found.readings[each.above];
    const auto& below = found.readings[each.below];
    ratios[each.name] = {{"hot", ratio(above.hot, below.hot)}, {"cold", ratio(above.cold, below.cold)}};
  }
  const json out{{"server", facts_json(found.server)},
                 {"options",
                  {{"long_messages", options.long_messages},
                   {"message_bytes", options.message_bytes},
                   {"samples", options.samples},
                   {"seed", options.seed}}},
                 {"readings", readings},
                 {"ratios", ratios},
                 {"ratio_max", history_ratio_max},
                 {"load", load_json(found.load)}};
  return out.dump();
}

} // namespace colloquy::bench
