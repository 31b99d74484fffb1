#include "cli/doctor_report.hpp"

#include "db/symptoms.hpp"

#include <algorithm>

namespace colloquy::cli {
namespace {

constexpr std::size_t name_width = 15;
constexpr std::string_view indent = "                      "; ///< to below the summaries

std::string_view colour_of(probe_status status) noexcept {
  switch (status) {
  case probe_status::ok:
    return "\x1b[32m";
  case probe_status::warn:
    return "\x1b[33m";
  case probe_status::fail:
    return "\x1b[31m";
  case probe_status::skip:
    break;
  }
  return "\x1b[2m";
}

std::string dyed(const std::string& text, std::string_view colour, bool coloured) {
  return coloured ? std::string(colour) + text + "\x1b[0m" : text;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

std::string indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    out += std::string(indent) + std::string(line) + "\n";
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return out;
}

/// The server's words may have several lines; a summary is one.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '\n' ? "; " : std::string(1, c == '\t' ? ' ' : c);
  return out;
}

const probe_result* first_of(const doctor_report& report, probe_status status) noexcept {
  const auto found = std::find_if(report.probes.begin(), report.probes.end(),
                                  [&](const probe_result& each) { return each.status == status; });
  return found == report.probes.end() ? nullptr : &*found;
}

} // namespace

std::string_view to_string(probe_status status) noexcept {
  switch (status) {
  case probe_status::ok:
    return "ok";
  case probe_status::warn:
    return "warn";
  case probe_status::fail:
    return "fail";
  case probe_status::skip:
    break;
  }
  return "skip";
}

void probe_result::worsen(probe_status to) noexcept {
  status = std::max(status, to);
}

void probe_result::say(std::string_view sentence) {
  summary += (summary.empty() ? "" : "; ") + one_line(sentence);
}

void probe_result::advise(std::string_view sentence) {
  advice += (advice.empty() ? "" : "\n") + std::string(sentence);
}

probe_result skipped(std::string name, std::string_view because) {
  return {std::move(name), probe_status::skip, "skipped: because " + std::string(because)};
}

probe_result failed(std::string name, const db::db_failure& why) {
  probe_result result{std::move(name), probe_status::fail, one_line(why.message)};
  if (!why.sqlstate.empty())
    result.details["sqlstate"] = why.sqlstate;
  if (!why.known) {
    result.advise("Nothing more is known of these words: the log of the server, or of the pooler, at this time says "
                  "more.");
    return result;
  }
  result.details["symptom"] = why.known->id;
  if (!why.known->setting.empty())
    result.details["setting"] = why.known->setting;
  if (!why.known->command.empty())
    result.details["command"] = why.known->command;
  result.advise(why.known->advice);
  return result;
}

std::string_view verdict_of(const doctor_report& report) noexcept {
  if (first_of(report, probe_status::fail))
    return "failed";
  return first_of(report, probe_status::warn) ? "warnings" : "ok";
}

std::string next_of(const doctor_report& report) {
  const auto* worst = first_of(report, probe_status::fail);
  if (!worst)
    worst = first_of(report, probe_status::warn);
  if (!worst)
    return "nothing: the database is ready";
  return worst->name + ": " + (worst->advice.empty() ? worst->summary : worst->advice);
}

std::string to_text(const probe_result& probe, bool coloured) {
  const auto mark = padded("[" + std::string(to_string(probe.status)) + "]", 7);
  auto line = padded(probe.name, name_width) + probe.summary;
  if (probe.status != probe_status::skip && probe.took.count() > 0)
    line += " (" + std::to_string(probe.took.count()) + " ms)";
  return dyed(mark, colour_of(probe.status), coloured) + printable(line) + "\n" + printable(indented(probe.advice));
}

std::string closing_text(const doctor_report& report, bool coloured) {
  const auto verdict = verdict_of(report);
  const auto status = verdict == "ok"         ? probe_status::ok
                      : verdict == "warnings" ? probe_status::warn
                                              : probe_status::fail;
  return "\nverdict  " + dyed(std::string(verdict), colour_of(status), coloured) + "\nnext     " +
         printable(next_of(report)) + "\n";
}

std::string to_json(const doctor_report& report) {
  nlohmann::ordered_json out;
  out["verdict"] = verdict_of(report);
  out["next"] = next_of(report);
  out["probes"] = nlohmann::ordered_json::array();
  for (const auto& probe : report.probes)
    out["probes"].push_back({{"name", probe.name},
                             {"status", to_string(probe.status)},
                             {"summary", probe.summary},
                             {"details", probe.details},
                             {"advice", probe.advice},
                             {"took_ms", probe.took.count()}});
  if (report.sizing)
    out["sizing"] = *report.sizing;
  // Servers' words may be of any encoding.
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& each : out) {
    const auto byte = static_cast<unsigned char>(each);
    if ((byte < 0x20 && each != '\n') || byte == 0x7f)
      each = '?';
  }
  return out;
}

} // namespace colloquy::cli
