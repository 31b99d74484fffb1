// A whole service on a database of its own, and blocking calls to it, for tests that look from outside.
#pragma once

#include "actors/service.hpp"
#include "messages/directory_interface.hpp"
#include "tests/support/test_cluster.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::test {

inline constexpr std::chrono::seconds call_timeout{60};

inline tenant_id tenant(std::string_view name) {
  return tenant_id::parse(name).value();
}

/// A user's message whose JSON holds the text; the text must need no escaping.
event_input user_message(const std::string& text);

/// The settings of a small service: few connections, short waits.
config::settings small_settings();

class test_service {
public:
  explicit test_service(const config::settings& settings = small_settings());
  test_service(const config::settings& settings, std::string conninfo);
  ~test_service();

  const test_database& database() const { return database_; }
  const directory_actor& directory() const { return service_->directory(); }
  actors::service& service() { return *service_; }
  caf::actor_system& system() { return system_; }

  /// Blocks until the answer; a caf::error becomes a failure of code internal with its text.
  template <class Value, class Request>
  result<Value> ask(Request request) {
    caf::scoped_actor self{system_};
    result<Value> outcome{error{error_code::internal, "no answer"}};
    self->request(directory(), call_timeout, std::move(request))
        .receive([&](result<Value>& answer) { outcome = std::move(answer); },
                 [&](const caf::error& failed) {
                   outcome = error{error_code::internal, "caf: " + system_.render(failed)};
                 });
    return outcome;
  }

  session_key make_session(std::string_view tenant_name = "acme");
  result<appended> append(const session_key& session, std::vector<event_input> events,
                          durability wanted = durability::accepted);
  result<void> flush_all();
  /// All durable events.
  std::vector<event> log_of(const session_key& session);

private:
  test_database database_;
  caf::actor_system_config system_config_;
  caf::actor_system system_;
  std::unique_ptr<actors::service> service_;
};

} // namespace colloquy::test
