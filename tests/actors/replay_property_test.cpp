// Random histories of processes that die, also while they replay what the last one left: whatever was accepted is in
// the log, once, at the offset that was told; what was erased is nowhere; and nothing goes to the quarantine, for
// nobody else has written.
#include "tests/actors/replay_fixture.hpp"
#include "tests/db/journal_fixture.hpp"

#include <algorithm>
#include <random>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

class history {
public:
  explicit history(unsigned seed)
    : random_(seed) {
    on_.start(short_idle());
    REQUIRE(on_.replay());
    for (int i = 0; i < 3; ++i)
      sessions_.push_back(make());
  }

  void act() {
    auto& one = sessions_[roll(sessions_.size())];
    switch (roll(16)) {
    case 0:
      return on_.service.steps.advance(std::chrono::milliseconds{roll(6000)}, 250ms);
    case 1:
      on_.service.pool.answers_at_once = roll(3) > 0;
      return;
    case 2:
    case 3:
      on_.service.pool.answer_next();
      return on_.service.steps.run();
    case 4:
      if (roll(3) == 0 && on_.service.pool.woken(one.key.id))
        kill_session(on_.service, one.key);
      return;
    case 5:
      if (roll(8) == 0)
        erase(one);
      return;
    case 6: {
      update_session change;
      change.session = one.key;
      change.title = next_text(one);
      begin(on_.service, change);
      return;
    }
    case 7:
    case 8: {
      start_turn turn;
      turn.session = one.key;
      turn.policy = roll(2) == 0 ? turn_policy::rollback : turn_policy::interrupt;
      begin(on_.service, turn);
      return;
    }
    case 9:
      if (roll(3) == 0)
        die_and_begin_again();
      return;
    default:
      append(one);
    }
  }

  void die_and_begin_again() {
    on_.die();
    settle();
    while (roll(3) == 0) { // and again, before all is replayed
      on_.start(short_idle());
      on_.service.pool.answers_at_once = roll(2) == 0;
      on_.begin_replay();
      for (auto steps = roll(200); steps > 0 && on_.service.steps.step(); --steps) {
      }
      on_.die();
    }
    on_.start(short_idle());
    const auto outcome = on_.replay();
    INFO((outcome ? "" : outcome.failure().message));
    REQUIRE(outcome);
    CHECK(outcome->quarantined == 0);
    check();
  }

private:
  struct accepted {
    std::string text;
    pending_answer<appended> answer;
    std::optional<event_offset> offset{};
  };
  struct conversation {
    session_key key;
    std::vector<accepted> said{};
    std::size_t texts_made = 0;
  };
  struct gone {
    session_key key;
    pending_answer<erased> answer;
    std::string word;
    bool is_certain = false;
  };

  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>{0, sides - 1}(random_); }

  conversation make() {
    on_.service.pool.answers_at_once = true;
    while (on_.service.pool.answer_next())
      on_.service.steps.run();
    auto made = ask(on_.service, creation());
    REQUIRE(made);
    return {made->key};
  }

  static std::string word_of(const session_key& key) { return "word-" + key.id.to_string(); }
  std::string next_text(conversation& one) { return word_of(one.key) + "-" + std::to_string(one.texts_made++); }

  void append(conversation& one) {
    accepted next{next_text(one), nullptr};
    auto request = append_of(one.key, {message(next.text)});
    request.wanted = roll(4) == 0 ? durability::durable : durability::accepted;
    next.answer = begin(on_.service, request);
    one.said.push_back(std::move(next));
  }

  void erase(conversation& one) {
    erased_.push_back({one.key, begin(on_.service, erase_session{one.key}), word_of(one.key)});
    one = make();
  }

  /// Who had no answer by now will have none.
  void settle() {
    for (auto& one : sessions_) {
      std::erase_if(one.said, [](accepted& each) {
        if (!each.offset && each.answer && *each.answer && **each.answer)
          each.offset = (*each.answer)->value().first_offset;
        return !each.offset;
      });
    }
    for (auto& each : erased_)
      each.is_certain = each.is_certain || (*each.answer && **each.answer);
  }

  void check() {
    for (const auto& one : sessions_) {
      const auto stored = on_.service.stored(one.key);
      for (const auto& each : one.said) {
        INFO(each.text << " at " << *each.offset);
        REQUIRE(static_cast<std::size_t>(*each.offset) < stored.size());
        CHECK(stored[static_cast<std::size_t>(*each.offset)] == each.text);
        CHECK(std::count(stored.begin(), stored.end(), each.text) == 1);
      }
    }
    for (const auto& each : erased_) {
      if (!each.is_certain)
        continue;
      CHECK_FALSE(on_.service.database->tables().sessions.contains(each.key.id.bytes));
      CHECK(on_.service.stored(each.key).empty());
      CHECK(files_with(on_.folder.path(), each.word).empty());
    }
  }

  std::mt19937 random_;
  journaled_service on_;
  std::vector<conversation> sessions_;
  std::vector<gone> erased_;
};

} // namespace

TEST_CASE("whenever processes die, what they accepted is kept by the next one", "[journal][replay][property]") {
  const random_runs runs(20);
  for (unsigned run = 0; run < runs.count; ++run) {
    INFO("COLLOQUY_TEST_SEED=" << runs.first + run);
    history one(runs.first + run);
    for (int step = 0; step < 120; ++step)
      one.act();
    one.die_and_begin_again();
  }
}
