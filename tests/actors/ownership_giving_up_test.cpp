// A process gives up what it owns, in time or not.
#include "tests/actors/ownership_fixture.hpp"

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

using fixture = ownership_fixture;

TEST_CASE("a process that gives up frees its shards for the next one at once, and stays quiet") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.advance(3s);
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->has_value());
  CHECK(test.status(process).shards_owned == 0);
  test.steps.advance(2s);
  CHECK(owned_in(second.back()).owned.all());
  const auto own = owned_in(first[0]).process;
  const auto asked_since = std::count_if(test.pool.seen.begin(), test.pool.seen.end(), [&](const auto& what) {
    return what.name == "renew" && std::any_cast<process_id>(what.request) == own;
  });
  caf::anon_send(process, writer_fenced{own});
  test.steps.advance(20s);
  CHECK(asked_since == std::count_if(test.pool.seen.begin(), test.pool.seen.end(), [&](const auto& what) {
          return what.name == "renew" && std::any_cast<process_id>(what.request) == own;
        }));
  CHECK(first.size() == 1);
  auto again = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*again);
  CHECK((*again)->has_value());
}

TEST_CASE("giving up while the database is away is answered at its deadline, and done when it is back") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.failing = all_away;
  auto answer = test.ask_to_give_up(process, test.steps.system().clock().now() + 5s);
  auto longer = test.ask_to_give_up(process, test.steps.system().clock().now() + 60s);
  test.steps.advance(4900ms);
  CHECK_FALSE(*answer);
  test.steps.advance(100ms);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
  CHECK(test.pool.count("end") <= 25); // not as fast as it can
  CHECK_FALSE(*longer);
  test.pool.failing = none_away;
  test.steps.advance(500ms);
  REQUIRE(*longer);
  CHECK((*longer)->has_value());
  CHECK(test.table.count_of(owned_in(told.at(0)).process) == 0);
}

TEST_CASE("giving up that nobody answers is answered at its deadline") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.holding = held("end");
  auto answer = test.ask_to_give_up(process, test.steps.system().clock().now() + 1s);
  test.steps.advance(900ms);
  CHECK_FALSE(*answer);
  test.steps.advance(100ms);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
}

TEST_CASE("giving up does not wait for what is under way, and what that brings is told to nobody") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  const auto process = test.start_process(told);
  test.steps.run();
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->has_value());
  test.pool.answer_held("take");
  test.steps.advance(10s);
  CHECK(told.empty());
  CHECK(test.status(process).shards_owned == 0);
}

TEST_CASE("who waits until all is given up is answered when what does it dies") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.holding = held("end");
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  CHECK_FALSE(*answer);
  test.stop_hard(process);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::internal);
  CHECK((*answer)->failure().message.find("caf") == std::string::npos);
}
