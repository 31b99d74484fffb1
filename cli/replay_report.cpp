#include "cli/replay_report.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>

namespace colloquy::cli {
namespace {

double rounded(double value, double steps) {
  return std::round(value * steps) / steps;
}

std::string row(const char* name, const std::string& value) {
  char text[96];
  std::snprintf(text, sizeof text, "%-14s %12s\n", name, value.c_str());
  return text;
}

std::string row(const char* name, std::size_t count) {
  return row(name, std::to_string(count));
}

std::string row(const char* name, double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return row(name, text);
}

} // namespace

replay_report make_report(const append_outcome& appended, const check_outcome& checked) {
  replay_report report;
  report.conversations = appended.conversations;
  report.failed = appended.failed;
  report.messages = appended.messages;
  report.turns = appended.turns;
  report.events = checked.events;
  // Without a commit for all that was accepted, only what came back is known to be there.
  report.durable = appended.durable ? appended.messages : checked.messages;
  report.verified = checked.verified;
  report.mismatched = checked.mismatched;
  report.bad_lines = appended.bad_lines;
  report.seconds = appended.time.count();
  report.interrupted = appended.interrupted || checked.interrupted;
  return report;
}

std::string to_text(const replay_report& report) {
  std::string text = report.interrupted ? "interrupted\n" : "";
  text += row("conversations", report.conversations);
  if (report.failed > 0)
    text += row("failed", report.failed);
  text += row("messages", report.messages);
  text += row("turns", report.turns);
  text += row("durable", report.durable);
  text += row("verified", report.verified);
  text += row("mismatched", report.mismatched);
  text += row("bad lines", report.bad_lines);
  text += row("seconds", report.seconds, 3);
  text += row("messages/s", report.messages_per_s(), 0);
  return text;
}

std::string to_json(const replay_report& report) {
  nlohmann::ordered_json line;
  line["conversations"] = report.conversations;
  line["messages"] = report.messages;
  line["durable"] = report.durable;
  line["verified"] = report.verified;
  line["mismatched"] = report.mismatched;
  line["bad_lines"] = report.bad_lines;
  line["seconds"] = rounded(report.seconds, 1e6);
  line["messages_per_s"] = rounded(report.messages_per_s(), 10);
  line["turns"] = report.turns;
  line["events"] = report.events;
  line["failed"] = report.failed;
  line["interrupted"] = report.interrupted;
  return line.dump();
}

} // namespace colloquy::cli
