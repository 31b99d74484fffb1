// Histories: pages of messages and what fits a budget, from memory, from the database, and across the seam.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Two messages among other events: messages at even offsets, named by them.
void append_mixed(stepped_service& service, const session_key& session, int count) {
  for (int i = 0; i < count; ++i) {
    auto entry = message(std::to_string(i));
    if (i % 2 != 0) {
      entry.kind = event_kind::custom;
      entry.role = message_role::none;
    }
    REQUIRE(ask(service, append_of(session, {entry})));
  }
}

texts even(int from, int through) {
  texts out;
  for (int i = from; from <= through ? i <= through : i >= through; i += from <= through ? 2 : -2)
    out.push_back(std::to_string(i));
  return out;
}

history_page page_of(stepped_service& service, read_history request) {
  auto page = ask(service, std::move(request));
  if (!page)
    FAIL(page.failure().message);
  return std::move(page).value();
}

read_history fitting(const session_key& session, std::int64_t tokens) {
  auto request = history_of(session);
  request.token_budget = tokens;
  return request;
}

event_input counted(std::string data, std::int32_t tokens, message_role role = message_role::user) {
  auto input = message(std::move(data), role);
  input.tokens = tokens;
  return input;
}

/// In three ways the same log: all of it in memory, only its end, nothing of it.
struct kept {
  const char* name;
  std::size_t tail_bytes;
  bool is_asleep;
};
const kept ways[] = {{"all in memory", std::size_t{1} << 20, false},
                     {"the end in memory", 6000, false},
                     {"nothing in memory", 0, false},
                     {"asleep before", std::size_t{1} << 20, true}};

actors::directory_options options_of(const kept& way) {
  auto options = small_tails(way.tail_bytes);
  if (way.is_asleep)
    options.session_idle_timeout = 1s;
  return options;
}

} // namespace

TEST_CASE("a history comes in pages either way, wherever the log is") {
  for (const auto& way : ways) {
    INFO(way.name);
    stepped_service service(options_of(way));
    const auto session = service.make_session();
    append_mixed(service, session, 40);
    if (way.is_asleep)
      passivate(service);

    auto request = history_of(session);
    request.limit = 7;
    texts seen;
    for (int pages = 0; pages < 10; ++pages) {
      const auto page = page_of(service, request);
      for (const auto& text : data_of(page.messages))
        seen.push_back(text);
      request.after = page.next;
      if (!page.has_more)
        break;
    }
    CHECK(seen == even(0, 38));

    request = history_of(session);
    request.limit = 6;
    request.order = history_order::descending;
    seen.clear();
    for (int pages = 0; pages < 10; ++pages) {
      const auto page = page_of(service, request);
      for (const auto& text : data_of(page.messages))
        seen.push_back(text);
      request.before = page.next;
      if (!page.has_more)
        break;
    }
    CHECK(seen == even(38, 0));

    request = history_of(session);
    request.after = 10;
    request.before = 20;
    CHECK(data_of(page_of(service, request).messages) == even(12, 18));
    CHECK_FALSE(page_of(service, request).has_more);
    request.order = history_order::descending;
    CHECK(data_of(page_of(service, request).messages) == even(18, 12));
    request.limit = 2;
    CHECK(page_of(service, request).has_more);
    request.after = 100;
    CHECK(page_of(service, request).messages.empty());
  }
}

TEST_CASE("a page's bounds are checked") {
  stepped_service service;
  const auto session = service.make_session();
  auto request = history_of(session);
  for (const std::size_t limit : {std::size_t{0}, limits::page_events_max + 1}) {
    request.limit = limit;
    CHECK(refusal(service, request) == error_code::invalid_request);
  }
  for (const std::int64_t budget : {std::int64_t{0}, limits::token_budget_max + 1})
    CHECK(refusal(service, fitting(session, budget)) == error_code::invalid_request);
}

TEST_CASE("a history shows what is accepted and not yet durable, also where the rest is not in memory") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 10);
  service.pool.answers_at_once = false;
  append_numbered(service, session, 10, 5);
  CHECK(data_of(page_of(service, history_of(session)).messages) == numbers(0, 14));
  auto request = history_of(session);
  request.order = history_order::descending;
  request.limit = 8;
  CHECK(data_of(page_of(service, request).messages) == numbers(14, 7));
  const auto page = page_of(service, fitting(session, 5 * 12));
  CHECK(data_of(page.messages) == numbers(3, 14));
  CHECK(page.trimmed == 3);
}

TEST_CASE("what a rolled-back turn wrote is in no history, durable or not, in memory or not") {
  for (const auto& way : ways)
    for (const bool is_durable : {true, false}) {
      INFO(way.name << (is_durable ? ", durable" : ", only accepted"));
      stepped_service service(options_of(way));
      const auto session = service.make_session();
      append_numbered(service, session, 0, 4);
      const auto turn = start(service, session);
      auto inside = append_of(session, {message("hidden"), message("hidden too")});
      inside.turn = turn.id;
      REQUIRE(ask(service, inside));
      REQUIRE(ask(service, append_of(session, {message("another's")})));
      service.pool.answers_at_once = is_durable;
      start_turn next;
      next.session = session;
      next.policy = turn_policy::rollback;
      auto granted = begin(service, next);
      if (!is_durable) {
        auto page = page_of(service, history_of(session));
        CHECK(data_of(page.messages) == texts{"0", "1", "2", "3", "another's"});
        auto request = history_of(session);
        request.order = history_order::descending;
        request.limit = 2;
        CHECK(data_of(page_of(service, request).messages) == texts{"another's", "3"});
        service.heal();
      }
      REQUIRE(*granted);
      REQUIRE((*granted)->has_value());
      CHECK(data_of((*granted)->value().history.messages) == texts{"0", "1", "2", "3", "another's"});
      REQUIRE(ask(service, end_of(session, (*granted)->value().turn.id)));
      if (way.is_asleep)
        passivate(service);
      CHECK(data_of(page_of(service, history_of(session)).messages) == texts{"0", "1", "2", "3", "another's"});
      auto page = page_of(service, fitting(session, 10)); // 4 + ceil(9 / 4) = 7
      CHECK(data_of(page.messages) == texts{"another's"});
      CHECK(page.trimmed == 4); // what is hidden was never left out for the budget
      auto earlier = fitting(session, 10);
      earlier.before = 4;
      page = page_of(service, earlier);
      CHECK(data_of(page.messages) == numbers(2, 3));
      CHECK(page.trimmed == 2);
    }
}

TEST_CASE("a page that begins with what is hidden still leads to what comes after it") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  const auto turn = start(service, session);
  for (int i = 0; i < 5; ++i) {
    auto inside = append_of(session, {message("hidden")});
    inside.turn = turn.id;
    REQUIRE(ask(service, inside));
  }
  append_numbered(service, session, 0, 5);
  service.pool.answers_at_once = false; // the rollback is not durable, so the database still shows everything
  start_turn next;
  next.session = session;
  next.policy = turn_policy::rollback;
  begin(service, next);
  auto request = history_of(session);
  request.limit = 3;
  const auto page = page_of(service, request);
  CHECK(data_of(page.messages) == numbers(0, 2));
  CHECK(page.has_more);
  request.order = history_order::descending;
  request.before = page.messages.front().offset;
  CHECK(page_of(service, request).messages.empty());
}

TEST_CASE("a history that fits a budget keeps the leading system message, wherever the log is") {
  for (const auto& way : ways) {
    INFO(way.name);
    stepped_service service(options_of(way));
    const auto session = service.make_session();
    REQUIRE(ask(service, append_of(session, {counted("rules", 10, message_role::system)})));
    for (int i = 1; i < 60; ++i)
      REQUIRE(ask(service, append_of(session, {counted(std::to_string(i), 5)})));
    if (way.is_asleep)
      passivate(service);
    for (int again = 0; again < 2; ++again) {
      const auto page = page_of(service, fitting(session, 30));
      CHECK(data_of(page.messages) == texts{"rules", "56", "57", "58", "59"});
      CHECK(page.trimmed == 55);
    }
    auto request = fitting(session, 20);
    request.before = 30;
    const auto page = page_of(service, request);
    CHECK(data_of(page.messages) == texts{"rules", "28", "29"});
    CHECK(page.trimmed == 27);
    request.before = 0;
    CHECK(page_of(service, request).messages.empty());
    CHECK(page_of(service, fitting(session, 10'000)).trimmed == 0);
  }
}

TEST_CASE("a system message that is only accepted leads the history too") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  REQUIRE(ask(service, end_of(session, start(service, session).id))); // two events, no message
  service.pool.answers_at_once = false;
  REQUIRE(ask(service, append_of(session, {counted("rules", 10, message_role::system)})));
  for (int i = 0; i < 5; ++i)
    REQUIRE(ask(service, append_of(session, {counted(std::to_string(i), 5)})));
  CHECK(data_of(page_of(service, fitting(session, 20)).messages) == texts{"rules", "3", "4"});
}

TEST_CASE("a system message that was rolled back leads no history any more") {
  for (const auto& way : ways) {
    INFO(way.name);
    stepped_service service(options_of(way));
    const auto session = service.make_session();
    start_turn first;
    first.session = session;
    first.events = {counted("rules", 10, message_role::system)};
    REQUIRE(ask(service, first));
    for (int i = 0; i < 40; ++i)
      REQUIRE(ask(service, append_of(session, {counted(std::to_string(i), 5)})));
    CHECK(data_of(page_of(service, fitting(session, 20)).messages) == texts{"rules", "38", "39"});
    REQUIRE(ask(service, end_of(session, start(service, session, turn_policy::rollback).id)));
    if (way.is_asleep)
      passivate(service);
    const auto page = page_of(service, fitting(session, 20));
    CHECK(data_of(page.messages) == numbers(36, 39));
    CHECK(page.trimmed == 36);
  }
}

TEST_CASE("trimming never parts a tool's call from its result") { // orphaned calls block an agent for good
  for (const auto& way : ways) {
    INFO(way.name);
    stepped_service service(options_of(way));
    const auto session = service.make_session();
    for (int i = 0; i < 10; ++i)
      REQUIRE(ask(service, append_of(session, {counted("old", 5)})));
    auto call = counted("call", 20, message_role::assistant);
    call.tool_call_ids = {"c1"};
    auto answer = counted("answer", 5, message_role::tool);
    answer.tool_call_id = "c1";
    REQUIRE(ask(service, append_of(session, {call})));
    REQUIRE(ask(service, append_of(session, {counted("between", 5)})));
    REQUIRE(ask(service, append_of(session, {answer})));
    REQUIRE(ask(service, append_of(session, {counted("last", 5)})));
    if (way.is_asleep)
      passivate(service);
    CHECK(data_of(page_of(service, fitting(session, 29)).messages) == texts{"last"});
    CHECK(data_of(page_of(service, fitting(session, 35)).messages) == texts{"call", "between", "answer", "last"});
  }
}

TEST_CASE("a call that a lost turn left open is closed in the history, and only there") {
  stepped_service service;
  const auto session = service.make_session();
  start_turn first;
  first.session = session;
  first.lease = 2s;
  auto call = message("call", message_role::assistant);
  call.tool_call_ids = {"c1"};
  first.events = {call};
  REQUIRE(ask(service, first));
  CHECK(page_of(service, fitting(session, 1000)).messages.size() == 1); // it still runs: its answer may come
  service.steps.advance(4s);
  const auto page = page_of(service, fitting(session, 1000));
  REQUIRE(page.messages.size() == 2);
  CHECK(page.messages[1].role == message_role::tool);
  CHECK(page.messages[1].tool_call_id == "c1");
  CHECK(page.messages[1].data.find(R"("synthetic":true)") != std::string::npos);
  CHECK(page.trimmed == 0);
  CHECK(page_of(service, history_of(session)).messages.size() == 1);
}

TEST_CASE("what is in memory can be read while the database is away") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 20);
  service.pool.is_away = true;
  service.pool.answers_at_once = false;
  append_numbered(service, session, 20, 5);
  CHECK(data_of(page_of(service, history_of(session)).messages) == numbers(0, 24));
  auto request = history_of(session);
  request.order = history_order::descending;
  request.limit = 3;
  CHECK(data_of(page_of(service, request).messages) == numbers(24, 22));
  const auto page = page_of(service, fitting(session, 25));
  CHECK(data_of(page.messages) == numbers(20, 24));
  CHECK(page.trimmed == 20);
  CHECK(ask(service, get_session{session})->next_offset == 25);
  CHECK(ask(service, events_of(session))->events.size() == 20);
}

TEST_CASE("what is not in memory cannot be read while the database is away, and says so") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 20);
  service.pool.is_away = true;
  CHECK(refusal(service, history_of(session)) == error_code::database_unavailable);
  CHECK(refusal(service, fitting(session, 25)) == error_code::database_unavailable);
  CHECK(refusal(service, events_of(session)) == error_code::database_unavailable);
  service.pool.is_away = false;
  CHECK(ask(service, history_of(session))->messages.size() == 20);
}

TEST_CASE("a read that waits for the database is answered when its session dies") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  passivate(service);
  REQUIRE(ask(service, get_session{session}));
  service.pool.reads_at_once = false;
  const auto history = begin(service, history_of(session));
  const auto fork = begin(service, fork_session{session, 1});
  REQUIRE_FALSE(*history);
  REQUIRE_FALSE(*fork);
  kill_session(service, session);
  CHECK(code_of(history) == error_code::database_unavailable);
  CHECK(code_of(fork) == error_code::database_unavailable);
}

TEST_CASE("a read costs what it returns, however long the log") { // long sessions load whole and brick
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  for (int i = 0; i < 20; ++i)
    REQUIRE(ask(service, append_of(session, std::vector<event_input>(200, message("x")))));
  std::size_t asked = service.database->rows_read();
  auto request = history_of(session);
  request.order = history_order::descending;
  request.limit = 20;
  CHECK(page_of(service, request).messages.size() == 20);
  CHECK(service.database->rows_read() - asked <= 20);
  asked = service.database->rows_read();
  CHECK(page_of(service, fitting(session, 50)).messages.size() == 10);
  CHECK(service.database->rows_read() - asked <= 40);
}
