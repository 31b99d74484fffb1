#include "tests/support/test_service.hpp"

#include <stdexcept>

namespace colloquy::test {

event_input user_message(const std::string& text) {
  event_input input;
  input.role = message_role::user;
  input.data = R"({"role":"user","content":")" + text + R"("})";
  return input;
}

config::settings small_settings() {
  using namespace std::chrono_literals;
  config::settings settings;
  settings.pool_min = 2;
  settings.pool_max = 6;
  settings.connect_timeout = 10s;
  settings.request_timeout = 20s;
  return settings;
}

test_service::test_service(const config::settings& settings)
  : test_service(settings, {}) {}

test_service::test_service(const config::settings& settings, std::string conninfo)
  : database_(test_database::make())
  , system_(system_config_) {
  if (conninfo.empty())
    conninfo = database_.service_conninfo();
  auto started = actors::service::start(system_, {settings, std::move(conninfo)});
  if (!started)
    throw std::runtime_error("the service did not start: " + started.failure().message);
  service_ = std::move(started).value();
}

test_service::~test_service() = default;

session_key test_service::make_session(std::string_view tenant_name) {
  create_session request;
  request.tenant = tenant(tenant_name);
  request.user_id = "ada";
  auto made = ask<session_record>(std::move(request));
  if (!made)
    throw std::runtime_error("no session: " + made.failure().message);
  return made->key;
}

result<appended> test_service::append(const session_key& session, std::vector<event_input> events, durability wanted) {
  append_events request;
  request.session = session;
  request.events = std::move(events);
  request.wanted = wanted;
  return ask<appended>(std::move(request));
}

result<void> test_service::flush_all() {
  auto answer = ask<flushed>(flush{});
  if (!answer)
    return answer.failure();
  return {};
}

std::vector<event> test_service::log_of(const session_key& session) {
  std::vector<event> log;
  for (;;) {
    read_events request;
    request.session = session;
    request.after = log.empty() ? -1 : log.back().offset;
    request.limit = limits::page_events_max;
    auto page = ask<event_page>(std::move(request));
    if (!page)
      throw std::runtime_error("cannot read: " + page.failure().message);
    if (page->events.empty())
      return log;
    for (auto& entry : page->events)
      log.push_back(std::move(entry));
  }
}

} // namespace colloquy::test
