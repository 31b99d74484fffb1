#include "cli/logging.hpp"

#include "actors/log_line.hpp"
#include "messages/clock.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

namespace colloquy::cli {
namespace {

spdlog::level::level_enum level_of(config::log_level level) {
  switch (level) {
  case config::log_level::trace:
    return spdlog::level::trace;
  case config::log_level::debug:
    return spdlog::level::debug;
  case config::log_level::info:
    return spdlog::level::info;
  case config::log_level::warn:
    return spdlog::level::warn;
  case config::log_level::error:
    return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string to_text(spdlog::string_view_t text) {
  return {text.data(), text.size()};
}

class json_formatter final : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& to) override {
    nlohmann::ordered_json object;
    object["time"] = to_rfc3339(std::chrono::floor<std::chrono::microseconds>(line.time));
    object["level"] = to_text(spdlog::level::to_string_view(line.level));
    if (const auto* about = actors::current_log_line()) {
      object["message"] = about->text;
      add_subject(object, about->about);
    } else {
      object["message"] = to_text(line.payload);
    }
    auto text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    text += '\n';
    to.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<json_formatter>(); }

private:
  static void add_subject(nlohmann::ordered_json& to, const actors::log_subject& about) {
    to["tenant"] = about.session.tenant.text();
    to["session"] = about.session.id.to_string();
    if (!about.turn.is_nil())
      to["turn"] = about.turn.to_string();
    if (!about.trace_id.empty())
      to["trace_id"] = about.trace_id;
  }
};

} // namespace

std::unique_ptr<spdlog::formatter> make_json_formatter() {
  return std::make_unique<json_formatter>();
}

void set_log_level(config::log_level level) {
  spdlog::default_logger()->set_level(level_of(level));
}

void start_logging(config::log_level level, config::log_format format) {
  auto logger = std::make_shared<spdlog::logger>("colloquy", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(level_of(level));
  if (format == config::log_format::json)
    logger->set_formatter(make_json_formatter());
  else
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(std::move(logger));
}

} // namespace colloquy::cli
