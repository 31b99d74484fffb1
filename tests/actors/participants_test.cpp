// Who shares a session: what readers and writers may do, and that strangers learn nothing.
#include "tests/actors/listening_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

set_participant sharing(const session_key& session, std::string user, std::optional<participant_role> role) {
  set_participant request;
  request.session = session;
  request.user_id = std::move(user);
  request.role = role;
  return request;
}

template <class Request>
Request by(Request request, const std::string& user) {
  request.as_user = user;
  return request;
}

std::string names(const result<participant_list>& list) {
  std::string out;
  if (!list)
    return list.failure().message;
  for (const auto& each : list->participants)
    out += each.user_id + (each.role == participant_role::reader ? ":r " : ":w ");
  return out;
}

/// How each kind of request on the session ends for that user; "" for success.
std::vector<std::string> outcomes(stepped_service& service, const session_key& session, const std::string& user) {
  std::vector<std::string> out;
  const auto note = [&](auto request) {
    auto answer = ask(service, by(std::move(request), user));
    out.push_back(answer ? "" : std::string(to_string(answer.failure().code)) + ": " + answer.failure().message);
  };
  note(get_session{session});
  note(history_of(session));
  note(events_of(session));
  list_turns turns;
  turns.session = session;
  note(turns);
  note(append_of(session, {message("x")}));
  start_turn turn;
  turn.session = session;
  turn.policy = turn_policy::interrupt;
  note(turn);
  update_session update;
  update.session = session;
  update.title = "t";
  note(update);
  note(fork_session{session, 0});
  note(sharing(session, "carol", participant_role::reader));
  return out;
}

std::vector<std::string> codes(std::vector<std::string> outcomes) {
  for (auto& each : outcomes)
    each = each.substr(0, each.find(':'));
  return outcomes;
}

} // namespace

TEST_CASE("a reader sees, a writer also writes, and only the owner shares and changes") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  REQUIRE(ask(service, sharing(session, "rita", participant_role::reader)));
  REQUIRE(ask(service, sharing(session, "will", participant_role::writer)));
  for (const bool asleep : {false, true}) {
    if (asleep) {
      REQUIRE(ask(service, end_of(session, ask(service,
                                               [&] {
                                                 list_turns turns;
                                                 turns.session = session;
                                                 return turns;
                                               }())
                                               ->turns.front()
                                               .id)));
      passivate(service);
    }
    CHECK(codes(outcomes(service, session, "ada")) == std::vector<std::string>(9, ""));
    const std::string no = "forbidden";
    const texts of_reader{"", "", "", "", no, no, no, no, no}, of_writer{"", "", "", "", "", "", no, no, no};
    CHECK(codes(outcomes(service, session, "rita")) == of_reader);
    CHECK(codes(outcomes(service, session, "will")) == of_writer);
    CHECK(refusal(service, by(erase_session{session}, "will")) == error_code::forbidden);
  }
}

TEST_CASE("a stranger and another tenant learn nothing: it is as if there were no session") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  const session_key never{session.tenant, session_id::make()};
  const auto of_none = outcomes(service, never, "ada");
  CHECK(codes(of_none) == std::vector<std::string>(9, "not_found"));
  CHECK(outcomes(service, session, "mallory") == of_none);
  CHECK(outcomes(service, {tenant_id::parse("globex").value(), session.id}, "ada") == of_none);
  const auto erase_none = ask(service, by(erase_session{never}, "ada"));
  const auto erase_other = ask(service, by(erase_session{session}, "mallory"));
  REQUIRE_FALSE(erase_none);
  REQUIRE_FALSE(erase_other);
  CHECK(erase_other.failure().message == erase_none.failure().message);
  service.steps.advance(1s);
  CHECK(service.stored(session) == texts{"0"});
}

TEST_CASE("what a stranger is told does not change with the session's state") {
  stepped_service service;
  auto request = creation();
  request.expires_in = 5s;
  const auto session = ask(service, request)->key;
  const auto before = outcomes(service, session, "mallory");
  service.steps.advance(12s, 250ms);
  CHECK(refusal(service, get_session{session}) == error_code::session_expired);
  CHECK(outcomes(service, session, "mallory") == before);
  REQUIRE(ask(service, erase_session{session}));
  CHECK(outcomes(service, session, "mallory") == before);
}

TEST_CASE("events keep who wrote them") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  REQUIRE(ask(service, sharing(session, "will", participant_role::writer)));
  REQUIRE(ask(service, by(append_of(session, {message("a")}), "ada")));
  REQUIRE(ask(service, by(append_of(session, {message("b")}), "will")));
  auto claimed = message("c");
  claimed.author = "ada"; // whoever asks as a user writes as that user
  REQUIRE(ask(service, by(append_of(session, {claimed}), "will")));
  start_turn turn;
  turn.session = session;
  turn.events = {message("d")};
  REQUIRE(ask(service, end_of(session, ask(service, by(turn, "will"))->turn.id)));
  REQUIRE(ask(service, sharing(session, "will", std::nullopt)));
  for (int again = 0; again < 2; ++again) {
    texts authors;
    const auto history = ask(service, history_of(session)).value();
    for (const auto& entry : history.messages)
      authors.push_back(entry.author);
    CHECK(authors == texts{"ada", "will", "will", "will"});
    passivate(service);
  }
}

TEST_CASE("sharing is changed and ended, and answered when durable") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  CHECK(names(ask(service, sharing(session, "will", participant_role::writer))) == "will:w ");
  CHECK(names(ask(service, sharing(session, "bob", participant_role::reader))) == "bob:r will:w ");
  CHECK(names(ask(service, sharing(session, "will", participant_role::reader))) == "bob:r will:r ");
  CHECK(names(ask(service, sharing(session, "bob", std::nullopt))) == "will:r ");
  CHECK(names(ask(service, sharing(session, "nobody", std::nullopt))) == "will:r ");
  passivate(service);
  CHECK(refusal(service, by(get_session{session}, "bob")) == error_code::not_found);
  CHECK(ask(service, by(get_session{session}, "will")));
  service.pool.answers_at_once = false;
  auto answer = begin(service, sharing(session, "eve", participant_role::reader));
  CHECK_FALSE(*answer);
  service.pool.answer_next();
  service.steps.run();
  REQUIRE(*answer);
  CHECK(names(**answer) == "eve:r will:r ");
}

TEST_CASE("who may share with whom is checked") {
  stepped_service service;
  const auto session = service.make_session();
  texts unstorable{"", "\xff", std::string("a\0b", 3)};
  unstorable.push_back(std::string(256, 'x'));
  for (const auto& name : unstorable)
    CHECK(refusal(service, sharing(session, name, participant_role::reader)) == error_code::invalid_request);
  CHECK(refusal(service, sharing(session, "ada", participant_role::reader)) == error_code::invalid_request);
  for (std::size_t i = 0; i < limits::participants_max; ++i)
    REQUIRE(ask(service, sharing(session, "user" + std::to_string(i), participant_role::reader)));
  CHECK(refusal(service, sharing(session, "one more", participant_role::reader)) == error_code::invalid_request);
  CHECK(ask(service, sharing(session, "user7", participant_role::writer))); // no new one
}

TEST_CASE("who is taken out of a session hears nothing more of it") {
  stepped_service service;
  const auto session = service.make_session();
  auto sharing = set_participant{session, "bob", participant_role::reader};
  REQUIRE(ask(service, sharing));
  auto events = std::make_shared<std::size_t>(0);
  auto ends = std::make_shared<std::vector<error_code>>();
  subscribe_events listening;
  listening.session = session;
  listening.as_user = "bob";
  listening.subscriber = service.steps.system().spawn([events, ends]() -> event_subscriber::behavior_type {
    return {[events](const events_arrived& news) { *events += news.events->size(); }, [](const delta_arrived&) {},
            [ends](const subscription_ended& end) { ends->push_back(end.why.code); }};
  });
  REQUIRE(ask(service, listening));
  auto polling = events_of(session);
  polling.wait = 60s;
  polling.as_user = "bob";
  const auto poll = begin(service, polling);
  CHECK_FALSE(*poll);
  sharing.role.reset();
  REQUIRE(ask(service, sharing));
  CHECK(code_of(poll) == error_code::not_found);
  CHECK(*ends == std::vector<error_code>{error_code::not_found});
  append_numbered(service, session, 0, 3);
  CHECK(*events == 0);
}

TEST_CASE("who may not write any more does not get the turn that was waited for, and writes nothing") {
  stepped_service service;
  const auto session = service.make_session();
  auto sharing = set_participant{session, "bob", participant_role::writer};
  REQUIRE(ask(service, sharing));
  const auto running = start(service, session);
  start_turn wanted;
  wanted.session = session;
  wanted.as_user = "bob";
  wanted.events = {message("by bob")};
  const auto waiting = begin(service, wanted);
  CHECK_FALSE(*waiting);
  sharing.role = participant_role::reader;
  REQUIRE(ask(service, sharing));
  CHECK(code_of(waiting) == error_code::forbidden);
  REQUIRE(ask(service, end_of(session, running.id)));
  CHECK(ask(service, history_of(session)).value().messages.empty());
}

TEST_CASE("a user who is erased is gone from sessions in memory: no access, no name, no more writes") {
  stepped_service service;
  const auto session = service.make_session();
  REQUIRE(ask(service, set_participant{session, "bob", participant_role::writer}));
  auto said = append_of(session, {message("by bob")});
  said.as_user = "bob";
  REQUIRE(ask(service, said));
  service.pool.answers_at_once = false;
  REQUIRE(ask(service, said)); // not durable yet when the erasure begins
  auto gone = begin(service, erase_user{session.tenant, "bob"});
  service.heal();
  REQUIRE(*gone);
  REQUIRE((*gone)->has_value());
  CHECK((*gone)->value().participants == 1);
  CHECK(refusal(service, get_session{session, "bob"}) == error_code::not_found);
  CHECK(refusal(service, said) == error_code::not_found);
  const auto history = ask(service, history_of(session)).value();
  REQUIRE(history.messages.size() == 2);
  for (const auto& each : history.messages)
    CHECK(each.author.empty());
}

TEST_CASE("a session that another process owns keeps nothing else of an erased user, and is told of") {
  stepped_service service(short_idle());
  const auto own = service.make_session();
  service.steps.advance(100ms);
  auto other = service.make_session(); // newer, so that it comes first
  while (db::shard_of(other.id) == db::shard_of(own.id))
    other = service.make_session();
  passivate(service);
  auto& tables = service.database->tables();
  const auto stranger = process_id::make().bytes;
  tables.processes[stranger] = {
      timestamp::max() - 1h, false, false, {"elsewhere", db::encode_int8(1), db::encode_int8(1)}};
  tables.shards[db::shard_of(other.id)] = stranger;
  service.steps.advance(5s);
  REQUIRE(refusal(service, get_session{other, {}}) == error_code::not_owner);
  const auto gone = ask(service, erase_user{own.tenant, "ada"});
  REQUIRE_FALSE(gone);
  CHECK(gone.failure().code == error_code::not_owner);
  CHECK(gone.failure().message.find("1 sessions of the user are left") == 0);
  CHECK(refusal(service, get_session{own, {}}) == error_code::not_found);
}

TEST_CASE("who is taken out while a repeated request is looked up is told no more of it") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  REQUIRE(ask(service, set_participant{session, "bob", participant_role::writer}));
  auto said = append_of(session, {message("by bob")}, idempotency{"k", "p"});
  said.as_user = "bob";
  REQUIRE(ask(service, said));
  start_turn wanted;
  wanted.session = session;
  wanted.as_user = "bob";
  wanted.repeat = idempotency{"t", "p"};
  const auto turn = ask(service, wanted);
  REQUIRE(turn);
  REQUIRE(ask(service, end_of(session, turn->turn.id)));
  passivate(service);
  REQUIRE(ask(service, append_of(session, {message("x")}, idempotency{"other", "p"}))); // so that it knows its keys
  service.pool.reads_at_once = false;
  const auto again = begin(service, said);
  const auto turn_again = begin(service, wanted);
  CHECK_FALSE(*again);
  CHECK_FALSE(*turn_again);
  REQUIRE(ask(service, set_participant{session, "bob", std::nullopt}));
  service.heal();
  REQUIRE(*again);
  REQUIRE(*turn_again);
  CHECK(code_of(again) == error_code::not_found);
  CHECK(code_of(turn_again) == error_code::not_found);
}
