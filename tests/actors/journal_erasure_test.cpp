// Erasing from the journal: answered when no byte is left, and not given up before.
#include "tests/actors/journal_fixture.hpp"

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

TEST_CASE("an erased session is in no byte, whatever of it was where", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  auto b = journal.session();
  journal.write(a, "word-aside");
  journal.write(a, "word-left");
  journal.write(b, "kept");
  journal.steps.run();
  journal.end();
  journal.open();
  const auto left = journal.must(read_journal{});
  REQUIRE(left.records.size() == 3);
  for (const auto& each : left.records)
    if (each.write->session == a.key && each.write->number == 1)
      CHECK(journal.must(quarantine{{each.place}, "a test"}).records == 1);
  journal.write(a, "word-durable");
  journal.write(a, "word-on-disk");
  journal.steps.run();
  journal.durable(a, 3);
  journal.write(a, "word-in-the-group");
  REQUIRE_FALSE(files_with(journal.folder.path(), "word-").empty());
  const auto gone = journal.must(journal_erase{a.key});
  CHECK(gone.quarantined == 1);
  CHECK(gone.records >= 2);
  CHECK(files_with(journal.folder.path(), "word-").empty());
  CHECK(journal.status().records == 1);
  CHECK(journal.status().quarantined == 0);
  journal.write(b, "still at work");
  journal.steps.run();
  CHECK(journal.after_a_crash().size() == 2);
}

TEST_CASE("an erasure that fails is said, and tried again until it is done", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "word-one");
  journal.steps.run();
  {
    const failing_disk fault;
    const auto answer = journal.ask(journal_erase{a.key});
    REQUIRE_FALSE(answer);
    CHECK_THAT(answer.failure().message, ContainsSubstring((journal.folder / "j").string()));
    CHECK(journal.status().erasures_waiting == 1);
  }
  CHECK_FALSE(files_with(journal.folder.path(), "word-").empty());
  journal.steps.advance(2s);
  CHECK(files_with(journal.folder.path(), "word-").empty());
  CHECK(journal.status().erasures_waiting == 0);
}

TEST_CASE("erasures that come together are done together", "[journal]") {
  stepped_journal journal;
  std::vector<listening_session> sessions;
  std::vector<pending_answer<journal_erased>> answers;
  for (int i = 0; i < 10; ++i) {
    sessions.push_back(journal.session());
    journal.write(sessions.back(), "word");
  }
  journal.steps.run();
  for (const auto& each : sessions)
    answers.push_back(journal.steps.ask<journal_erased>(journal.actor, journal_erase{each.key}));
  journal.steps.run();
  for (const auto& each : answers) {
    REQUIRE(*each);
    REQUIRE(**each);
    CHECK((**each)->records == 1);
  }
  CHECK(files_with(journal.folder.path(), "word").empty());
}
