// The journal: what it has told to be on disk is there after a crash, in order and without a gap, until it is durable
// or erased; and when the disk fails, everybody is told.
#include "db/journal_codec.hpp"
#include "tests/actors/journal_fixture.hpp"
#include "tests/support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

namespace {

journal_options options_with(std::size_t bytes_max) {
  journal_options options;
  options.bytes_max = bytes_max;
  return options;
}

/// What has_room_for() counts for a message of that many bytes.
std::size_t cost_of(std::size_t data_bytes) {
  return db::journal_cost(message_write(key_of("acme"), 1, std::string(data_bytes, 'x'))->bytes);
}

std::vector<std::uint64_t> numbers(const std::vector<db::journal_row>& rows) {
  std::vector<std::uint64_t> found;
  for (const auto& each : rows)
    found.push_back(each.number);
  return found;
}

} // namespace

TEST_CASE("a write is acknowledged when a crash would not lose it", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "first");
  while (a.heard->empty()) { // nobody is told before it is there
    CHECK(journal.after_a_crash().empty());
    REQUIRE(journal.steps.step());
    if (numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{1})
      journal.steps.run();
  }
  CHECK(a.news() == texts{"journaled 1"});
  const auto rows = journal.after_a_crash();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].session == a.key);
  CHECK(rows[0].first_offset == 0);
  const auto write = db::decode_write(rows[0].payload);
  REQUIRE(write);
  CHECK((*write->events)[0].data == "first");
}

TEST_CASE("what waits is one commit, and each session hears once of its last write", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  auto b = journal.session();
  for (int i = 0; i < 3; ++i)
    journal.write(a, "a");
  journal.write(b, "b");
  journal.write(a, "a");
  journal.write(b, "b");
  journal.steps.run();
  CHECK(a.news() == texts{"journaled 4"});
  CHECK(b.news() == texts{"journaled 2"});
  CHECK(journal.status().records == 6);
}

TEST_CASE("a group is bounded in records and in bytes", "[journal]") {
  journal_options options;
  options.group_records_max = 2;
  SECTION("records") {
    stepped_journal journal(options);
    auto a = journal.session();
    for (int i = 0; i < 5; ++i)
      journal.write(a, "a");
    journal.steps.run();
    CHECK(a.news() == texts{"journaled 2", "journaled 4", "journaled 5"});
  }
  SECTION("bytes") {
    options.group_records_max = 1000;
    options.group_bytes_max = 5000;
    stepped_journal journal(options);
    auto a = journal.session();
    for (int i = 0; i < 5; ++i)
      journal.write(a, std::string(3000, 'a'));
    journal.steps.run();
    CHECK(a.news() == texts{"journaled 2", "journaled 4", "journaled 5"});
  }
}

TEST_CASE("a record says whose it is", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "before");
  const db::journal_origin origin{process_id::make(), 42};
  caf::anon_send(journal.actor, journal_process{origin});
  journal.write(a, "after");
  journal.steps.run();
  const auto rows = journal.after_a_crash();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].origin.process.is_nil());
  CHECK(rows[1].origin.process == origin.process);
  CHECK(rows[1].origin.epoch == 42);
}

TEST_CASE("what is durable goes with the next commit, or after a while without one", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  for (int i = 0; i < 3; ++i)
    journal.write(a, "a");
  journal.steps.run();
  journal.durable(a, 2);
  journal.steps.run();
  CHECK(numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{1, 2, 3});
  SECTION("with a commit") {
    journal.write(a, "a");
    journal.steps.run();
    CHECK(numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{3, 4});
  }
  SECTION("without one") {
    journal.steps.advance(1100ms);
    CHECK(numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{3});
    journal.durable(a, 3);
    journal.steps.advance(1100ms);
    CHECK(journal.status().records == 0);
    CHECK(journal.status().bytes == 0);
  }
}

TEST_CASE("a write that is durable before the disk was asked is not written", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "a");
  journal.write(a, "a");
  journal.durable(a, 1);
  journal.steps.run();
  CHECK(numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{2});
  CHECK(a.news() == texts{"journaled 2"});
}

TEST_CASE("a session that is woken again counts from 1, and what it wrote before stays", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "old one");
  journal.write(a, "old two");
  journal.steps.run();
  journal.wake_again(a);
  journal.write(a, "new one");
  journal.steps.run();
  CHECK(a.news() == texts{"journaled 2", "journaled 1"});
  journal.durable(a, 1);
  journal.steps.advance(1100ms);
  CHECK(numbers(journal.after_a_crash()) == std::vector<std::uint64_t>{1, 2});
  CHECK_FALSE(files_with(journal.folder.path(), "old one").empty());
}

// --- bounds and faults -----------------------------------------------------------------------------------------------

TEST_CASE("past its bound the journal refuses, and goes on in order once there is room", "[journal]") {
  stepped_journal journal(options_with(2 * cost_of(1000)));
  auto a = journal.session();
  auto b = journal.session();
  journal.write(a, std::string(1000, 'a'));
  journal.steps.run();
  journal.write(a, std::string(1400, 'a'));
  journal.write(a, "small, but later");
  journal.write(b, "another's");
  journal.steps.run();
  auto heard = a.news();
  REQUIRE(heard.size() == 3);
  CHECK(heard[0] == "journaled 1");
  CHECK_THAT(heard[1], ContainsSubstring("refused 2: ") && ContainsSubstring("journal_bytes_max"));
  CHECK_THAT(heard[2], ContainsSubstring("refused 3: "));
  CHECK(b.news() == texts{"journaled 1"});
  CHECK(journal.status().waiting == 2);
  CHECK(journal.status().problem.empty());
  journal.durable(a, 1);
  journal.steps.run();
  CHECK(a.news() == texts{"journaled 3"});
  CHECK(journal.status().waiting == 0);
  CHECK(numbers(journal.after_a_crash()).size() == 3);
}

TEST_CASE("a write that never fits holds up its own session alone, until it is durable", "[journal]") {
  stepped_journal journal(options_with(20'000));
  auto a = journal.session();
  auto b = journal.session();
  journal.write(a, std::string(30'000, 'a'));
  journal.write(b, std::string(15'000, 'b'));
  journal.write(b, std::string(15'000, 'b'));
  journal.write(a, "after");
  journal.steps.run();
  CHECK(b.news().size() == 2); // one is there, one waits
  journal.durable(b, 1);
  journal.steps.run();
  CHECK(b.news() == texts{"journaled 2"});
  CHECK(a.news().size() == 2); // both refused
  journal.durable(b, 2);
  journal.durable(a, 1);
  journal.steps.run();
  CHECK(a.news() == texts{"journaled 2"});
}

TEST_CASE("when the disk fails everybody is told, and it goes on when the disk does", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  auto b = journal.session();
  journal.write(a, "kept");
  journal.steps.run();
  a.news();
  {
    const failing_disk fault;
    journal.write(a, "a");
    journal.write(a, "a");
    journal.write(b, "b");
    journal.steps.run();
    auto heard = a.news();
    REQUIRE(heard.size() == 1);
    CHECK_THAT(heard[0], ContainsSubstring("refused 2: the journal "));
    CHECK_THAT(b.news().at(0), ContainsSubstring("refused 1: "));
    const auto status = journal.status();
    CHECK_THAT(status.problem, ContainsSubstring((journal.folder / "j").string()));
    CHECK(status.last_error == status.problem);
    CHECK(status.last_error_at);
    CHECK(status.waiting == 3);
    CHECK(status.records == 1);
    journal.write(b, "b"); // at once: the disk is not asked before it is time again
    journal.steps.run();
    CHECK_THAT(b.news().at(0), ContainsSubstring("refused 2: "));
    journal.steps.advance(3s);
    CHECK(a.news().empty());
    CHECK(journal.status().waiting == 4);
  }
  journal.steps.advance(1100ms);
  CHECK(a.news() == texts{"journaled 3"});
  CHECK(b.news() == texts{"journaled 2"});
  const auto status = journal.status();
  CHECK(status.problem.empty());
  CHECK_FALSE(status.last_error.empty());
  CHECK(status.waiting == 0);
  CHECK(journal.after_a_crash().size() == 5);
  journal.write(a, "a");
  journal.steps.run();
  CHECK(a.news() == texts{"journaled 4"});
}

TEST_CASE("what becomes durable while the disk fails is not written afterwards", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "a");
  journal.steps.run();
  {
    const failing_disk fault;
    journal.write(a, "a");
    journal.steps.run();
    journal.durable(a, 2);
    journal.steps.advance(3s);
    CHECK(journal.status().waiting == 0);
    CHECK_FALSE(journal.status().problem.empty());
  }
  journal.steps.advance(2s);
  CHECK(journal.status().problem.empty()); // found out without anybody's write
  CHECK(journal.status().records == 0);
  CHECK(journal.after_a_crash().empty());
}

// --- what the last process left --------------------------------------------------------------------------------------

TEST_CASE("what the last process left is read in pages, and forgotten when it is said to be durable", "[journal]") {
  stepped_journal journal;
  std::vector<listening_session> sessions;
  for (int i = 0; i < 3; ++i)
    sessions.push_back(journal.session());
  for (int i = 0; i < 30; ++i)
    journal.write(sessions[static_cast<std::size_t>(i % 3)], std::string(500, 'x'));
  journal.steps.run();
  journal.end();
  journal.open();
  journal.write(sessions[0], "of this process");
  journal.steps.run();
  std::map<std::string, std::vector<std::uint64_t>> found;
  std::vector<std::string> order;
  std::optional<db::journal_place> after;
  int pages = 0;
  do {
    const auto page = journal.must(read_journal{after, 4000});
    ++pages;
    for (const auto& each : page.records) {
      const auto name = each.write->session.id.to_string();
      if (order.empty() || order.back() != name)
        order.push_back(name);
      found[name].push_back(each.write->number);
      CHECK(each.write->events->front().data == std::string(500, 'x'));
      if (each.write->number % 2 == 0)
        CHECK(journal.must(journal_forget{{each.place, each.place}}).records == 1);
    }
    after = page.next;
  } while (after);
  CHECK(pages > 3);
  CHECK(order.size() == 3); // one after the other
  for (const auto& [name, each] : found)
    CHECK(each == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(journal.status().records == 16);
  CHECK(journal.must(journal_forget{{db::journal_place{31}}}).records == 0); // written by this process
}

TEST_CASE("a record that cannot be decoded goes to the quarantine, and the others are given", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "one");
  journal.steps.run();
  journal.end();
  {
    auto file = db::journal_file::open(journal.folder / "j");
    REQUIRE(file);
    const auto right = db::encode_write(*message_write(a.key, 3, "three"));
    const std::vector<db::journal_entry> entries{{{}, a.key, 2, 1, "no write"},
                                                 {{}, a.key, 3, 7, right},
                                                 {{}, a.key, 4, 2, right},
                                                 {{}, key_of("acme"), 3, 2, right},
                                                 {{}, a.key, 3, 2, right}};
    REQUIRE(file->commit(entries, {}));
  }
  journal.open();
  const auto page = journal.must(read_journal{});
  REQUIRE(page.records.size() == 2);
  CHECK(page.records[0].write->number == 1);
  CHECK(page.records[1].write->number == 3);
  CHECK(journal.status().quarantined == 4);
  CHECK(journal.status().records == 2);
}

// --- its end ---------------------------------------------------------------------------------------------------------

TEST_CASE("told to end, the journal commits what was sent to it and lets go of the file", "[journal]") {
  stepped_journal journal;
  auto a = journal.session();
  journal.write(a, "one");
  journal.write(a, "two");
  const auto erasing = journal.steps.ask<journal_erased>(journal.actor, journal_erase{key_of("acme")});
  journal.steps.run(); // until the request is in the mailbox
  journal.write(a, "three");
  journal.end();
  CHECK(a.news().back() == "journaled 3");
  CHECK(*erasing);
  const auto held = journal.actor; // as a session may
  const auto file = db::journal_file::open(journal.folder / "j");
  REQUIRE(file);
  CHECK(file->figures().records == 3);
}

TEST_CASE("on a thread of its own the journal takes what many write at once", "[journal]") {
  const temp_dir folder;
  constexpr int writers = 50;
  constexpr std::uint64_t each_writes = 20;
  std::atomic<int> ready = 0;
  {
    caf::actor_system_config config;
    caf::actor_system system(config);
    auto file = db::journal_file::open(folder / "j");
    REQUIRE(file);
    const auto journal = spawn_journal(system, std::move(*file), {});
    std::vector<session_actor> sessions; // the journal keeps nobody alive
    for (int i = 0; i < writers; ++i) {
      // Writes the next when the last is on disk.
      const auto key = key_of("acme");
      const auto session = system.spawn([&, key](session_actor::pointer self) -> session_actor::behavior_type {
        return {[&, self, key](const session_call& call) {
          const auto& news = std::get<journaled>(call.what);
          if (news.through_number == each_writes)
            ++ready;
          else
            self->send(journal, journal_write{message_write(key, news.through_number + 1, "x"), self});
        }};
      });
      caf::anon_send(session, session_call{journaled{0}});
      sessions.push_back(session);
    }
    CHECK(eventually([&] { return ready == writers; }));
    caf::anon_send_exit(journal, caf::exit_reason::user_shutdown);
  } // waits for the thread
  const auto file = db::journal_file::open(folder / "j");
  REQUIRE(file);
  CHECK(file->figures().records == writers * each_writes);
}
