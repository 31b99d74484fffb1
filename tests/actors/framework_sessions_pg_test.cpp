// Sessions and events as frameworks keep them, on a real PostgreSQL: through sleep, forks and erasure.
#include "tests/support/catch.hpp"
#include "tests/support/test_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

using offsets = std::vector<event_offset>;

template <class Request>
typename Request::reply must(test_service& service, Request request) {
  auto answer = service.ask<typename Request::reply>(std::move(request));
  if (!answer)
    FAIL(to_string(answer.failure().code) << ": " << answer.failure().message);
  return std::move(answer).value();
}

session_key filled(test_service& service, int count) {
  create_session request;
  request.tenant = tenant("acme");
  request.user_id = "ada";
  request.labels = {"vip"};
  request.mode = session_mode::manual;
  request.consumption_offsets = {{"ui", 2}};
  const auto session = must(service, request).key;
  for (int i = 0; i < count; ++i) {
    auto input = user_message(std::to_string(i));
    input.source = i % 2 == 0 ? "customer" : "ai_agent";
    input.trace_id = i % 3 == 0 ? "t" : "";
    REQUIRE(service.append(session, {input}, durability::durable));
  }
  return session;
}

offsets shown(test_service& service, read_events request) {
  offsets out;
  for (const auto& entry : must(service, std::move(request)).events)
    out.push_back(entry.offset);
  return out;
}

offsets said(test_service& service, const session_key& session) {
  read_history request;
  request.session = session;
  offsets out;
  for (const auto& entry : must(service, request).messages)
    out.push_back(entry.offset);
  return out;
}

read_events all_of(const session_key& session) {
  read_events request;
  request.session = session;
  request.from_database = true; // past what is in memory
  return request;
}

} // namespace

TEST_CASE("deleted events are not shown by the database either, and the others are filtered there") {
  test_service service;
  const auto session = filled(service, 12);
  must(service, delete_events{session, {{2, 3}, {9, 9}}, std::nullopt, std::nullopt});
  auto request = all_of(session);
  CHECK(shown(service, request) == offsets{0, 1, 4, 5, 6, 7, 8, 10, 11});
  CHECK(said(service, session) == offsets{0, 1, 4, 5, 6, 7, 8, 10, 11});
  request.source = "customer";
  request.limit = 3;
  CHECK(shown(service, request) == offsets{0, 4, 6});
  request.after = 6;
  CHECK(shown(service, request) == offsets{8, 10});
  request.after = -1;
  request.trace_id = "t";
  CHECK(shown(service, request) == offsets{0, 6});
  request.source.reset();
  request.with_deleted = true;
  const auto page = must(service, request);
  CHECK(page.deleted == offsets{3});
  CHECK(page.events.size() == 3);
  read_history fitted;
  fitted.session = session;
  fitted.token_budget = 1;
  CHECK(must(service, fitted).trimmed == 8);
  CHECK(service.database().value("SELECT count(*) FROM events WHERE log_id = '" + session.id.to_string() + "'") ==
        "12");
}

TEST_CASE("a fork takes over what was deleted until then, and an erasure leaves nothing of it") {
  test_service service;
  const auto session = filled(service, 8);
  must(service, delete_events{session, {}, 5, std::nullopt});
  must(service, delete_events{session, {{1, 1}}, std::nullopt, std::nullopt});
  const auto fork = must(service, fork_session{session, 6});
  CHECK(fork.labels == std::vector<std::string>{"vip"});
  CHECK(fork.mode == session_mode::manual);
  CHECK(fork.consumption_offsets.empty());
  must(service, delete_events{session, {{2, 2}}, std::nullopt, std::nullopt});
  CHECK(shown(service, all_of(session)) == offsets{0, 3, 4});
  CHECK(shown(service, all_of(fork.key)) == offsets{0, 2, 3, 4});
  list_sessions labelled;
  labelled.tenant = session.tenant;
  labelled.labels = {"vip"};
  CHECK(must(service, labelled).sessions.size() == 2);
  must(service, erase_session{session});
  CHECK(shown(service, all_of(fork.key)) == offsets{0, 2, 3, 4});
  CHECK(must(service, labelled).sessions.size() == 1);
  must(service, erase_session{fork.key});
  for (const std::string table : {"deleted_events", "session_labels", "sessions", "events"})
    CHECK(service.database().value("SELECT count(*) FROM " + table) == "0");
}

TEST_CASE("another service on the same database finds all of it") {
  auto database = test_database::make();
  session_key session;
  {
    test_service service(small_settings(), database.service_conninfo());
    session = filled(service, 6);
    must(service, delete_events{session, {}, 4, std::nullopt});
    update_session change;
    change.session = session;
    change.add_labels = {"a"};
    change.consumption_offsets = {{"ui", 5}, {"phone", 1}};
    must(service, change);
    REQUIRE(service.service().stop(10s)); // gives its sessions up at once, not when their time is over
  }
  test_service service(small_settings(), database.service_conninfo());
  const auto record = must(service, get_session{session});
  CHECK(record.labels == std::vector<std::string>{"a", "vip"});
  CHECK(record.mode == session_mode::manual);
  CHECK(record.consumption_offsets == consumption_map{{"phone", 1}, {"ui", 5}});
  CHECK(record.next_offset == 6);
  CHECK(said(service, session) == offsets{0, 1, 2, 3});
  REQUIRE(service.append(session, {user_message("on")}, durability::durable));
  CHECK(said(service, session) == offsets{0, 1, 2, 3, 6});
}
