// Random histories of appends, lost connections, lost answers and killed writers: what was accepted is in the log once,
// in order, without a gap; and what was answered as durable is there at that moment.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

struct history {
  explicit history(unsigned seed)
    : random(seed) {
    for (int i = 0; i < 3; ++i)
      sessions.push_back(service.make_session("tenant-" + std::to_string(i)));
    service.pool.answers_at_once = false;
  }

  int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random); }

  void append_something() {
    const auto& session = sessions[static_cast<std::size_t>(roll(3))];
    std::vector<std::string> texts;
    for (int i = roll(3); i >= 0; --i)
      texts.push_back(std::to_string(++count));
    auto& list = expected[session.id];
    list.insert(list.end(), texts.begin(), texts.end());
    auto answer = service.append(session, texts, roll(2) == 0 ? durability::durable : durability::accepted);
    answers.push_back({session, answer, list.size(), false});
  }

  void check_durable_answers() {
    for (auto& [session, answer, size, checked] : answers) {
      if (checked || !*answer)
        continue;
      checked = true;
      if (!(*answer)->has_value())
        FAIL((*answer)->failure().message);
      if ((*answer)->value().reached == durability::durable)
        REQUIRE(service.stored(session).size() >= size);
    }
  }

  void act() {
    const int what = roll(21);
    if (what < 8)
      append_something();
    else if (what < 14)
      service.pool.answer_next();
    else if (what == 14)
      service.pool.answer_next(fault::lost_before);
    else if (what == 15)
      service.pool.answer_next(fault::lost_after);
    else if (what == 16)
      service.kill_writer();
    else if (what == 17)
      service.steps.advance(100ms);
    else if (what == 18)
      service.pool.lose_backend(roll(2) == 0); // the word of it comes before heal(), or at the next of these
    else if (what == 19)
      service.pool.is_away = roll(2) == 0;
    else
      service.database->failures.push_back({db::failure_kind::retry, "40001", "serialization"});
    if (roll(3) > 0)
      service.steps.run();
    check_durable_answers();
  }

  void finish() {
    service.pool.tell_of_loss();
    service.heal();
    check_durable_answers();
    for (const auto& session : sessions) {
      REQUIRE(service.stored(session) == expected[session.id]);
      event_offset next = 0;
      for (const auto& entry : service.database->log(session.id))
        REQUIRE(entry.offset == next++);
    }
    REQUIRE(service.budget->used_bytes() == 0);
  }

  struct given_answer {
    session_key session;
    pending_answer<appended> answer;
    std::size_t size;
    bool checked;
  };

  std::mt19937 random;
  stepped_service service;
  std::vector<session_key> sessions;
  std::map<session_id, std::vector<std::string>> expected;
  std::vector<given_answer> answers;
  int count = 0;
};

} // namespace

TEST_CASE("random failures lose nothing, repeat nothing and leave no gap") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const char* wanted = std::getenv("COLLOQUY_TEST_HISTORIES");
  const unsigned histories = wanted ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : given ? 1 : 3000;
  for (unsigned i = 0; i < histories; ++i) {
    INFO("to repeat: COLLOQUY_TEST_SEED=" << first + i);
    history run(first + i);
    for (int step = 0; step < 60; ++step)
      run.act();
    run.finish();
  }
  std::cout << "persistence histories: " << histories << " from seed " << first << "\n";
}
