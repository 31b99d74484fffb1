// What is done as time passes: what is overdue, what is old, what nobody asks for any more.
#include "tests/actors/sweeper_fixture.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <vector>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

using fixture = sweeper_fixture;

// --- what is overdue -------------------------------------------------------------------------------------------------

TEST_CASE("overdue sessions are marked, but those in memory are told to expire themselves") {
  fixture test;
  const auto asleep = test.table.add(test.now() + 7s).key;
  auto& awake = test.table.add(test.now() + 7s);
  awake.is_resident = true;
  const auto later = test.table.add(test.now() + 20s).key;
  test.start();
  test.own();
  test.steps.advance(6s);
  CHECK(test.table.marked() == 0);
  test.steps.advance(5s);
  CHECK(test.table.rows.at(asleep).is_marked);
  CHECK(test.table.marked() == 1);
  CHECK(test.directory.told_to_expire == std::unordered_set{awake.key});
  test.steps.advance(15s);
  CHECK(test.table.rows.at(later).is_marked);
}

TEST_CASE("nothing is swept before this process owns something, nor what is another's, nor after it has lost it") {
  fixture test;
  test.table.add(test.now() - 1s, 100);
  test.table.add(test.now() - 1s, 600);
  test.start();
  test.steps.advance(10s);
  CHECK(test.pool.seen.empty());
  const auto process = test.own();
  test.steps.advance(6s);
  CHECK(test.table.marked() == 1);
  test.lose(process_id::make()); // of another
  test.table.add(test.now() - 1s, 101);
  test.steps.advance(6s);
  CHECK(test.table.marked() == 2);
  test.lose(process);
  const auto asked = test.pool.seen.size();
  test.table.add(test.now() - 1s, 102);
  test.steps.advance(60s);
  CHECK(test.pool.seen.size() == asked);
  test.own();
  test.steps.advance(1s);
  CHECK(test.table.marked() == 3);
}

TEST_CASE("what is lost in the middle of a sweep is not marked any more") {
  for (const char* where : {"overdue", "mark"}) {
    fixture test;
    test.table.add(test.now() - 1s);
    test.pool.holding = named(where);
    test.start();
    const auto process = test.own();
    test.steps.advance(1s);
    REQUIRE(test.pool.count_held(where) == 1);
    test.lose(process);
    test.table.owner = {};
    const auto marks = test.pool.count("mark");
    test.pool.answer_held(where);
    test.steps.advance(10s);
    CHECK(test.table.marked() == 0);
    CHECK(test.pool.count("mark") == marks);
    test.pool.holding = none_held;
    test.own();
    test.steps.advance(1s);
    CHECK(test.table.marked() == 1);
  }
}

TEST_CASE("many overdue sessions are marked one page after the other, without waiting for the next sweep") {
  fixture test;
  for (int i = 0; i < 1700; ++i)
    test.table.add(test.now() - 1s);
  test.start();
  test.own();
  test.steps.advance(300ms);
  CHECK(test.table.marked() == 1700);
  CHECK(test.pool.count("mark") == 4);
  for (const auto& what : test.pool.seen)
    if (what.name == "mark")
      CHECK(std::any_cast<const marking&>(what.request).sessions.size() <= 500);
}

TEST_CASE("sessions in memory that stay overdue do not hide the others, and are not asked about all the time") {
  fixture test;
  for (int i = 0; i < 1200; ++i)
    test.table.add(test.now() - 2s).is_resident = true;
  for (int i = 0; i < 30; ++i)
    test.table.add(test.now() - 1s);
  test.start();
  test.own();
  test.steps.advance(20s);
  CHECK(test.table.marked() == 30);
  CHECK(test.directory.told_to_expire.size() == 1200);
  CHECK(test.directory.calls <= 8);
}

TEST_CASE("a session that cannot be marked harms no other") {
  fixture test;
  for (int i = 0; i < 300; ++i)
    test.table.add(test.now() - 1s).cannot_be_marked = i % 100 == 50;
  test.start();
  test.own();
  test.steps.advance(300ms);
  CHECK(test.table.marked() == 297);
  const auto tries = test.pool.count("mark");
  CHECK(tries <= 120);
  test.steps.advance(60s);
  CHECK(test.pool.count("mark") - tries <= 12 * 5); // the three, found by halves each time
}

TEST_CASE("a sweep that fails or is not answered is followed by the next one") {
  for (const char* where : {"overdue", "mark"}) {
    fixture test;
    for (int i = 0; i < 8; ++i)
      test.table.add(test.now() - 1s);
    test.pool.failing = failing(where, db::failure_kind::wait);
    test.start();
    test.own();
    test.steps.advance(30s);
    CHECK(test.table.marked() == 0);
    CHECK(test.pool.count(where) <= 7);
    test.pool.failing = none_fail;
    test.pool.holding = named(where);
    test.steps.advance(20s);
    CHECK(test.pool.count_held(where) == 1);
    test.pool.holding = none_held;
    test.steps.advance(30s);
    CHECK(test.table.marked() == 8);
  }
}

TEST_CASE("a directory that is gone ends no sweep for good") {
  fixture test;
  test.table.add(test.now() - 1s);
  test.table.add(test.now() - 24h * 40).is_marked = true;
  test.start();
  caf::anon_send_exit(test.doorkeeper, caf::exit_reason::kill);
  test.own();
  test.steps.advance(30s);
  CHECK(test.pool.count("overdue") == 6);
  CHECK(test.pool.count("old") == 6);
  CHECK(test.table.marked() == 1);
}

// --- what expired long ago -------------------------------------------------------------------------------------------

TEST_CASE("sessions that expired long enough ago are erased by the directory, at most twenty at once") {
  fixture test;
  test.options.expired_retention = 1h;
  for (int i = 0; i < 1100; ++i)
    test.table.add(test.now() - 61min).is_marked = true;
  const auto younger = test.table.add(test.now() - 55min).key;
  test.table.rows.at(younger).is_marked = true;
  const auto unmarked = test.table.add(test.now() + 24h).key;
  test.start();
  test.own();
  test.steps.advance(8s); // 1,100 of 100 ms each, 20 at once: 5.5 s
  CHECK(test.directory.most == 20);
  CHECK(test.table.rows.size() == 2);
  CHECK(test.directory.asked == 1100);
  test.steps.advance(5min);
  CHECK(test.table.rows.size() == 1);
  CHECK(test.table.rows.contains(unmarked));
}

TEST_CASE("without a time to keep them, expired sessions stay") {
  fixture test;
  test.options.expired_retention.reset();
  test.table.add(test.now() - 24h * 1000).is_marked = true;
  test.start();
  test.own();
  test.steps.advance(1min);
  CHECK(test.table.rows.size() == 1);
}

TEST_CASE("sessions that cannot be erased do not hide the others, and are not tried all the time") {
  fixture test;
  test.options.expired_retention = 1h;
  for (int i = 0; i < 1200; ++i) {
    auto& each = test.table.add(test.now() - 3h);
    each.is_marked = each.cannot_be_erased = true;
  }
  for (int i = 0; i < 10; ++i)
    test.table.add(test.now() - 2h).is_marked = true;
  test.start();
  test.own();
  test.steps.advance(40s, 100ms);
  CHECK(test.table.rows.size() == 1200);
  CHECK(test.directory.most == 20);
  const auto asked = test.directory.asked;
  test.steps.advance(40s, 100ms);
  CHECK(test.directory.asked - asked <= 5 * 1200);
}

// --- what nobody asks for any more -----------------------------------------------------------------------------------

TEST_CASE("keys and processes that nobody asks for any more are forgotten each hour, all that there are") {
  fixture test;
  test.options.forget_rows = 100;
  test.table.keys = 250;
  test.start();
  test.own();
  test.steps.advance(1s, 250ms);
  CHECK(test.pool.count("forget_keys") == 3);
  CHECK(test.pool.count("forget_processes") == 1);
  CHECK(test.table.keys == 0);
  CHECK(test.table.forgotten_before <= test.now() - 25h);
  CHECK(test.table.forgotten_before >= test.now() - 25h - 1s);
  CHECK(test.table.processes_before <= test.now() - 48h);
  CHECK(test.table.processes_before >= test.now() - 48h - 1s);
  test.steps.advance(58min, 1s);
  CHECK(test.pool.count("forget_processes") == 1);
  test.steps.advance(2min, 1s);
  CHECK(test.pool.count("forget_processes") == 2);
}

TEST_CASE("forgetting that fails is tried again soon, not at once") {
  fixture test;
  test.pool.failing = failing("forget_keys", db::failure_kind::fault);
  test.start();
  test.own();
  test.steps.advance(5min, 250ms);
  CHECK(test.pool.count("forget_keys") >= 4);
  CHECK(test.pool.count("forget_keys") <= 6);
}

TEST_CASE("every unit of the sweeper has a deadline") {
  fixture test;
  test.table.add(test.now() - 1s);
  test.table.add_erasure(2);
  test.start();
  test.own();
  test.steps.advance(6s);
  CHECK(test.pool.seen.size() > 6);
  for (const auto& what : test.pool.seen) {
    CHECK(what.deadline > what.at);
    CHECK(what.deadline - what.at <= 30s);
  }
}
