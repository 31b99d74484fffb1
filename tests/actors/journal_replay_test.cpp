// A journal is replayed: what the processes before this one accepted is in the log, or in the quarantine.
#include "tests/actors/replay_fixture.hpp"
#include "tests/db/journal_fixture.hpp"

#include <algorithm>
#include <map>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Accepted, and in the journal; the database has it only if it answers.
void accept(journaled_service& on, const session_key& session, const std::string& data) {
  REQUIRE(ask(on.service, append_of(session, {message(data)})));
}

/// A process that has a session, and has come to rest.
session_key process_with_session(journaled_service& on,
                                 std::optional<std::chrono::seconds> lives = std::chrono::hours{24}) {
  on.start(short_idle());
  REQUIRE(on.replay());
  auto request = creation();
  request.expires_in = lives;
  const auto session = ask(on.service, request).value().key;
  on.service.steps.advance(3s); // its records are forgotten
  return session;
}

} // namespace

TEST_CASE("what was accepted and not durable is durable when a replay is over", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "a");
  accept(on, session, "b");
  on.die();
  REQUIRE(on.service.stored(session).empty());
  on.start();
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->written_again == 2);
  CHECK(outcome->quarantined == 0);
  CHECK(on.service.stored(session) == texts{"a", "b"});
  CHECK(on.status().records == 0);
}

TEST_CASE("nothing is swept before the journal is replayed", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on, 60s);
  on.service.pool.answers_at_once = false;
  accept(on, session, "accepted");
  on.die();
  on.service.steps.advance(120s, 5s); // it is overdue when the next process begins
  on.start(short_idle());
  on.service.steps.advance(30s, 1s);
  CHECK(on.service.stored(session).empty());
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->written_again == 1);
  CHECK(outcome->quarantined == 0);
  on.service.steps.advance(30s, 1s);
  CHECK(on.service.stored(session) == texts{"accepted", R"({"status":"expired"})"});
}

TEST_CASE("a journal that is nearly full loses nothing to a second death", "[journal][replay]") {
  actors::journal_options small;
  small.bytes_max = 20'000;
  journaled_service on(small);
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  texts accepted;
  while (on.status().bytes < 16'000) {
    accepted.push_back(std::to_string(accepted.size()) + std::string(1500, 'x'));
    accept(on, session, accepted.back());
  }
  on.die();
  on.start();
  on.service.pool.answers_at_once = false;
  on.begin_replay(60s);
  on.service.steps.advance(2s);
  on.die(); // before anything of it was durable
  on.start();
  REQUIRE(on.replay());
  CHECK(on.service.stored(session) == accepted);
  CHECK(on.status().records == 0);
}

TEST_CASE("a death between the end of a session and that of its records leaves no trace of it", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  const auto other = ask(on.service, creation()).value().key;
  on.service.pool.answers_at_once = false;
  accept(on, session, "word-secret");
  accept(on, other, "kept");
  on.die();
  // The erasure was durable, and what of it was left in the database may be gone, too; the journal had no time.
  auto& tables = on.service.database->tables();
  const bool is_begun = GENERATE(true, false);
  if (is_begun) {
    auto& row = tables.erasures[session.id.bytes];
    row.tenant = session.tenant.text();
    row.log = session.id.bytes;
  }
  tables.sessions.erase(session.id.bytes);
  on.start();
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->erased == (is_begun ? 1 : 0));
  CHECK(outcome->quarantined == (is_begun ? 0 : 1)); // nobody knows of an erasure
  CHECK(on.service.stored(other) == texts{"kept"});
  CHECK(files_with(on.folder.path(), "word-secret").empty() == is_begun);
}

TEST_CASE("an erasure that was accepted is carried out by the next process", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "word-secret");
  begin(on.service, erase_session{session});
  on.die();
  on.start();
  REQUIRE(on.replay());
  CHECK(refusal(on.service, get_session{session, {}}) == error_code::not_found);
  on.service.steps.advance(30s, 1s);
  CHECK(on.service.database->tables().sessions.empty());
  CHECK(on.service.stored(session).empty());
  CHECK(files_with(on.folder.path(), "word-secret").empty());
}

TEST_CASE("what a process wrote before it lost its sessions is not lost without a word", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "ours");
  // Another process takes over, goes on in the same log, and gives everything up again.
  on.service.database->take_over_shards();
  auto& tables = on.service.database->tables();
  const auto theirs = event_at(0, "theirs");
  columns rest(author + 1);
  rest[created_at] = db::encode_timestamp(theirs.created_at);
  rest[messages] = db::encode_int8(1);
  tables.logs[session.id.bytes].push_back({0, "message", theirs.data, rest, session.tenant.text()});
  for (auto& shard : tables.shards)
    shard = {};
  while (on.service.pool.answer_next(fault::lost_before))
    on.service.steps.run();
  on.service.pool.answers_at_once = true;
  on.service.steps.advance(30s, 250ms); // the same program goes on under another id
  on.die();
  on.start();
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->quarantined == 1);
  CHECK(on.service.stored(session) == texts{"theirs"});
  CHECK(on.status().quarantined == 1);
}

TEST_CASE("a session that cannot be woken goes to the quarantine, and the others are replayed", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  const auto other = ask(on.service, creation()).value().key;
  on.service.pool.answers_at_once = false;
  accept(on, session, "a");
  accept(on, other, "b");
  on.die();
  on.start();
  on.service.database->failures_of["read_session"].push_back({db::failure_kind::fault, "XX000", "damaged"});
  const auto outcome = on.replay();
  REQUIRE(outcome);
  CHECK(outcome->quarantined == 1);
  CHECK(outcome->written_again == 1);
  CHECK(on.service.stored(session).size() + on.service.stored(other).size() == 1);
}

TEST_CASE("a replay waits for a database that is away, then leaves all to the next start", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "accepted");
  on.die();
  on.start();
  auto& failures = on.service.database->failures_of["read_session"];
  failures.assign(3, {db::failure_kind::connection_lost, "", "away"});
  REQUIRE(on.replay());
  CHECK(on.service.stored(session) == texts{"accepted"});

  on.service.pool.answers_at_once = false;
  accept(on, session, "accepted, too");
  on.die();
  on.start();
  failures.assign(1000, {db::failure_kind::connection_lost, "", "away"});
  const auto outcome = on.replay();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.failure().code == error_code::database_unavailable);
  failures.clear();
  on.die();
  on.start();
  REQUIRE(on.replay());
  CHECK(on.service.stored(session) == texts{"accepted", "accepted, too"});
}

TEST_CASE("a process that cannot know that the last one is dead waits for its sessions", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "accepted");
  on.die();
  on.start({}, /*knows_of_death=*/false);
  const auto answer = on.begin_replay();
  on.service.steps.advance(5s);
  CHECK_FALSE(*answer);
  on.service.steps.advance(10s);
  REQUIRE(*answer);
  REQUIRE(**answer);
  CHECK((*answer)->value().quarantined == 0);
  CHECK(on.service.stored(session) == texts{"accepted"});
}

TEST_CASE("sessions that another process owns are not waited for without an end", "[journal][replay]") {
  journaled_service on;
  const auto session = process_with_session(on);
  on.service.pool.answers_at_once = false;
  accept(on, session, "accepted");
  on.die();
  on.service.database->take_over_shards();
  on.start({}, /*knows_of_death=*/false);
  const auto answer = on.begin_replay();
  on.service.steps.advance(5s);
  CHECK_FALSE(*answer);
  on.service.steps.advance(15s);
  REQUIRE(*answer);
  REQUIRE(**answer);
  CHECK((*answer)->value().quarantined == 1);
}
