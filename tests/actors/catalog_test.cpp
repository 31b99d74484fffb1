// What is asked of no single session: opening by name, listing, and erasing a user.
#include "tests/actors/conversation_fixture.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

create_session of_user(const std::string& user, const std::string& tenant = "acme") {
  auto request = creation();
  request.tenant = tenant_id::parse(tenant).value();
  request.user_id = user;
  return request;
}

list_sessions listing(const std::string& tenant = "acme") {
  list_sessions request;
  request.tenant = tenant_id::parse(tenant).value();
  return request;
}

std::vector<session_id> ids_of(const std::vector<session_record>& sessions) {
  std::vector<session_id> out;
  for (const auto& each : sessions)
    out.push_back(each.key.id);
  return out;
}

open_session opening(const std::string& name) {
  return {creation(name)};
}

} // namespace

TEST_CASE("opening by a name makes the session once and then finds it") {
  stepped_service service(short_idle());
  auto first = ask(service, opening("ticket"));
  REQUIRE(first);
  CHECK(first->was_made);
  CHECK(first->session.external_id == "ticket");
  for (int again = 0; again < 2; ++again) {
    auto wanted = opening("ticket");
    wanted.wanted.user_id = "somebody else"; // used only if it is made
    const auto found = ask(service, wanted);
    REQUIRE(found);
    CHECK_FALSE(found->was_made);
    CHECK(found->session.key == first->session.key);
    CHECK(found->session.user_id == "ada");
    passivate(service);
  }
  auto elsewhere = opening("ticket");
  elsewhere.wanted.tenant = tenant_id::parse("globex").value();
  CHECK(ask(service, elsewhere)->was_made);
  CHECK(refusal(service, open_session{creation()}) == error_code::invalid_request);
  CHECK(refusal(service, opening("")) == error_code::invalid_request);
}

TEST_CASE("whoever races to open a name, all get the same session") { // concurrent first use drops writes
  for (const bool reads_first : {true, false}) {
    stepped_service service;
    service.pool.reads_at_once = !reads_first;
    service.pool.answers_at_once = reads_first;
    std::vector<pending_answer<opened_session>> answers;
    for (int i = 0; i < 8; ++i)
      answers.push_back(begin(service, opening("ticket")));
    auto plain = begin(service, creation("ticket"));
    service.heal();
    std::set<session_id> made;
    int makers = 0;
    for (const auto& each : answers) {
      REQUIRE(*each);
      if (!**each)
        FAIL((*each)->failure().message);
      made.insert((*each)->value().session.key.id);
      makers += (*each)->value().was_made ? 1 : 0;
    }
    CHECK(made.size() == 1);
    REQUIRE(*plain);
    CHECK(makers + ((*plain)->has_value() ? 1 : 0) == 1);
    CHECK(service.database->tables().sessions.size() == 1);
  }
}

TEST_CASE("a name whose session is just being erased is opened anew") {
  stepped_service service;
  const auto old = ask(service, opening("ticket"))->session.key;
  service.pool.answers_at_once = false;
  auto gone = begin(service, erase_session{old});
  auto opened = begin(service, opening("ticket"));
  service.heal();
  REQUIRE(*gone);
  CHECK((*gone)->has_value());
  REQUIRE(*opened);
  REQUIRE((*opened)->has_value());
  CHECK((*opened)->value().was_made);
  CHECK((*opened)->value().session.key.id != old.id);
}

TEST_CASE("a name whose session has expired is not opened until that is erased") {
  stepped_service service;
  auto wanted = opening("ticket");
  wanted.wanted.expires_in = 5s;
  const auto old = ask(service, wanted)->session.key;
  service.steps.advance(6s, 250ms);
  CHECK(refusal(service, opening("ticket")) == error_code::session_expired);
  REQUIRE(ask(service, erase_session{old}));
  CHECK(ask(service, opening("ticket"))->was_made);
}

TEST_CASE("sessions are listed newest first, filtered before the page is cut") {
  stepped_service service;
  std::vector<session_id> of_ada, of_bob;
  for (int i = 0; i < 9; ++i) {
    service.steps.advance(50ms);
    auto& list = i % 3 == 0 ? of_bob : of_ada;
    list.insert(list.begin(), ask(service, of_user(i % 3 == 0 ? "bob" : "ada"))->key.id);
  }
  REQUIRE(ask(service, of_user("ada", "globex")));
  auto request = listing();
  CHECK(ask(service, request)->sessions.size() == 9);
  request.user_id = "bob";
  request.limit = 2;
  auto page = ask(service, request).value();
  auto seen = ids_of(page.sessions);
  CHECK(seen.size() == 2); // although others lie between
  request.cursor = page.next_cursor;
  page = ask(service, request).value();
  for (const auto id : ids_of(page.sessions))
    seen.push_back(id);
  CHECK(seen == of_bob);
  CHECK(page.next_cursor.empty());
  request.user_id = "ada";
  request.cursor.clear();
  request.limit = 100;
  CHECK(ids_of(ask(service, request)->sessions) == of_ada);
  CHECK(ask(service, listing("initech"))->sessions.empty());
}

TEST_CASE("an overdue session is never listed as active, whoever has marked it") {
  stepped_service service;
  auto short_lived = of_user("ada");
  short_lived.expires_in = 3s;
  const auto session = ask(service, short_lived)->key;
  REQUIRE(ask(service, of_user("ada")));
  auto request = listing();
  request.status = session_status::active;
  CHECK(ask(service, request)->sessions.size() == 2);
  service.steps.advance(3s);
  REQUIRE(service.database->tables().sessions.at(session.id.bytes).status == "active"); // not marked yet
  CHECK(ask(service, request)->sessions.size() == 1);
  request.status = session_status::expired;
  REQUIRE(ask(service, request)->sessions.size() == 1);
  CHECK(ask(service, request)->sessions.front().status == session_status::expired);
}

TEST_CASE("what is asked of the catalog is checked") {
  stepped_service service;
  auto request = listing();
  for (const std::size_t limit : {std::size_t{0}, limits::page_events_max + 1}) {
    request.limit = limit;
    CHECK(refusal(service, request) == error_code::invalid_request);
  }
  request.limit = 10;
  for (const std::string cursor : {"x", "0000000000000000", "../../etc"}) {
    request.cursor = cursor;
    CHECK(refusal(service, request) == error_code::invalid_request);
  }
  const auto now = service.steps.clock()();
  get_analytics sums{tenant_id::parse("acme").value(), now, now, {}, {}};
  CHECK(refusal(service, sums) == error_code::invalid_request);
  sums.to = now + std::chrono::days{367};
  CHECK(refusal(service, sums) == error_code::invalid_request);
  sums.to = now + std::chrono::days{366};
  CHECK(ask(service, sums));
  CHECK(refusal(service, erase_user{tenant_id::parse("acme").value(), ""}) == error_code::invalid_request);
}

TEST_CASE("erasing a user takes all the user's sessions, and the user out of the sessions of others") {
  stepped_service service(short_idle());
  const auto tenant = tenant_id::parse("acme").value();
  const auto others = ask(service, of_user("bob"))->key;
  set_participant share;
  share.session = others;
  share.user_id = "ada";
  share.role = participant_role::writer;
  REQUIRE(ask(service, share));
  auto written = append_of(others, {message("by ada")});
  written.as_user = "ada";
  REQUIRE(ask(service, written));
  const auto elsewhere = ask(service, of_user("ada", "globex"))->key;
  std::vector<session_key> own;
  for (int i = 0; i < 120; ++i) // more than a page
    own.push_back(ask(service, of_user("ada"))->key);
  append_numbered(service, own.front(), 0, 3);
  REQUIRE(ask(service, fork_session{own.front(), 1}));
  const auto gone = ask(service, erase_user{tenant, "ada"});
  if (!gone)
    FAIL(gone.failure().message);
  CHECK(gone->sessions == 121);
  CHECK(gone->participants == 1);
  CHECK(service.database->tables().sessions.size() == 2);
  for (const auto& key : {own.front(), own.back()})
    CHECK(refusal(service, get_session{key}) == error_code::not_found);
  CHECK(ask(service, get_session{elsewhere})); // another tenant's
  passivate(service);
  const auto history = ask(service, history_of(others)).value();
  REQUIRE(history.messages.size() == 1);
  CHECK(history.messages[0].data == "by ada"); // stays, without the name
  CHECK(history.messages[0].author.empty());
  auto request = get_session{others};
  request.as_user = "ada";
  CHECK(refusal(service, request) == error_code::not_found);
  CHECK(ask(service, erase_user{tenant, "ada"})->sessions == 0); // again: nothing is left
}

TEST_CASE("while the database is away the catalog says so in time") {
  stepped_service service;
  REQUIRE(ask(service, opening("ticket")));
  service.pool.is_away = true;
  CHECK(refusal(service, opening("ticket")) == error_code::database_unavailable);
  CHECK(refusal(service, listing()) == error_code::database_unavailable);
  CHECK(refusal(service, erase_user{tenant_id::parse("acme").value(), "ada"}) == error_code::database_unavailable);
  auto keyed = creation();
  keyed.repeat = idempotency{"k", "p"};
  CHECK(refusal(service, keyed) == error_code::database_unavailable);
}

TEST_CASE("what is under way in the catalog is bounded, and answered when the service ends") {
  stepped_service service;
  service.pool.reads_at_once = false;
  std::vector<pending_answer<session_page>> answers;
  for (int i = 0; i < 1000; ++i)
    answers.push_back(service.steps.ask<session_page>(service.directory, listing()));
  service.steps.run();
  CHECK(refusal(service, listing()) == error_code::database_unavailable);
  crash(service);
  for (const auto& each : answers)
    REQUIRE(*each);
}

TEST_CASE(
    "a user who opens another user's session by its name is told that the name is taken, and sees nothing of it") {
  stepped_service service;
  const auto first = ask(service, open_session{creation("name"), "ada"});
  REQUIRE(first);
  auto wanted = creation("name");
  wanted.user_id = "mallory";
  CHECK(refusal(service, open_session{wanted, "mallory"}) == error_code::conflict);
  const auto again = ask(service, open_session{creation("name"), "ada"});
  REQUIRE(again);
  CHECK(again->session.key == first->session.key);
}
