// What an expired session still answers, and who takes part in one.
#include "tests/actors/listening_fixture.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

list_participants participants_of(const session_key& session, std::optional<std::string> as_user = {}) {
  list_participants request;
  request.session = session;
  request.as_user = std::move(as_user);
  return request;
}

template <class Request>
Request for_export(Request request) {
  request.even_expired = true;
  return request;
}

list_turns turns_of(const session_key& session) {
  list_turns request;
  request.session = session;
  return request;
}

} // namespace

TEST_CASE("owner and participants are told who takes part, strangers are not") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  CHECK(ask(service, participants_of(session)).value().participants.empty());
  REQUIRE(ask(service, set_participant{session, "will", participant_role::writer}));
  REQUIRE(ask(service, set_participant{session, "rita", participant_role::reader}));
  for (const bool asleep : {false, true}) {
    if (asleep)
      passivate(service);
    for (const char* user : {"ada", "rita", "will"}) {
      const auto list = ask(service, participants_of(session, user));
      REQUIRE(list);
      REQUIRE(list->participants.size() == 2);
      CHECK(list->participants[0].user_id == "rita");
      CHECK(list->participants[0].role == participant_role::reader);
      CHECK(list->participants[1].user_id == "will");
      CHECK(list->participants[1].role == participant_role::writer);
    }
    CHECK(refusal(service, participants_of(session, "mallory")) == error_code::not_found);
  }
}

TEST_CASE("an expired session answers an export and nothing else, and stays expired") {
  auto options = short_idle();
  options.sliding_expiry = true;
  stepped_service service(options);
  auto wanted = creation();
  wanted.expires_in = 60s;
  const auto session = ask(service, wanted).value().key;
  REQUIRE(ask(service, set_participant{session, "bob", participant_role::reader}));
  append_numbered(service, session, 0, 1);
  REQUIRE(ask(service, end_of(session, start(service, session).id)));
  const auto expires_at = ask(service, get_session{session}).value().expires_at;
  bool is_marked = true;
  SECTION("overdue, and not marked yet") {
    is_marked = false;
    service.pool.is_away = true;
    service.steps.advance(61s, 1s);
    service.pool.is_away = false;
    service.steps.run();
  }
  SECTION("marked, and asleep") {
    service.steps.advance(100s, 1s);
  }
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
  CHECK(refusal(service, events_of(session)) == error_code::session_expired);
  CHECK(refusal(service, turns_of(session)) == error_code::session_expired);
  CHECK(refusal(service, participants_of(session)) == error_code::session_expired);
  CHECK(refusal(service, history_of(session)) == error_code::session_expired);
  for (int i = 0; i < 2; ++i) {
    const auto record = ask(service, for_export(get_session{session}));
    REQUIRE(record);
    CHECK(record->expires_at == expires_at);
    auto reading = for_export(events_of(session));
    const auto events = ask(service, reading);
    REQUIRE(events);
    CHECK(events->events.size() >= 3);
    CHECK(events->events.front().data == "0");
    reading.after = events->read_through;
    reading.wait = 30s; // nothing more will come
    if (is_marked) {
      const auto more = ask(service, reading);
      REQUIRE(more);
      CHECK(more->events.empty());
    }
    const auto turns = ask(service, for_export(turns_of(session)));
    REQUIRE(turns);
    CHECK(turns->turns.size() == 1);
    const auto sharing = ask(service, for_export(participants_of(session)));
    REQUIRE(sharing);
    CHECK(sharing->participants.size() == 1);
    auto stranger = for_export(get_session{session});
    stranger.as_user = "mallory";
    CHECK(refusal(service, stranger) == error_code::not_found);
    service.steps.advance(5s, 1s);
  }
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
  CHECK(refusal(service, append_of(session, {message("x")})) == error_code::session_expired);
}

TEST_CASE("a list in one user's name has what that user owns and takes part in") {
  stepped_service service;
  const auto own = service.make_session(), shared = [&] {
    auto wanted = creation();
    wanted.user_id = "bob";
    return ask(service, wanted).value().key;
  }();
  auto other = creation();
  other.user_id = "carol";
  REQUIRE(ask(service, other));
  REQUIRE(ask(service, set_participant{shared, "ada", participant_role::reader}));
  const auto ids = [&](std::optional<std::string> as_user, std::optional<std::string> user = {}) {
    list_sessions wanted;
    wanted.tenant = own.tenant;
    wanted.as_user = std::move(as_user);
    wanted.user_id = std::move(user);
    std::set<std::string> found;
    const auto page = ask(service, wanted);
    REQUIRE(page);
    for (const auto& each : page->sessions)
      found.insert(each.key.id.to_string());
    return found;
  };
  using set = std::set<std::string>;
  CHECK(ids({}).size() == 3);
  CHECK(ids("ada") == set{own.id.to_string(), shared.id.to_string()});
  CHECK(ids("ada", "bob") == set{shared.id.to_string()});
  CHECK(ids("bob") == set{shared.id.to_string()});
  CHECK(ids("mallory").empty());
}
