// Erasing against a real server: everything goes but for what a fork still shows, and that goes with the last fork.
#include "db/erasure.hpp"
#include "tests/db/session_store.hpp"

#include <future>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

/// A log with what its session has beside it.
struct conversation {
  log_maker log;
  bool is_fork = false;
  const session_key& key() const { return log.key(); }
};

conversation make(session_store& store, std::size_t messages) {
  conversation made{log_maker(new_key())};
  store.commit({making(made.key()), made.log.messages(messages)});
  return made;
}

conversation fork(session_store& store, const conversation& from, event_offset at, std::size_t messages) {
  const auto point =
      decode_fork_point(store.run(find_fork_point(session_store::source_of(from.key(), from.is_fork), at)));
  REQUIRE(point);
  auto record = record_of(new_key());
  record.parent = from.key().id;
  record.fork_offset = at;
  auto write = making(record);
  write->parent = *point;
  conversation made{log_maker(record.key, at + 1, point->messages), true};
  store.commit({write, made.log.messages(messages)});
  return made;
}

void hide(session_store& store, const session_key& key) {
  auto write = write_to(key);
  write->erases = true;
  store.commit({write});
}

erased erase(session_store& store, const session_key& key, int* steps = nullptr) {
  for (int i = 1; i < 1000; ++i) {
    const auto step = decode_erasure(store.run(erase_step(key)));
    REQUIRE(step);
    if (step->is_done) {
      if (steps)
        *steps = i;
      return step->so_far;
    }
  }
  FAIL("it does not end");
  return {};
}

erased erase_all(session_store& store, const session_key& key) {
  hide(store, key);
  return erase(store, key);
}

std::string read(session_store& store, const conversation& what) {
  return store.read_log(session_store::source_of(what.key(), what.is_fork));
}

/// Rows of whatever a session can leave behind.
std::string left(session_store& store) {
  std::string out;
  for (const auto* table : {"sessions", "events", "turns", "logs", "participants", "idempotency_keys", "erasures"})
    out += store.count(table) + " ";
  return out;
}
const std::string nothing = "0 0 0 0 0 0 0 ";

void roll_back(session_store& store, const session_key& key, turn_row turn, event_offset first, std::int64_t messages) {
  turn.status = turn_status::rolled_back;
  turn.ended_at = turn.started_at;
  turn.first_offset = first;
  turn.messages = messages;
  auto write = write_to(key);
  write->turns = {turn};
  store.commit({write});
}

} // namespace

TEST_CASE("an erased session leaves nothing behind, and the erasure tells what it took") {
  session_store store;
  const auto other = make(store, 3);
  log_maker log(new_key());
  auto write = making(log.key());
  write->key = remembered_key{"create", "k", "print"};
  write->participants = {{"bob", participant_role::reader}, {"eve", participant_role::writer}};
  auto append = log.messages(5);
  append->key = remembered_key{"append", "k", "print"};
  append->turns = {turn_of(1, turn_status::rolled_back), turn_of(2)};
  append->turns[0].first_offset = 2;
  store.commit({write, append});
  hide(store, log.key());
  const auto waiting = decode_erasures(store.run(read_erasures(10)));
  REQUIRE(waiting);
  REQUIRE(waiting->size() == 1);
  CHECK(waiting->at(0) == log.key());
  const auto gone = erase(store, log.key());
  CHECK(gone.sessions == 1);
  CHECK(gone.events == 5);
  CHECK(gone.turns == 2);
  CHECK(gone.idempotency_keys == 2);
  CHECK(gone.participants == 2);
  CHECK(gone.events_kept_for_forks == 0);
  CHECK(left(store) == "1 3 0 0 0 0 0 ");
  CHECK(read(store, other) == "0 1 2");
  const auto again = decode_erasure(store.run(erase_step(log.key())));
  REQUIRE_FALSE(again);
  CHECK(again.failure().code == error_code::not_found);
  CHECK(decode_erasures(store.run(read_erasures(10)))->empty());
}

TEST_CASE("erasing goes on in steps of bounded size, and each takes something") {
  session_store store;
  auto long_one = make(store, 1000);
  for (int i = 0; i < 13; ++i)
    store.commit({long_one.log.messages(1000)});
  int steps = 0;
  hide(store, long_one.key());
  const auto first = decode_erasure(store.run(erase_step(long_one.key())));
  REQUIRE(first);
  CHECK_FALSE(first->is_done);
  CHECK(first->so_far.events == erasure_step_rows);
  CHECK(store.count("events") == "9000");
  CHECK(erase(store, long_one.key(), &steps).events == 14'000);
  CHECK(steps == 2);
  CHECK(left(store) == nothing);
}

TEST_CASE("what a fork shows stays, and goes with the fork") {
  session_store store;
  auto root = make(store, 10);
  const auto branch = fork(store, root, 4, 2), shorter = fork(store, root, 2, 1);
  const auto gone = erase_all(store, root.key());
  CHECK(gone.events == 5);
  CHECK(gone.events_kept_for_forks == 5);
  CHECK(read(store, branch) == "0 1 2 3 4 5 6");
  CHECK(read(store, shorter) == "0 1 2 3");
  CHECK(left(store) == "2 8 0 3 0 0 0 ");
  // With the one that shows more goes what only it showed.
  CHECK(erase_all(store, branch.key()).events == 2 + 2);
  CHECK(read(store, shorter) == "0 1 2 3");
  CHECK(left(store) == "1 4 0 2 0 0 0 ");
  CHECK(erase_all(store, shorter.key()).events == 1 + 3);
  CHECK(left(store) == nothing);
}

TEST_CASE("a fork that goes takes nothing from a log that has its session") {
  session_store store;
  auto root = make(store, 5);
  auto branch = fork(store, root, 3, 2);
  CHECK(erase_all(store, branch.key()).events == 2);
  CHECK(read(store, root) == "0 1 2 3 4");
  CHECK(store.count("events") == "5");
  CHECK(erase_all(store, root.key()).events == 5);
  CHECK(left(store) == nothing);
}

TEST_CASE("with the last fork a whole chain of logs goes that have no session") {
  session_store store;
  std::vector<conversation> chain{make(store, 3)};
  for (int i = 0; i < 6; ++i)
    chain.push_back(fork(store, chain.back(), chain.back().log.next() - 1, 3));
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    const auto gone = erase_all(store, chain[i].key());
    CHECK(gone.events == 0);
    CHECK(gone.events_kept_for_forks == 3);
  }
  CHECK(read(store, chain.back()) == "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
  CHECK(erase_all(store, chain.back().key()).events == 21);
  CHECK(left(store) == nothing);
}

TEST_CASE("what is hidden stays hidden in a fork when its session is gone, and goes with the fork") {
  session_store store;
  auto root = make(store, 1);
  const auto inside = turn_of(1), behind = turn_of(2);
  store.commit({root.log.messages(2, inside.id), root.log.messages(2)});
  roll_back(store, root.key(), inside, 1, 2);
  const auto branch = fork(store, root, 4, 1);
  store.commit({root.log.messages(2, behind.id)});
  roll_back(store, root.key(), behind, 5, 2);
  const auto gone = erase_all(store, root.key());
  CHECK(gone.turns == 1);
  CHECK(gone.events == 4);
  CHECK(gone.events_kept_for_forks == 3);
  CHECK(store.count("events", "log_id = '" + root.key().id.to_string() + "'") == "3"); // nothing that nobody sees
  CHECK(read(store, branch) == "0 3 4 5");
  const auto hidden = [&] {
    return *decode_count(store.run(count_hidden(session_store::source_of(branch.key(), true), 5)));
  };
  CHECK(hidden() == 2);
  CHECK(erase_all(store, branch.key()).turns == 1);
  CHECK(left(store) == nothing);
}

TEST_CASE("siblings that are erased at once leave nothing of the log that they shared") {
  session_store store;
  for (int round = 0; round < 10; ++round) {
    auto root = make(store, 5);
    const auto one = fork(store, root, 3, 2), two = fork(store, root, 4, 1);
    erase_all(store, root.key());
    hide(store, one.key());
    hide(store, two.key());
    driven_connection second(target_of(store.database));
    REQUIRE(second.make_ready());
    std::uint64_t tag = 0;
    auto erasing = std::async(std::launch::async, [&] {
      for (int i = 0; i < 20; ++i) {
        second.submit(++tag, erase_step(two.key()).calls);
        const auto step = decode_erasure(second.outcome(tag));
        if (!step || step->is_done)
          return step.has_value();
      }
      return false;
    });
    erase(store, one.key());
    CHECK(erasing.get());
    CHECK(left(store) == nothing);
  }
}

TEST_CASE("of two steps of one erasure at once the second waits and goes on where the first ended") {
  session_store store;
  const auto what = make(store, 10);
  hide(store, what.key());
  test_connection first(store.database.service_conninfo());
  first.exec("BEGIN; SET LOCAL ROLE colloquy_system; SELECT erase_step('acme', '" + what.key().id.to_string() +
             "', 4)");
  auto second = std::async(std::launch::async, [&] { return decode_erasure(store.run(erase_step(what.key()))); });
  const auto blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = " +
                       std::to_string(store.connection.link().backend_pid());
  while (store.database.value(blocked) != "1") {
  }
  first.exec("COMMIT");
  const auto step = second.get();
  REQUIRE(step);
  CHECK(step->is_done);
  CHECK(step->so_far.events == 10);
}

TEST_CASE("a fork that is made while its place is being erased is made whole or not at all") {
  session_store store;
  const auto make_fork_write = [](const conversation& root) {
    auto record = record_of(new_key());
    record.parent = root.key().id;
    record.fork_offset = 3;
    auto write = making(record);
    write->parent = log_parent{log_id{root.key().id.bytes}, 3, 4};
    return write;
  };
  const auto waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = " +
                     std::to_string(store.connection.link().backend_pid());
  SECTION("the erasure first") {
    const auto root = make(store, 5);
    hide(store, root.key());
    test_connection erasing(store.database.service_conninfo());
    erasing.exec("BEGIN; SET LOCAL ROLE colloquy_system; SELECT erase_step('acme', '" + root.key().id.to_string() +
                 "', 100)");
    const auto write = make_fork_write(root);
    auto forking = std::async(std::launch::async, [&] { return store.try_commit({write}); });
    while (store.database.value(waits) != "1") {
    }
    erasing.exec("COMMIT");
    const auto outcome = forking.get();
    REQUIRE(outcome.failure);
    CHECK(outcome.failure->kind == failure_kind::data);
    CHECK(left(store) == nothing);
  }
  SECTION("the fork first") {
    const auto root = make(store, 5);
    const auto write = make_fork_write(root);
    hide(store, root.key());
    test_connection forking(store.database.service_conninfo());
    forking.exec("BEGIN; SET LOCAL ROLE colloquy_service; SELECT set_config('colloquy.tenants', 'acme', true);"
                 "INSERT INTO sessions (tenant_id, id, log_id, user_id) VALUES ('acme', '" +
                 write->session.id.to_string() + "', '" + write->session.id.to_string() +
                 "', 'ada'); SELECT add_forks('{acme}', '{" + write->session.id.to_string() + "}', '{" +
                 write->session.id.to_string() + "}', '{" + root.key().id.to_string() + "}', '{3}', '{4}')");
    auto erasing = std::async(std::launch::async, [&] { return decode_erasure(store.run(erase_step(root.key()))); });
    while (store.database.value(waits) != "1") {
    }
    forking.exec("COMMIT");
    const auto step = erasing.get();
    REQUIRE(step);
    CHECK(step->is_done);
    CHECK(step->so_far.events_kept_for_forks == 4);
    CHECK(store.read_log(session_store::source_of(write->session, true)) == "0 1 2 3");
  }
}

TEST_CASE("of a user goes the part in the sessions of others and the name on what was written there") {
  session_store store;
  const auto one = new_key(), theirs = new_key("other");
  std::vector<session_write_ptr> writes;
  for (const auto& key : {one, theirs}) {
    log_maker log(key);
    auto write = making(key);
    write->participants = {{"bob", participant_role::writer}, {"eve", participant_role::reader}};
    std::vector<event> events;
    for (const auto* author : {"bob", "eve", "", "bob"}) {
      events.push_back(log.make(event_kind::message, "said"));
      events.back().author = author;
    }
    write->events = std::make_shared<const std::vector<event>>(events);
    writes.push_back(write);
  }
  store.commit(writes);
  const auto step = [&] {
    const auto done = decode_user_step(store.run(erase_user_step(one.tenant, "bob")));
    REQUIRE(done);
    return std::pair(done->participants, done->events);
  };
  CHECK(step() == std::pair<std::int64_t, std::int64_t>{1, 2});
  CHECK(step() == std::pair<std::int64_t, std::int64_t>{0, 0});
  CHECK(store.read_log(one) == "said said said said");
  CHECK(store.read(one).participants.size() == 1);
  CHECK(store.count("events", "author = 'bob' AND tenant_id = 'other'") == "2");
  CHECK(store.count("events", "author = 'eve'") == "2");
  CHECK(store.read(theirs).participants.size() == 2);
}

TEST_CASE("erasing is the system's, and hides what it erases from itself") {
  const auto database = test_database::make();
  test_connection connection(database.service_conninfo());
  const std::string step = "SELECT * FROM erase_step('acme', gen_random_uuid(), 10)";
  CHECK(connection.sqlstate_of(step) == "42501");
  connection.exec("SET ROLE colloquy_service");
  for (const std::string sql : {step.c_str(), "DELETE FROM events", "DELETE FROM turns", "DELETE FROM logs",
                                "SELECT * FROM erasures", "DELETE FROM erasures", "UPDATE events SET author = 'x'"})
    CHECK(connection.sqlstate_of(sql) == "42501");
  connection.exec("SET ROLE colloquy_system");
  for (const std::string sql :
       {"SELECT data FROM events", "UPDATE events SET data = '1'", "SELECT title FROM sessions", "DELETE FROM sessions",
        "SELECT fingerprint FROM idempotency_keys", "SELECT trace_id FROM turns", "UPDATE turns SET status = 'lost'",
        "INSERT INTO participants VALUES ('a', gen_random_uuid(), 'b', 'reader')"})
    CHECK(connection.sqlstate_of(sql) == "42501");
}
