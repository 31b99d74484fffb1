// Erasures: their steps, those who wait for them, and what somebody else began.
#include "tests/actors/sweeper_fixture.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <vector>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

using fixture = sweeper_fixture;

TEST_CASE("an erasure takes as many steps as it needs, and tells what all of them took away") {
  fixture test;
  test.start();
  const auto session = test.table.add_erasure(7);
  auto answer = test.erase(session);
  test.steps.run();
  REQUIRE(has_value(answer));
  CHECK((*answer)->value().sessions == 1);
  CHECK((*answer)->value().events == 35'000);
  CHECK(test.pool.count("step") == 7);
  CHECK(test.table.left.empty());
}

TEST_CASE("a short erasure is not kept waiting by long ones, of which four have a step under way") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  std::vector<pending_answer<erased>> long_ones;
  for (int i = 0; i < 8; ++i)
    long_ones.push_back(test.erase(test.table.add_erasure(1000)));
  test.steps.run();
  CHECK(test.pool.count_held("step") == 4);
  test.end_steps(10);
  auto short_one = test.erase(test.table.add_erasure(2));
  test.steps.run();
  for (int i = 0; i < 40; ++i) {
    test.end_steps(1);
    CHECK(test.pool.count_held("step") <= 4);
    if (has_value(short_one)) {
      CHECK(i <= 7);
      break;
    }
  }
  CHECK(has_value(short_one));
  test.end_steps(100);
  int least = 1000, most = 0;
  for (const auto& [session, steps] : test.table.done)
    if (test.table.left.contains(session)) {
      least = std::min(least, steps);
      most = std::max(most, steps);
    }
  CHECK(most - least <= 1);
}

TEST_CASE("an asker is answered at its deadline while the erasure goes on to its end") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  test.own();
  const auto session = test.table.add_erasure(3);
  auto answer = test.erase(session, 10s);
  test.steps.advance(9900ms);
  CHECK_FALSE(*answer);
  test.steps.advance(400ms);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
  test.pool.holding = none_held;
  test.end_steps(1);
  CHECK(test.table.left.empty());
}

TEST_CASE("a step that fails is tried again after longer and longer, until it succeeds") {
  fixture test;
  test.start();
  const auto session = test.table.add_erasure(2);
  test.pool.failing = failing("step", db::failure_kind::wait);
  auto answer = test.erase(session, 10min);
  test.steps.advance(5min);
  std::vector<std::chrono::milliseconds> waits;
  const told_pool::asked* last = nullptr;
  for (const auto& what : test.pool.seen)
    if (what.name == "step") {
      if (last)
        waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(what.at - last->at));
      last = &what;
    }
  REQUIRE(waits.size() >= 9);
  CHECK(waits.size() <= 12);
  CHECK(waits.front() <= 1s);
  CHECK(std::is_sorted(waits.begin(), waits.end()));
  CHECK(waits.back() <= 61s);
  CHECK(waits.back() >= 60s);
  test.pool.failing = none_fail;
  test.steps.advance(61s);
  REQUIRE(has_value(answer));
  CHECK((*answer)->value().events == 10'000);
}

TEST_CASE("once a step has succeeded, the next failure is tried again soon") {
  fixture test;
  test.start();
  const auto session = test.table.add_erasure(2);
  test.pool.failing = failing("step", db::failure_kind::wait);
  auto answer = test.erase(session, 10min);
  test.steps.advance(3min);
  test.pool.failing = none_fail;
  test.pool.holding = named("step");
  for (int i = 0; i < 61 && test.pool.held.empty(); ++i)
    test.steps.advance(1s);
  REQUIRE(test.pool.count_held("step") == 1);
  test.end_steps(1);
  REQUIRE(test.pool.count_held("step") == 1);
  test.pool.fail_held("step", db::failure_kind::wait);
  test.pool.holding = none_held;
  test.steps.advance(1s);
  CHECK(has_value(answer));
}

TEST_CASE("who asks again for an erasure that waits after a failure need not wait as long") {
  fixture test;
  test.start();
  const auto session = test.table.add_erasure(1);
  test.pool.failing = failing("step", db::failure_kind::wait);
  auto first = test.erase(session, 1min);
  test.steps.advance(3min);
  CHECK((*first)->failure().code == error_code::deadline_exceeded);
  test.pool.failing = none_fail;
  auto second = test.erase(session);
  test.steps.run();
  CHECK(has_value(second));
}

TEST_CASE("an erasure that the database refuses is told at once, tried again now and then, and harms no other") {
  fixture test;
  test.start();
  test.own();
  const auto refused = test.table.add_erasure(1), other = test.table.add_erasure(3);
  test.table.unerasable.insert(refused);
  auto answer = test.erase(refused), another = test.erase(other);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::internal);
  CHECK(has_value(another));
  const auto tries = test.pool.count("step");
  test.steps.advance(10min);
  CHECK(test.pool.count("step") - tries >= 9);
  CHECK(test.pool.count("step") - tries <= 10);
  test.table.unerasable.clear();
  test.steps.advance(61s);
  CHECK(test.table.left.empty());
}

TEST_CASE("a last step whose answer is lost counts as done; that there is nothing to erase is told") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  const auto session = test.table.add_erasure(2);
  auto answer = test.erase(session);
  test.end_steps(1);
  test.pool.lose_answer("step");
  test.pool.holding = none_held;
  test.steps.advance(2s);
  REQUIRE(has_value(answer));
  CHECK((*answer)->value().sessions == 1);
  auto none = test.erase(session);
  test.steps.run();
  REQUIRE(*none);
  CHECK((*none)->failure().code == error_code::not_found);
}

TEST_CASE("an only step whose answer is lost counts as done, one that was never made does not") {
  for (const bool is_lost : {true, false}) {
    fixture test;
    test.pool.holding = named("step");
    test.start();
    const auto session = is_lost ? test.table.add_erasure(1) : key_of(1);
    auto answer = test.erase(session);
    test.steps.run();
    if (is_lost)
      test.pool.lose_answer("step");
    else
      test.pool.fail_held("step", db::failure_kind::wait);
    test.pool.holding = none_held;
    test.steps.advance(2s);
    REQUIRE(*answer);
    CHECK(has_value(answer) == is_lost);
    if (is_lost)
      CHECK((*answer)->value().sessions == 1);
    else
      CHECK((*answer)->failure().code == error_code::not_found);
  }
}

TEST_CASE("several who ask for the erasure of one session are all answered by one erasure") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  const auto session = test.table.add_erasure(2);
  std::vector<pending_answer<erased>> answers;
  for (int i = 0; i < 5; ++i)
    answers.push_back(test.erase(session));
  test.steps.run();
  CHECK(test.pool.count_held("step") == 1);
  test.end_steps(2);
  for (const auto& answer : answers)
    CHECK(has_value(answer));
  CHECK(test.pool.count("step") == 2);
}

TEST_CASE("erasures that somebody began are gone on with, if this process owns them") {
  fixture test;
  std::vector<session_key> foreign;
  for (int i = 0; i < 20; ++i) {
    test.table.add_erasure(3, 5);
    foreign.push_back(test.table.add_erasure(3, 700));
  }
  test.start();
  test.own();
  test.steps.advance(1s);
  CHECK(test.table.left.size() == foreign.size());
  for (const auto& session : foreign)
    CHECK(test.table.left.at(session) == 3);
}

TEST_CASE("erasures of other processes do not hide those of this one") {
  fixture test;
  for (int i = 0; i < 3000; ++i)
    test.table.add_erasure(1, i % 100 == 0 ? 5 : 700);
  test.start();
  test.own();
  test.steps.advance(1min);
  CHECK(test.table.left.size() == 2970);
}

TEST_CASE("a begun erasure that is lost to another process is not gone on with, and a late answer is nobody's") {
  fixture test;
  test.table.add_erasure(1000);
  test.pool.holding = named("step");
  test.start();
  const auto process = test.own();
  test.steps.advance(1s);
  REQUIRE(test.pool.count_held("step") == 1);
  const auto session = test.table.left.begin()->first;
  test.lose(process);
  auto answer = test.erase(session); // another erasure, to this process
  test.steps.run();
  REQUIRE(test.pool.count_held("step") == 2);
  test.table.left.at(session) = 1;
  test.pool.answer_held("step"); // of the first one
  test.steps.run();
  CHECK_FALSE(*answer);
  test.pool.holding = none_held;
  test.end_steps(1);
  REQUIRE(*answer);
  CHECK(test.pool.count("step") == 2);
}

TEST_CASE("more erasures than there is room for are refused with a time to come back, and are done later") {
  fixture test;
  test.options.erasures_max = 3;
  test.pool.holding = named("step");
  test.start();
  test.own();
  std::vector<pending_answer<erased>> answers;
  for (int i = 0; i < 5; ++i)
    answers.push_back(test.erase(test.table.add_erasure(1)));
  test.steps.run();
  for (int i = 0; i < 5; ++i) {
    CHECK(answers[static_cast<std::size_t>(i)]->has_value() == (i >= 3));
    if (i >= 3) {
      CHECK((*answers[static_cast<std::size_t>(i)])->failure().code == error_code::overloaded);
      CHECK((*answers[static_cast<std::size_t>(i)])->failure().retry_after);
    }
  }
  test.pool.holding = none_held;
  test.end_steps(1);
  test.steps.advance(6s);
  CHECK(test.table.left.empty());
}

TEST_CASE("erasures that nobody waits for, and many who wait for one, take no more room than there is") {
  fixture test;
  test.options.erasures_max = 3;
  test.pool.holding = named("step");
  for (int i = 0; i < 5; ++i)
    test.table.add_erasure(1);
  test.start();
  test.own();
  test.steps.advance(6s);
  CHECK(test.pool.count_held("step") == 3);
  auto another = test.erase(test.table.add_erasure(1));
  const auto begun = std::any_cast<session_key>(test.pool.held.front().what.request);
  std::vector<pending_answer<erased>> askers;
  for (int i = 0; i < 4; ++i)
    askers.push_back(test.erase(begun));
  test.steps.run();
  REQUIRE(*another);
  CHECK((*another)->failure().code == error_code::overloaded);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(askers[i]->has_value() == (i == 3));
}

TEST_CASE("an erasure that somebody waits for is gone on with although the session is another's now") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  const auto process = test.own();
  auto answer = test.erase(test.table.add_erasure(3));
  test.end_steps(1);
  test.lose(process);
  test.end_steps(2);
  CHECK(has_value(answer));
}

TEST_CASE("who waits for an erasure is answered when the sweeper dies") {
  fixture test;
  test.pool.holding = named("step");
  test.start();
  auto answer = test.erase(test.table.add_erasure(2));
  test.steps.run();
  caf::anon_send_exit(test.actor, caf::exit_reason::kill);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::internal);
  CHECK((*answer)->failure().message.find("caf") == std::string::npos);
}
