// Events that are deleted from a session's view: what is shown then, to whom, and what the log keeps.
#include "tests/actors/listening_fixture.hpp"
#include "tests/actors/replay_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

delete_events deletion(const session_key& session, std::vector<event_range> ranges) {
  delete_events request;
  request.session = session;
  request.ranges = std::move(ranges);
  return request;
}
delete_events deletion_from(const session_key& session, event_offset from) {
  delete_events request;
  request.session = session;
  request.from = from;
  return request;
}

std::vector<event_offset> offsets_of(const std::vector<event>& events) {
  std::vector<event_offset> out;
  for (const auto& entry : events)
    out.push_back(entry.offset);
  return out;
}

using offsets = std::vector<event_offset>;

offsets shown(stepped_service& service, const session_key& session) {
  return offsets_of(ask(service, events_of(session)).value().events);
}

texts said(stepped_service& service, const session_key& session, history_order order = history_order::ascending) {
  auto request = history_of(session);
  request.order = order;
  return data_of(ask(service, request).value().messages);
}

event_input custom(std::string data, std::string source = {}, std::string trace_id = {}) {
  event_input input;
  input.kind = event_kind::custom;
  input.data = std::move(data);
  input.source = std::move(source);
  input.trace_id = std::move(trace_id);
  return input;
}

} // namespace

TEST_CASE("a deleted event is not shown any more, and every other one keeps its offset", "[deletions]") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    auto options = small_tails(tail);
    options.session_idle_timeout = 1s;
    stepped_service service(options);
    const auto session = service.make_session();
    append_numbered(service, session, 0, 6);
    CHECK(ask(service, deletion(session, {{2, 2}}))->through == 2);
    CHECK(shown(service, session) == offsets{0, 1, 3, 4, 5});
    CHECK(said(service, session) == texts{"0", "1", "3", "4", "5"});
    CHECK(said(service, session, history_order::descending) == texts{"5", "4", "3", "1", "0"});
    append_numbered(service, session, 6, 1);
    CHECK(shown(service, session) == offsets{0, 1, 3, 4, 5, 6});
    CHECK(ask(service, get_session{session})->next_offset == 7);
    CHECK(service.stored(session) == numbers(0, 6)); // the log has it
    passivate(service);
    CHECK(shown(service, session) == offsets{0, 1, 3, 4, 5, 6});
    CHECK(said(service, session) == texts{"0", "1", "3", "4", "5", "6"});
    REQUIRE(ask(service, deletion(session, {{2, 2}}))); // once more is no mistake
    CHECK(shown(service, session) == offsets{0, 1, 3, 4, 5, 6});
  }
}

TEST_CASE("from an offset on all goes that is there, and what comes later is shown", "[deletions]") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 5);
  CHECK(ask(service, deletion_from(session, 2))->through == 4);
  append_numbered(service, session, 5, 2);
  CHECK(shown(service, session) == offsets{0, 1, 5, 6});
  passivate(service);
  CHECK(shown(service, session) == offsets{0, 1, 5, 6});
  CHECK(ask(service, deletion_from(session, 7))->through == -1); // nothing is there
  append_numbered(service, session, 7, 1);
  CHECK(shown(service, session) == offsets{0, 1, 5, 6, 7});
}

TEST_CASE("who asks for deleted events gets them in their places, told from the others", "[deletions]") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    stepped_service service(small_tails(tail));
    const auto session = service.make_session();
    append_numbered(service, session, 0, 6);
    REQUIRE(ask(service, deletion(session, {{1, 2}, {5, 5}})));
    auto request = events_of(session);
    request.with_deleted = true;
    auto page = ask(service, request).value();
    CHECK(data_of(page.events) == numbers(0, 5));
    CHECK(page.deleted == offsets{1, 2, 5});
    request.limit = 2;
    request.after = 0;
    page = ask(service, request).value();
    CHECK(offsets_of(page.events) == offsets{1, 2});
    CHECK(page.read_through == 2);
    REQUIRE(ask(service, set_participant{session, "bob", participant_role::writer}));
    request.as_user = "bob";
    CHECK(refusal(service, request) == error_code::forbidden);
    request.as_user = "ada";
    CHECK_FALSE(refusal(service, request));
  }
}

TEST_CASE("a deletion hides at once, before the database has heard of it", "[deletions]") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 4);
  service.pool.answers_at_once = false;
  append_numbered(service, session, 4, 2); // not durable
  auto answer = begin(service, deletion(session, {{1, 1}, {4, 4}}));
  CHECK_FALSE(*answer);
  CHECK(said(service, session) == texts{"0", "2", "3", "5"});
  CHECK(shown(service, session) == offsets{0, 2, 3});
  auto all = events_of(session);
  all.with_deleted = true;
  CHECK(ask(service, all)->deleted == offsets{1});
  service.heal();
  REQUIRE(*answer);
  CHECK(**answer);
  CHECK(shown(service, session) == offsets{0, 2, 3, 5});
}

TEST_CASE("a history neither gives nor counts what was deleted", "[deletions]") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    auto options = small_tails(tail);
    options.session_idle_timeout = 1s;
    stepped_service service(options);
    const auto session = service.make_session();
    REQUIRE(ask(service, append_of(session, {message("rules", message_role::system)})));
    append_numbered(service, session, 1, 9);
    const auto fitted = [&](std::int64_t budget) {
      auto request = history_of(session);
      request.token_budget = budget;
      return ask(service, request).value();
    };
    CHECK(fitted(16).trimmed == 7); // "rules", "8" and "9"
    REQUIRE(ask(service, deletion(session, {{3, 5}, {9, 9}})));
    const auto check = [&] {
      auto page = fitted(16);
      CHECK(data_of(page.messages) == texts{"rules", "7", "8"});
      CHECK(page.trimmed == 3); // 1, 2 and 6
      CHECK(fitted(1000).trimmed == 0);
    };
    check();
    passivate(service);
    check();
    REQUIRE(ask(service, deletion(session, {{0, 0}}))); // the leading one
    CHECK(data_of(fitted(16).messages) == texts{"6", "7", "8"});
  }
}

TEST_CASE("a turn is given no deleted message", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 4);
  REQUIRE(ask(service, deletion(session, {{1, 2}})));
  start_turn request;
  request.session = session;
  CHECK(data_of(ask(service, request)->history.messages) == texts{"0", "3"});
}

TEST_CASE("nothing of a running turn is deleted, nor what came meanwhile", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  const auto turn = start(service, session);
  const auto next = ask(service, get_session{session})->next_offset;
  REQUIRE(ask(service, append_of(session, {message("meanwhile")})));
  CHECK(refusal(service, deletion(session, {{next, next}})) == error_code::turn_in_progress);
  CHECK(refusal(service, deletion_from(session, 1)) == error_code::turn_in_progress);
  CHECK_FALSE(refusal(service, deletion(session, {{1, 1}})));
  REQUIRE(ask(service, end_of(session, turn.id)));
  CHECK_FALSE(refusal(service, deletion_from(session, 2)));
  CHECK(shown(service, session) == offsets{0});
}

TEST_CASE("what a rolled-back turn wrote counts once as hidden, deleted or not", "[deletions]") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  auto turn = start(service, session);
  auto inside = append_of(session, {message("a"), message("b")});
  inside.turn = turn.id;
  REQUIRE(ask(service, inside));
  turn = start(service, session, turn_policy::rollback);
  REQUIRE(ask(service, end_of(session, turn.id)));
  const auto end = ask(service, get_session{session})->next_offset;
  REQUIRE(ask(service, deletion(session, {{1, end - 1}})));
  append_numbered(service, session, static_cast<int>(end), 2);
  passivate(service);
  auto request = history_of(session);
  request.token_budget = 1;
  CHECK(ask(service, request)->trimmed == 2); // 0 and the one before the last
}

TEST_CASE("what cannot be deleted is refused by name", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  CHECK(refusal(service, deletion(session, {{3, 3}})) == error_code::not_found);
  CHECK(refusal(service, deletion(session, {{2, 3}})) == error_code::not_found);
  CHECK(refusal(service, deletion(session, {{2, 1}})) == error_code::invalid_request);
  CHECK(refusal(service, deletion(session, {{-1, 1}})) == error_code::invalid_request);
  CHECK(refusal(service, deletion(session, {})) == error_code::invalid_request);
  CHECK(refusal(service, deletion(session, std::vector<event_range>(limits::deleted_ranges_max + 1))) ==
        error_code::invalid_request);
  CHECK(refusal(service, deletion_from(session, -1)) == error_code::invalid_request);
  auto both = deletion_from(session, 1);
  both.ranges = {{0, 0}};
  CHECK(refusal(service, both) == error_code::invalid_request);
  CHECK(refusal(service, deletion({tenant_id::parse("other").value(), session.id}, {{0, 0}})) == error_code::not_found);
  REQUIRE(ask(service, set_participant{session, "bob", participant_role::writer}));
  auto theirs = deletion(session, {{0, 0}});
  theirs.as_user = "bob";
  CHECK(refusal(service, theirs) == error_code::forbidden);
  theirs.as_user = "eve";
  CHECK(refusal(service, theirs) == error_code::not_found);
  CHECK(shown(service, session) == offsets{0, 1, 2});
  update_session pause;
  pause.session = session;
  pause.status = session_status::paused;
  REQUIRE(ask(service, pause));
  CHECK(refusal(service, deletion(session, {{0, 0}})) == error_code::session_not_active);
}

TEST_CASE("listeners are told of a deletion once it is durable, and never sent what is deleted", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  listener early(service, session, -1);
  CHECK(early.offsets() == offsets{0, 1, 2});
  service.pool.answers_at_once = false;
  append_numbered(service, session, 3, 2);
  auto answer = begin(service, deletion(session, {{1, 1}, {3, 3}}));
  CHECK(early.deleted.empty());
  service.heal();
  REQUIRE(*answer);
  CHECK(early.offsets() == offsets{0, 1, 2, 4});
  CHECK(early.deleted == std::vector<event_range>{{1, 1}, {3, 3}});
  CHECK_FALSE(early.ended());
  listener late(service, session, -1);
  CHECK(late.offsets() == offsets{0, 2, 4});
  CHECK(late.deleted.empty());
}

TEST_CASE("a fork begins with what its parent shows, and each deletes for itself from then on", "[deletions]") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    auto options = small_tails(tail);
    options.session_idle_timeout = 1s;
    stepped_service service(options);
    const auto session = service.make_session();
    append_numbered(service, session, 0, 6);
    REQUIRE(ask(service, deletion(session, {{1, 1}, {3, 5}})));
    const auto fork = ask(service, fork_session{session, 4}).value().key;
    append_numbered(service, fork, 5, 2);
    CHECK(shown(service, fork) == offsets{0, 2, 5, 6});
    REQUIRE(ask(service, deletion(session, {{2, 2}})));
    REQUIRE(ask(service, deletion(fork, {{0, 0}, {6, 6}})));
    const auto check = [&] {
      CHECK(shown(service, session) == offsets{0});
      CHECK(shown(service, fork) == offsets{2, 5});
      CHECK(said(service, fork) == texts{"2", "5"});
    };
    check();
    passivate(service);
    check();
  }
}

TEST_CASE("a fork waits for a deletion that is not durable yet", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 4);
  service.pool.answers_at_once = false;
  begin(service, deletion(session, {{1, 1}}));
  auto made = begin(service, fork_session{session, 3});
  service.heal();
  REQUIRE(*made);
  REQUIRE(**made);
  CHECK(shown(service, (*made)->value().key) == offsets{0, 2, 3});
}

TEST_CASE("events are filtered by kind, source and trace before the page is cut", "[deletions]") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{1} << 20}) {
    stepped_service service(small_tails(tail));
    const auto session = service.make_session();
    for (int i = 0; i < 30; ++i)
      REQUIRE(
          ask(service, append_of(session, {i % 2 == 0 ? custom(std::to_string(i), i % 3 == 0 ? "customer" : "ai_agent",
                                                               i % 5 == 0 ? "t" : "u")
                                                      : message(std::to_string(i))})));
    auto request = events_of(session);
    request.source = "customer";
    request.limit = 2;
    offsets found;
    for (int pages = 0; pages < 4; ++pages) {
      const auto page = ask(service, request).value();
      for (const auto offset : offsets_of(page.events))
        found.push_back(offset);
      request.after = page.read_through;
    }
    CHECK(found == offsets{0, 6, 12, 18, 24});
    CHECK(request.after == 29);
    request = events_of(session);
    request.trace_id = "t";
    CHECK(offsets_of(ask(service, request)->events) == offsets{0, 10, 20});
    request.source = "customer";
    request.kinds = {event_kind::custom};
    CHECK(offsets_of(ask(service, request)->events) == offsets{0});
    request.kinds = {event_kind::message};
    CHECK(ask(service, request)->events.empty());
    CHECK(ask(service, request)->read_through == 29);
    REQUIRE(ask(service, deletion(session, {{0, 9}})));
    request = events_of(session);
    request.source = "customer";
    CHECK(offsets_of(ask(service, request)->events) == offsets{12, 18, 24});
    request.with_deleted = true;
    CHECK(ask(service, request)->deleted == offsets{0, 6});
  }
}

TEST_CASE("who waits for one kind of event is not answered by another, nor by a deleted one", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  auto request = events_of(session, 0);
  request.source = "customer";
  request.wait = 20s;
  auto answer = begin(service, request);
  REQUIRE(ask(service, append_of(session, {custom("no", "ai_agent")})));
  CHECK_FALSE(*answer);
  REQUIRE(ask(service, append_of(session, {custom("yes", "customer")})));
  REQUIRE(*answer);
  CHECK(data_of((*answer)->value().events) == texts{"yes"});
}

TEST_CASE("a journal brings a deletion back that the database had not heard of", "[deletions][replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 4);
  crash(service);
  auto deletes = write_of(session, 6);
  deletes->deleted = {{1, 2}};
  auto too_far = write_of(session, 7);
  too_far->deleted = {{2, 9}};
  const auto outcome = replay(service, session, {deletes, too_far});
  CHECK(outcome.written == 1);
  CHECK(outcome.unfitting == std::vector<std::size_t>{1}); // of events that are lost
  CHECK(shown(service, session) == offsets{0, 3});
  append_numbered(service, session, 4, 1);
  CHECK(shown(service, session) == offsets{0, 3, 4});
}

TEST_CASE("a journal's deletion of offsets that somebody gave out anew deletes nothing", "[deletions][replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  crash(service);
  auto deletes = write_of(session, 5);
  deletes->deleted = {{2, 2}};
  // The first actor had deleted what it gave 2 to; after it another one gave 2 out.
  const auto outcome = replay(service, session, {deletes, events_write(session, 1, {event_at(2, "another")})});
  CHECK(outcome.unfitting == std::vector<std::size_t>{0, 1});
  CHECK(shown(service, session) == offsets{0, 1, 2});
}

TEST_CASE("what is erased leaves no deletion behind", "[deletions]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 3);
  REQUIRE(ask(service, deletion(session, {{1, 1}})));
  CHECK(service.database->tables().deleted_events.size() == 1);
  REQUIRE(ask(service, erase_session{session}));
  CHECK(service.database->tables().deleted_events.empty());
}
