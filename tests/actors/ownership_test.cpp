// Who owns which shards, as a process sees it.
#include "tests/actors/ownership_fixture.hpp"

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

using fixture = ownership_fixture;

TEST_CASE("a process alone takes every shard at once, and tells it once") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).owned.all());
  CHECK(owned_in(told[0]).newly.all());
  CHECK(test.table.count_of(owned_in(told[0]).process) == db::shard_count);
  test.steps.advance(60s);
  CHECK(told.size() == 1);
  CHECK(test.pool.count("renew") == 30);
  CHECK(test.pool.count("take") == 1); // there is nothing left to take
  const auto status = test.status(process);
  CHECK(status.process == owned_in(told[0]).process);
  CHECK(status.is_registered);
  CHECK(status.shards_owned == db::shard_count);
  CHECK(status.renewed_ago.value() <= 2s);
  CHECK_FALSE(status.failing_for);
}

TEST_CASE("a second process owns nothing beside a living first, and all of it within 15 s after that has stopped") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.advance(60s);
  REQUIRE(second.size() == 1); // so that it can answer for them that they are not its own
  CHECK(owned_in(second[0]).owned.none());
  test.stop_hard(process);
  test.steps.advance(15s);
  REQUIRE(second.size() == 2);
  CHECK(owned_in(second[1]).owned.all());
  CHECK(owned_in(second[1]).newly.all());
  CHECK(owned_in(second[1]).previous.at(7) == owned_in(first[0]).process);
}

TEST_CASE("shards of a process that has ended for certain are taken without waiting, of another only when it is due") {
  for (const bool is_certain : {true, false}) {
    fixture test;
    std::vector<told_message> first, second;
    const auto process = test.start_process(first, 1);
    test.steps.run();
    test.stop_hard(process);
    test.ended_pid = is_certain ? 1 : -1;
    test.start_process(second, 2);
    test.steps.run();
    REQUIRE(second.size() == 1);
    CHECK(owned_in(second[0]).owned.all() == is_certain);
    test.steps.advance(9s);
    CHECK(owned_in(second.back()).owned.all() == is_certain);
    test.steps.advance(4s);
    CHECK(owned_in(second.back()).owned.all());
  }
}

TEST_CASE("what takes the place of one that died in this process takes its shards at once") {
  fixture test;
  std::vector<told_message> first, second;
  const auto died = test.start_process(first, 1);
  test.steps.run();
  test.stop_hard(died);
  const auto former = owned_in(first.at(0)).process;
  test.start_process(second, 1, former);
  test.steps.run();
  REQUIRE(second.size() == 1);
  CHECK(owned_in(second[0]).owned.all());
  CHECK(owned_in(second[0]).previous.at(0) == former);
}

TEST_CASE("a process from which another has taken over says so, and goes on under a fresh process id") {
  fixture test;
  std::vector<told_message> told;
  test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  test.table.take_over_from(before);
  test.steps.advance(4s);
  REQUIRE(told.size() == 3);
  REQUIRE(std::holds_alternative<ownership_lost>(told[1]));
  CHECK(std::get<ownership_lost>(told[1]).process == before);
  CHECK(owned_in(told[2]).process != before);
  CHECK(owned_in(told[2]).newly.all()); // nobody else took them
  CHECK(owned_in(told[2]).previous.at(0) == before);
}

TEST_CASE("a process that has lost all to another says that it owns nothing under its fresh process id") {
  fixture test;
  std::vector<told_message> told;
  test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  test.table.take_over_from(before);
  test.table.give_to_another(db::shard_set().set());
  test.steps.advance(4s);
  REQUIRE(told.size() == 3);
  CHECK(std::holds_alternative<ownership_lost>(told[1]));
  CHECK(owned_in(told[2]).process != before);
  CHECK(owned_in(told[2]).owned.none());
}

TEST_CASE("of what it owns only what was just taken is called new") {
  fixture test;
  std::vector<told_message> told;
  const auto half = db::shard_set().set() >> 512;
  const auto other = test.table.give_to_another(half);
  test.start_process(told);
  test.steps.run();
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).owned == ~half);
  CHECK(owned_in(told[0]).newly == ~half);
  test.table.take_over_from(other);
  test.steps.advance(2s);
  REQUIRE(told.size() == 2);
  CHECK(owned_in(told[1]).owned.all());
  CHECK(owned_in(told[1]).newly == half);
  CHECK(owned_in(told[1]).previous.at(3) == other);
}

TEST_CASE("while nothing can be taken it says that it owns nothing, and takes it when it can") {
  fixture test;
  std::vector<told_message> told;
  test.pool.failing = [](const told_pool::asked& what) {
    return what.name == "take" ? std::optional(db::failure_kind::fault) : std::nullopt;
  };
  const auto process = test.start_process(told);
  test.steps.advance(5s);
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).owned.none());
  CHECK_FALSE(test.status(process).failing_for); // it is renewed
  CHECK_FALSE(test.status(process).problem.empty());
  test.pool.failing = none_away;
  test.steps.advance(2s);
  REQUIRE(told.size() == 2);
  CHECK(owned_in(told[1]).newly.all());
  CHECK(test.status(process).problem.empty());
}

TEST_CASE("a fenced writer makes it look at once, unless it wrote for an older process id") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  caf::anon_send(process, writer_fenced{process_id::make()});
  test.steps.run();
  CHECK(test.pool.count("renew") == 0);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  CHECK(test.pool.count("renew") == 1);
  CHECK(told.size() == 1); // it is owned still
  test.table.take_over_from(before);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  CHECK(told.size() == 3);
}

TEST_CASE("what is fenced while a renewal is under way is looked at behind it, one renewal at a time") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  test.pool.holding = held("renew");
  for (int i = 0; i < 5; ++i)
    caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  REQUIRE(test.pool.count_held("renew") == 1);
  test.pool.answer_held("renew"); // read before it was taken over
  test.table.take_over_from(before);
  test.pool.holding = none_held;
  test.steps.run();
  CHECK(test.pool.count("renew") == 2);
  CHECK(told.size() == 3);
}

TEST_CASE("while the database is away nothing is given up, it is tried every 2 s, and known since when") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.advance(3s);
  test.pool.failing = all_away;
  const auto tried = test.pool.count("renew");
  test.steps.advance(60s);
  CHECK(test.pool.count("renew") - tried == 30);
  CHECK(told.size() == 1);
  auto status = test.status(process);
  CHECK(status.shards_owned == db::shard_count);
  CHECK(status.failing_for.value() >= 57s);
  CHECK(status.failing_for.value() <= 60s);
  CHECK(status.renewed_ago.value() > 59s);
  CHECK_FALSE(status.problem.empty());
  test.pool.failing = none_away;
  test.steps.advance(2s);
  status = test.status(process);
  CHECK_FALSE(status.failing_for);
  CHECK(status.problem.empty());
  CHECK(told.size() == 1);
}

TEST_CASE("renewals that nobody answers end at their deadline, and the next begins at once") {
  fixture test;
  std::vector<told_message> told;
  test.start_process(told);
  test.steps.run();
  test.pool.holding = held("renew");
  std::size_t most = 0;
  for (int i = 0; i < 200; ++i) {
    test.steps.advance(100ms);
    most = std::max(most, test.pool.count_held("renew"));
  }
  CHECK(most == 1);
  CHECK(test.pool.count("renew") == 5); // from the 2nd, 6th, 10th, 14th and 18th second on
  test.pool.holding = none_held;
  test.steps.advance(4s);
  CHECK(told.size() == 1);
}

TEST_CASE("a pool that is gone is no reason to give anything up") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.end();
  test.steps.advance(30s);
  CHECK(told.size() == 1);
  CHECK(test.status(process).failing_for);
}

TEST_CASE("a registration whose answer is lost is tried under another process id") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("enter");
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = test.status(process).process;
  test.pool.lose_answer("enter");
  test.pool.holding = none_held;
  test.steps.advance(2s);
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).process != before);
  CHECK(owned_in(told[0]).owned.all());
  CHECK(test.table.rows.size() == 2);
}

TEST_CASE("shards that were taken and the answer lost are told with the next renewal") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  test.start_process(told);
  test.steps.run();
  test.pool.lose_answer("take");
  test.steps.run();
  CHECK(told.empty());
  test.steps.advance(2s);
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).newly.all());
  CHECK(owned_in(told[0]).previous.empty());
}

TEST_CASE("what it owns follows the database, also where nobody told it") {
  fixture test;
  std::vector<told_message> told;
  const auto half = db::shard_set().set() >> 512;
  test.start_process(told);
  test.steps.run();
  const auto own = owned_in(told.at(0)).process;
  test.table.give_to_another(half);
  test.steps.advance(2s);
  REQUIRE(told.size() == 2);
  CHECK(owned_in(told[1]).process == own);
  CHECK(owned_in(told[1]).owned == ~half);
  CHECK(owned_in(told[1]).newly.none());
}

TEST_CASE("a renewal that was answered before a taking, and comes behind it, takes nothing away") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.run();
  test.stop_hard(process);
  test.steps.advance(11900ms);
  REQUIRE(second.size() == 1);
  const bool taken_in_between = GENERATE(true, false);
  test.pool.holding = [](const auto& what) { return what.name == "renew" || what.name == "take"; };
  test.steps.advance(2s);
  if (test.pool.count_held("take") == 0 && test.pool.count_held("renew") == 1)
    test.pool.answer_held("renew");
  test.steps.advance(2s);
  REQUIRE(test.pool.count_held("take") == 1);
  REQUIRE(test.pool.count_held("renew") == 1);
  const auto answer_renewal = test.pool.answer_late("renew");
  if (taken_in_between)
    test.pool.answer_held("take");
  test.steps.run();
  answer_renewal();
  test.steps.run();
  CHECK(second.size() == (taken_in_between ? 2u : 1u));
  test.pool.holding = none_held;
  test.steps.advance(6s);
  CHECK(owned_in(second.back()).owned.all() == taken_in_between);
  CHECK(second.size() == (taken_in_between ? 2u : 1u));
}

TEST_CASE("an answer that comes for an older process id is ignored, and only then the next taking begins") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = test.status(process).process;
  test.table.take_over_from(before);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  const auto after = test.status(process).process;
  REQUIRE(after != before);
  CHECK(test.status(process).is_registered);
  CHECK(test.pool.count("take") == 1); // two takers in one process there never are
  REQUIRE(told.size() == 1);
  const auto answer = test.pool.answer_late("take"); // all of them, for the older process id
  test.table.take_over_from(before);
  test.pool.holding = none_held;
  answer();
  test.steps.run();
  REQUIRE(told.size() == 2);
  CHECK(owned_in(told[1]).process == after);
  CHECK(owned_in(told[1]).owned.all());
  CHECK(owned_in(told[1]).previous.at(0) == before);
}

TEST_CASE("every unit of ownership has a deadline, and a taking is never run twice by itself") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.advance(5s);
  test.ask_to_give_up(process);
  test.steps.run();
  for (const auto& what : test.pool.seen) {
    CAPTURE(what.name);
    CHECK(what.deadline - what.at <= 10s);
    CHECK(what.deadline > what.at);
    CHECK(what.idempotent == (what.name != "take" && what.name != "enter"));
  }
}
