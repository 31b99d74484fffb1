// What a session does with the records that a journal has of it: those that are durable, those that go on where it is,
// and those that do not.
#include "tests/actors/replay_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

db::turn_row turn_at(event_offset first, turn_status status) {
  db::turn_row row;
  row.id = turn_id::make();
  row.number = 1;
  row.first_offset = first;
  row.messages = 1;
  row.status = status;
  row.granted_by = process_id::make();
  return row;
}

} // namespace

TEST_CASE("what somebody else wrote at its offset does not make an accepted event durable", "[replay]") {
  stepped_service service(short_idle());
  auto soon = creation();
  soon.expires_in = 5s;
  const auto session = ask(service, soon).value().key;
  append_numbered(service, session, 0, 1);
  service.steps.advance(1s);
  crash(service, short_idle());
  service.steps.advance(20s, 1s); // the sweeper ends it, which it would not do before a replay
  REQUIRE(service.stored(session) == texts{"0", R"({"status":"expired"})"});
  const auto outcome = replay(
      service, session,
      {events_write(session, 3, {event_at(1, "accepted")}), events_write(session, 4, {event_at(2, "and behind it")})});
  CHECK(outcome.durable_already == 0);
  CHECK(outcome.unfitting == std::vector<std::size_t>{0, 1});
  CHECK(service.stored(session).size() == 2);
}

TEST_CASE("what comes behind an event that was lost is not written in its stead", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  crash(service);
  const auto outcome = replay(service, session,
                              {events_write(session, 3, {event_at(1, "another 1")}),
                               events_write(session, 4, {event_at(2, "2, which tells of another 1")})});
  CHECK(outcome.unfitting == std::vector<std::size_t>{0, 1});
  service.steps.advance(1s);
  CHECK(service.stored(session) == texts{"0", "1"});
}

TEST_CASE("of two that gave out the same offset the later one goes on, and the earlier one is told", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  const auto outcome =
      replay(service, session,
             {events_write(session, 3, {event_at(1, "lost")}), events_write(session, 4, {event_at(2, "lost, too")}),
              events_write(session, 1, {event_at(1, "seen")}), // the actor that woke after it
              events_write(session, 2, {event_at(2, "seen, too")})});
  CHECK(outcome.unfitting == std::vector<std::size_t>{0, 1});
  CHECK(outcome.written == 2);
  CHECK(service.stored(session) == texts{"0", "seen", "seen, too"});
}

TEST_CASE("a replay is answered when what it wrote again is durable, and not before", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  service.pool.answers_at_once = false;
  const auto answer = begin_replay(service, session, {events_write(session, 3, {event_at(1, "accepted")})});
  service.steps.advance(1s);
  CHECK_FALSE(*answer);
  service.heal();
  REQUIRE(*answer);
  REQUIRE(**answer);
  CHECK((*answer)->value().written == 1);
  CHECK(service.stored(session) == texts{"0", "accepted"});
}

TEST_CASE("what the database refuses of a journal's records is told apart from what is durable", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  const auto outcome = replay(service, session,
                              {events_write(session, 3, {event_at(1, "good")}),
                               events_write(session, 4, {event_at(2, "bad " + service.database->poison)}),
                               events_write(session, 5, {event_at(3, "behind it")})});
  CHECK(outcome.written == 1);
  CHECK(outcome.unfitting == std::vector<std::size_t>{1, 2});
  CHECK_FALSE(outcome.why.empty());
  CHECK(service.stored(session) == texts{"0", "good"});
}

TEST_CASE("an old change does not bring back a session that has expired", "[replay]") {
  stepped_service service;
  auto soon = creation();
  soon.expires_in = 100s;
  const auto session = ask(service, soon).value().key;
  const auto before = ask(service, get_session{session, {}}).value();
  service.steps.advance(200s, 10s);
  crash(service);
  auto change = write_of(session, 3);
  change->changed = std::make_shared<const session_record>(before);
  replay(service, session, {change});
  service.steps.advance(20s, 1s);
  CHECK(service.stored(session) == texts{R"({"status":"expired"})"});
  list_sessions all;
  all.tenant = session.tenant;
  CHECK(ask(service, all).value().sessions.at(0).status == session_status::expired);
}

TEST_CASE("a change that was not durable is made, and one that another change has followed is not", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  auto record = ask(service, get_session{session, {}}).value();
  crash(service);
  record.version = 2;
  record.title = "newer";
  auto newer = write_of(session, 4);
  newer->changed = std::make_shared<const session_record>(record);
  CHECK(replay(service, session, {newer}).written == 1);
  record.version = 1;
  record.title = "older";
  auto older = write_of(session, 3);
  older->changed = std::make_shared<const session_record>(record);
  CHECK(replay(service, session, {older}).durable_already == 1);
  CHECK(ask(service, get_session{session, {}}).value().title == "newer");
}

TEST_CASE("a replayed rollback hides what the turn wrote", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  auto turn = turn_at(1, turn_status::running);
  auto began = events_write(session, 3, {event_at(1, "hidden", turn.id)});
  began->turns.push_back(turn);
  auto status = event_at(2, R"({"turn":1})");
  status.kind = event_kind::status;
  status.role = message_role::none;
  auto ended = events_write(session, 4, {status});
  turn.status = turn_status::rolled_back;
  ended->turns.push_back(turn);
  CHECK(replay(service, session, {began, ended}).written == 2);
  CHECK(data_of(ask(service, history_of(session)).value().messages) == texts{"0"});
  CHECK(data_of(ask(service, events_of(session)).value().events) == texts{"0", R"({"turn":1})"});
}

TEST_CASE("whoever was taken out of a session by a replayed write may not see it", "[replay]") {
  stepped_service service;
  const auto session = service.make_session();
  set_participant bob;
  bob.session = session;
  bob.user_id = "bob";
  bob.role = participant_role::reader;
  REQUIRE(ask(service, bob));
  crash(service);
  auto gone = write_of(session, 3);
  gone->participants.push_back({"bob", std::nullopt});
  auto came = write_of(session, 4);
  came->participants.push_back({"eve", participant_role::writer});
  CHECK(replay(service, session, {gone, came}).written == 2);
  CHECK(refusal(service, get_session{session, "bob"}) == error_code::not_found);
  CHECK_FALSE(refusal(service, get_session{session, "eve"}));
}

// --- erased ----------------------------------------------------------------------------------------------------------

TEST_CASE("records of a session that is gone are answered, with what became of it", "[replay][erasure]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  const auto row = ask(service, get_session{session, {}}).value();
  auto& failures = service.database->failures_of["erase_step"]; // it is begun, and takes its time
  failures.assign(1000, {db::failure_kind::wait, "", "later"});
  begin(service, erase_session{session});
  service.steps.advance(1s);
  crash(service);
  const auto record = events_write(session, 2, {event_at(0, "0")});
  CHECK(replay(service, session, {record}).fate == actors::replay_fate::is_erased);
  failures.clear();
  service.steps.advance(120s, 250ms);
  REQUIRE(service.database->tables().erasures.empty());
  CHECK(replay(service, session, {record}).fate == actors::replay_fate::is_unknown);
  auto made = write_of(session, 1);
  made->row = std::make_shared<const session_record>(row);
  CHECK(replay(service, session, {made}).fate == actors::replay_fate::is_unknown);
  CHECK(refusal(service, get_session{session, {}}) == error_code::not_found); // it is not made anew
}

TEST_CASE("an erasure that only the journal has is carried out", "[replay][erasure]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  auto last = write_of(session, 3);
  last->erases = true;
  const auto outcome = replay(service, session, {events_write(session, 2, {event_at(1, "1")}), last});
  CHECK(outcome.fate == actors::replay_fate::is_erased);
  CHECK(refusal(service, get_session{session, {}}) == error_code::not_found);
  CHECK(refusal(service, append_of(session, {message("late")})) == error_code::not_found);
  service.steps.advance(60s, 250ms);
  CHECK(service.stored(session).empty());
  CHECK(service.database->tables().sessions.empty());
  CHECK(service.database->tables().erasures.empty());
}

TEST_CASE("a session that is just being erased answers a replay when it is hidden for good", "[replay][erasure]") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  service.pool.answers_at_once = false;
  begin(service, erase_session{session});
  const auto answer = begin_replay(service, session, {events_write(session, 3, {event_at(1, "1")})});
  CHECK_FALSE(*answer);
  service.heal();
  REQUIRE(*answer);
  REQUIRE(**answer);
  CHECK((*answer)->value().fate == actors::replay_fate::is_erased);
}
