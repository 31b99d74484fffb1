#include "actors/log_line.hpp"
#include "cli/logging.hpp"
#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/ostream_sink.h>

#include <regex>
#include <sstream>

using namespace colloquy;

namespace {

/// What one call writes into a log of JSON.
template <class Log>
nlohmann::json logged(Log call) {
  std::ostringstream written;
  auto before = spdlog::default_logger();
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(written));
  logger->set_formatter(cli::make_json_formatter());
  spdlog::set_default_logger(logger);
  call();
  spdlog::set_default_logger(before);
  const auto text = written.str();
  REQUIRE(text.find('\n') == text.size() - 1); // one line
  return nlohmann::json::parse(text);
}

} // namespace

TEST_CASE("a line of the JSON log is an object with time, level and message", "[logging]") {
  const auto line = logged([] { spdlog::warn("a \"quoted\"\nthing"); });
  CHECK(line.size() == 3);
  CHECK(line["level"] == "warning");
  CHECK(line["message"] == "a \"quoted\"\nthing");
  CHECK(std::regex_match(line["time"].get<std::string>(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)")));
}

TEST_CASE("a line about a conversation has tenant, session, turn and trace id as fields of their own", "[logging]") {
  const session_key session{tenant_id::parse("acme").value(), session_id::make()};
  const auto turn = turn_id::make();
  const auto line = logged([&] { actors::log_about(spdlog::level::info, {session, turn, "t\"1"}, "turn {}", 7); });
  CHECK(line["message"] == "turn 7");
  CHECK(line["tenant"] == "acme");
  CHECK(line["session"] == session.id.to_string());
  CHECK(line["turn"] == turn.to_string());
  CHECK(line["trace_id"] == "t\"1");
  CHECK(logged([&] { actors::log_about(spdlog::level::info, {session}, "x"); }).size() == 5); // without a turn
}

TEST_CASE("what is no valid UTF-8 in a message does not break the JSON log", "[logging]") {
  CHECK(logged([] { spdlog::error("a\xff"); })["message"] == "a\xEF\xBF\xBD");
}
