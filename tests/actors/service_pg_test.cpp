// The whole path, from a request to PostgreSQL and back.
#include "tests/support/catch.hpp"
#include "tests/support/test_service.hpp"

#include <set>
#include <thread>

using namespace colloquy;
using namespace colloquy::test;

TEST_CASE("an appended message is read back as the bytes it was") {
  test_service service;
  const auto session = service.make_session();
  event_input message;
  message.role = message_role::assistant;
  message.data = R"({"role":"assistant",  "content":"caf\u00e9 😀","tokens":1.0e2,"tool_calls":[{"id":"a\"b,\\{}"}]})";
  message.tokens = 100;
  message.tool_call_ids = {"a\"b,\\{}", "NULL", ""};
  message.source = "test";
  message.trace_id = "trace";
  auto done = service.append(session, {user_message("hello"), message}, durability::durable);
  REQUIRE(done);
  CHECK(done->first_offset == 0);
  CHECK(done->count == 2);
  CHECK(done->reached == durability::durable);

  const auto log = service.log_of(session);
  REQUIRE(log.size() == 2);
  CHECK(log[0].data == user_message("hello").data);
  CHECK(log[0].role == message_role::user);
  CHECK(log[1].offset == 1);
  CHECK(log[1].data == message.data);
  CHECK(log[1].tokens == 100);
  CHECK(log[1].tool_call_ids == message.tool_call_ids);
  CHECK(log[1].source == "test");
  CHECK(log[1].trace_id == "trace");
}

TEST_CASE("a session keeps the fields it was made with") {
  test_service service;
  create_session request;
  request.tenant = tenant("acme");
  request.user_id = "ada";
  request.agent_id = "planner";
  request.external_id = "ticket-7";
  request.title = "Größe";
  request.metadata = R"({"plan": "gold"})";
  auto made = service.ask<session_record>(request);
  REQUIRE(made);
  CHECK(made->status == session_status::active);
  CHECK(made->next_offset == 0);
  CHECK(made->expires_at == made->created_at + std::chrono::hours{24});

  auto got = service.ask<session_record>(get_session{made->key});
  REQUIRE(got);
  CHECK(got->external_id == "ticket-7");
  CHECK(service.database().value(
            "SELECT user_id || agent_id || external_id || title || (metadata::json->>'plan') FROM sessions") ==
        "adaplannerticket-7Größegold");

  auto again = service.ask<session_record>(request);
  REQUIRE_FALSE(again);
  CHECK(again.failure().code == error_code::conflict);
  request.tenant = tenant("other");
  CHECK(service.ask<session_record>(request)); // the name is the tenant's own
}

TEST_CASE("another tenant's session is not found") {
  test_service service;
  auto session = service.make_session("acme");
  session.tenant = tenant("rival");
  auto got = service.ask<session_record>(get_session{session});
  REQUIRE_FALSE(got);
  CHECK(got.failure().code == error_code::not_found);
  auto appended_there = service.append(session, {user_message("x")});
  REQUIRE_FALSE(appended_there);
  CHECK(appended_there.failure().code == error_code::not_found);
  auto read = service.ask<event_page>(read_events{session});
  REQUIRE_FALSE(read);
  CHECK(read.failure().code == error_code::not_found);
}

TEST_CASE("two hundred concurrent appenders to one session get gap-free offsets in order") {
  test_service service;
  const auto session = service.make_session();
  constexpr int appenders = 200;
  constexpr int each = 10;
  std::vector<std::vector<event_offset>> offsets(appenders);
  {
    std::vector<std::thread> threads;
    for (int worker = 0; worker < appenders; ++worker)
      threads.emplace_back([&, worker] {
        for (int i = 0; i < each; ++i) {
          auto done = service.append(session, {user_message(std::to_string(worker) + "/" + std::to_string(i))});
          if (done)
            offsets[static_cast<std::size_t>(worker)].push_back(done->first_offset);
        }
      });
    for (auto& thread : threads)
      thread.join();
  }
  REQUIRE(service.flush_all());
  const auto log = service.log_of(session);
  REQUIRE(log.size() == appenders * each);
  for (std::size_t i = 0; i < log.size(); ++i)
    REQUIRE(log[i].offset == static_cast<event_offset>(i));
  std::set<event_offset> given;
  for (int worker = 0; worker < appenders; ++worker) {
    const auto& own = offsets[static_cast<std::size_t>(worker)];
    REQUIRE(own.size() == each);
    for (int i = 0; i < each; ++i) {
      const auto at = own[static_cast<std::size_t>(i)];
      given.insert(at);
      CHECK(log[static_cast<std::size_t>(at)].data ==
            user_message(std::to_string(worker) + "/" + std::to_string(i)).data);
    }
    CHECK(std::is_sorted(own.begin(), own.end()));
  }
  CHECK(given.size() == appenders * each);
}

TEST_CASE("a turn's messages, its row, its status events and the session's counters commit together") {
  test_service service;
  const auto session = service.make_session();
  start_turn start;
  start.session = session;
  start.events = {user_message("question")};
  start.trace_id = "trace-1";
  auto granted = service.ask<granted_turn>(start);
  REQUIRE(granted);
  const auto* turn = &granted->turn;
  CHECK(turn->number == 1);
  auto second = service.ask<granted_turn>(start);
  REQUIRE_FALSE(second);
  CHECK(second.failure().code == error_code::turn_in_progress);

  end_turn end;
  end.session = session;
  end.turn = turn->id;
  end.usage = token_usage{30, 12};
  end.events = {user_message("answer")};
  auto ended = service.ask<turn_record>(end);
  REQUIRE(ended);
  CHECK(ended->status == turn_status::completed);
  auto repeated = service.ask<turn_record>(end); // the same call again changes nothing
  REQUIRE(repeated);
  end.outcome = turn_status::failed;
  end.events.clear();
  auto other_end = service.ask<turn_record>(end);
  REQUIRE_FALSE(other_end);
  CHECK(other_end.failure().code == error_code::turn_lost);

  REQUIRE(service.flush_all());
  const auto log = service.log_of(session);
  REQUIRE(log.size() == 4);
  CHECK(log[0].kind == event_kind::status);
  CHECK(log[1].turn == turn->id);
  CHECK(log[3].kind == event_kind::status);
  CHECK(service.database().value("SELECT turn_count || '/' || total_tokens FROM sessions") == "1/42");
  CHECK(service.database().value("SELECT status || '/' || input_tokens || '/' || trace_id FROM turns") ==
        "completed/30/trace-1");

  append_events late;
  late.session = session;
  late.turn = turn->id;
  late.events = {user_message("too late")};
  auto refused = service.ask<appended>(late);
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::turn_lost);
}

TEST_CASE("an idle session leaves memory and comes back with its log and its turns") {
  auto settings = small_settings();
  settings.session_idle_timeout = std::chrono::milliseconds{1};
  settings.sessions_resident_max = 1; // so that the next session can only come if this one goes
  test_service service(settings);
  const auto session = service.make_session();
  start_turn start;
  start.session = session;
  start.events = {user_message("one")};
  auto granted = service.ask<granted_turn>(start);
  REQUIRE(granted);
  end_turn end;
  end.session = session;
  end.turn = granted->turn.id;
  REQUIRE(service.ask<turn_record>(end));
  REQUIRE(service.flush_all());

  create_session other;
  other.tenant = tenant("acme");
  other.user_id = "eve";
  result<session_record> made = error{error_code::overloaded, ""};
  const auto deadline = std::chrono::steady_clock::now() + call_timeout;
  while (!made && std::chrono::steady_clock::now() < deadline) {
    made = service.ask<session_record>(other);
    if (!made)
      REQUIRE(made.failure().code == error_code::overloaded);
  }
  REQUIRE(made);
  result<granted_turn> next = error{error_code::overloaded, ""};
  while (!next && std::chrono::steady_clock::now() < deadline) {
    next = service.ask<granted_turn>(start);
    if (!next)
      REQUIRE(next.failure().code == error_code::overloaded);
  }
  REQUIRE(next);
  CHECK(next->turn.number == 2);
  REQUIRE(service.flush_all());
  const auto log = service.log_of(session);
  REQUIRE(log.size() == 5);
  CHECK(log.back().offset == 4);
}
