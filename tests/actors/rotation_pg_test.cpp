// The pool's control under a running service: nothing accepted is lost, nothing comes twice.
#include "tests/support/catch.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/test_service.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

result<actors::pool_status> control(test_service& on, auto request) {
  caf::scoped_actor self{on.system()};
  result<actors::pool_status> outcome{error{error_code::internal, "no answer"}};
  self->request(on.service().pool(), 60s, std::move(request))
      .receive([&](result<actors::pool_status>& answer) { outcome = std::move(answer); }, [](const caf::error&) {});
  return outcome;
}

std::set<std::int32_t> backends(test_service& on) {
  std::set<std::int32_t> all;
  const auto status = control(on, actors::get_pool_status{});
  for (const auto& each : status->backends)
    if (each.backend_pid != 0)
      all.insert(each.backend_pid);
  return all;
}

} // namespace

TEST_CASE("all backends are replaced under appends, the writer's too, and every log is whole") {
  test_service on;
  std::vector<session_key> sessions;
  for (int i = 0; i < 5; ++i)
    sessions.push_back(on.make_session("tenant" + std::to_string(i)));
  const auto append_some = [&](int from, int to) {
    for (int i = from; i < to; ++i)
      for (const auto& session : sessions)
        REQUIRE(on.append(session, {user_message(std::to_string(i))}));
  };
  append_some(0, 20);
  const auto before = backends(on);
  REQUIRE(control(on, actors::rotate_pool{}));
  int written = 20;
  REQUIRE(eventually([&] {
    append_some(written, written + 5);
    written += 5;
    for (const auto pid : backends(on))
      if (before.contains(pid))
        return false;
    return true;
  }));
  REQUIRE(on.flush_all());
  for (const auto& session : sessions) {
    const auto log = on.log_of(session);
    REQUIRE(log.size() == static_cast<std::size_t>(written));
    for (std::size_t i = 0; i < log.size(); ++i)
      REQUIRE(log[i].offset == static_cast<event_offset>(i));
  }
  CHECK(on.database().value("SELECT count(*) FROM writers") == "1"); // the same writer, on another backend
}

TEST_CASE("a paused pool delays what is durable, and loses nothing of it") {
  test_service on;
  const auto session = on.make_session();
  REQUIRE(control(on, actors::pause_pool{})->paused);
  for (int i = 0; i < 10; ++i)
    REQUIRE(on.append(session, {user_message("while paused")})); // the writer has its lease already
  REQUIRE(control(on, actors::resume_pool{}));
  REQUIRE(on.flush_all());
  CHECK(on.log_of(session).size() == 10);
}

TEST_CASE("at the end everything is durable, all leases are given back, and no connection is left") {
  auto on = std::make_unique<test_service>();
  const auto session = on->make_session();
  for (int i = 0; i < 50; ++i)
    REQUIRE(on->append(session, {user_message("last words")}));
  REQUIRE(on->service().stop(20s));
  CHECK(on->database().value("SELECT count(*) FROM events WHERE kind = 'message'") == "50");
  CHECK(eventually([&] {
    return on->database().value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                                " application_name LIKE 'colloquy-mcp%'") == "0";
  }));
}
