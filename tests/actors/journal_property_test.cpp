// Random histories of the journal: sessions write, become durable, are woken again and erased, while the disk fails and
// the journal is full. Whenever the process dies, every write that was acknowledged and is neither durable nor erased
// is on disk, in order and, from the first that is needed, without a gap.
#include "tests/actors/journal_fixture.hpp"

#include <algorithm>
#include <optional>
#include <random>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

journal_options tight() {
  journal_options options;
  options.bytes_max = 120'000;
  options.group_records_max = 5;
  options.group_bytes_max = 8000;
  return options;
}

class history {
public:
  explicit history(unsigned seed)
    : random_(seed) {
    for (int i = 0; i < 4; ++i)
      sessions_.push_back({journal_.session()});
  }

  void act() {
    auto& one = sessions_[roll(sessions_.size())];
    switch (roll(14)) {
    case 0:
      one.durable += roll(static_cast<std::size_t>(one.session.last - one.durable) + 1);
      journal_.durable(one.session, one.durable);
      break;
    case 1:
      journal_.steps.advance(1100ms);
      break;
    case 2:
      if (fault_)
        fault_.reset();
      else if (roll(2) == 0)
        fault_.emplace(roll(2) == 0 ? 0 : 30'000);
      break;
    case 3:
      if (roll(10) == 0)
        erase(one);
      break;
    case 4:
      if (wakes_ < 2 && roll(5) == 0)
        wake_again(one);
      break;
    case 5:
      journal_.steps.run();
      break;
    case 6:
      journal_.steps.step();
      break;
    default:
      journal_.write(one.session, one.word() + std::string(roll(20) == 0 ? roll(20'000) : roll(600), 'x'));
    }
    hear();
  }

  /// As a process that died now would leave it.
  void check() {
    const auto rows = journal_.after_a_crash();
    for (const auto& each : sessions_) {
      std::vector<std::uint64_t> own; // not what the actor before it wrote
      for (const auto& row : rows)
        if (row.session == each.session.key && row.origin.epoch >= each.epoch)
          own.push_back(row.number);
      CHECK(std::is_sorted(own.begin(), own.end()));
      // Of what is durable some may be gone already; nothing of what is needed.
      const auto needed = std::upper_bound(own.begin(), own.end(), each.durable);
      CHECK(std::adjacent_find(needed, own.end(), [](auto a, auto b) { return b != a + 1; }) == own.end());
      CHECK((needed == own.end() || *needed == each.durable + 1));
      for (auto number = each.durable + 1; number <= each.journaled; ++number) {
        INFO("session " << each.session.key.id.to_string() << " write " << number);
        CHECK(std::find(own.begin(), own.end(), number) != own.end());
      }
    }
    for (const auto& word : erased_)
      CHECK(files_with(journal_.folder.path(), word).empty());
  }

  /// Everything comes to an end once the disk does its work and all is durable.
  void finish() {
    fault_.reset();
    journal_.steps.advance(5s);
    hear();
    for (int round = 0; round < 100 && !all_journaled(); ++round) {
      for (auto& each : sessions_) {
        each.durable = std::max(each.durable, each.journaled);
        journal_.durable(each.session, each.durable);
      }
      journal_.steps.advance(2s);
      hear();
    }
    CHECK(all_journaled());
    const auto status = journal_.status();
    CHECK(status.waiting == 0);
    CHECK(status.erasures_waiting == 0);
    CHECK(status.problem.empty());
    check();
  }

private:
  struct writer {
    listening_session session;
    std::uint64_t journaled = 0;
    std::uint64_t durable = 0;
    std::int64_t epoch = 0; // of its first record

    std::string word() const { return "word-" + session.key.id.to_string(); }
  };

  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>{0, sides - 1}(random_); }

  bool all_journaled() const {
    return std::all_of(sessions_.begin(), sessions_.end(),
                       [](const writer& each) { return std::max(each.journaled, each.durable) == each.session.last; });
  }

  void hear() {
    for (auto& each : sessions_)
      for (const auto& news : each.session.news())
        if (news.starts_with("journaled ")) {
          const auto through = std::stoull(news.substr(10));
          CHECK(through > each.journaled);
          CHECK(through <= each.session.last);
          each.journaled = through;
        }
  }

  void erase(writer& one) {
    fault_.reset();
    journal_.steps.run();
    CHECK(journal_.ask(journal_erase{one.session.key}));
    hear();
    erased_.push_back(one.word());
    one = {journal_.session()};
  }

  void wake_again(writer& one) {
    journal_.steps.run();
    hear();
    one.session.heard = std::make_shared<std::vector<std::string>>();
    journal_.wake_again(one.session);
    one.journaled = one.durable = 0;
    one.epoch = ++wakes_;
    caf::anon_send(journal_.actor, journal_process{{process_id{}, wakes_}});
    journal_.write(one.session, one.word());
  }

  std::mt19937 random_;
  stepped_journal journal_{tight()};
  std::vector<writer> sessions_;
  std::vector<std::string> erased_;
  std::int64_t wakes_ = 0; // what they leave is not removed before the journal is opened again
  std::optional<failing_disk> fault_;
};

} // namespace

TEST_CASE("whatever happens to the disk, what was acknowledged survives a crash", "[journal][property]") {
  const auto seed = seed_of("journal histories");
  for (unsigned i = 0; i < histories(25); ++i) {
    CAPTURE(seed, i);
    history one(seed + i);
    for (int step = 0; step < 200; ++step) {
      one.act();
      if (step % 10 == 0)
        one.check();
    }
    one.finish();
  }
}
