// The journal's file: what it has acknowledged is there again after any end, what it has erased is nowhere, and
// whatever is wrong with it is said.
#include "db/journal_file.hpp"
#include <fcntl.h>

#include "tests/db/embedded_server_fixture.hpp"
#include "tests/db/journal_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using colloquy::db::embedded_test::forked;
using colloquy::db::embedded_test::in_another_process;
namespace fs = std::filesystem;

namespace {

journal_file must_open(const fs::path& path) {
  auto file = journal_file::open(path);
  INFO((file ? "" : file.failure().message));
  REQUIRE(file);
  return std::move(*file);
}

error open_failure(const fs::path& path) {
  auto file = journal_file::open(path);
  REQUIRE_FALSE(file);
  return file.failure();
}

std::string try_open(const fs::path& path) {
  auto file = journal_file::open(path);
  return file ? "opened" : file.failure().message;
}

journal_entry entry_of(const session_key& session, std::uint64_t number, std::string payload) {
  static const auto process = process_id::make();
  return {{process, 7}, session, number, static_cast<event_offset>(number) - 1, std::move(payload)};
}

std::vector<journal_place> must_commit(journal_file& file, const std::vector<journal_entry>& added,
                                       const std::vector<journal_place>& removed = {}) {
  auto done = file.commit(added, removed);
  INFO((done ? "" : done.failure().message));
  REQUIRE(done);
  return *done;
}

std::vector<journal_row> read_all(const journal_file& file, std::size_t page_bytes = 1 << 20) {
  std::vector<journal_row> all;
  std::optional<journal_place> after;
  do {
    auto page = file.read_left(after, page_bytes);
    REQUIRE(page);
    for (auto& each : page->rows)
      all.push_back(std::move(each));
    after = page->next;
  } while (after);
  return all;
}

/// Runs SQL on a journal that nobody has open: to harm it, or to look at it.
void run_sql(const fs::path& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  REQUIRE(::sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
  CHECK(::sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  ::sqlite3_close(handle);
}

std::string payload_of(std::uint64_t number) {
  return std::string(300 + number % 7000, 'p') + std::to_string(number);
}

unsigned mode_of(const fs::path& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

/// In a copy of this process only: a file system in memory, which goes with the process.
bool mount_small(const fs::path& where, const char* options) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, options) == 0;
}

} // namespace

TEST_CASE("what was committed is there when the journal is opened again", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  const auto b = key_of("beta");
  auto written = std::vector<journal_entry>{entry_of(b, 1, "b one"), entry_of(a, 1, ""), entry_of(a, 2, "a two")};
  written[2].first_offset.reset();
  {
    auto file = must_open(folder / "deep/er/journal.db");
    const auto places = must_commit(file, written);
    CHECK(std::is_sorted(places.begin(), places.end()));
    CHECK(file.figures().records == 3);
    CHECK(file.figures().bytes == 3 * journal_record_overhead + 10);
    CHECK(read_all(file).empty()); // of this process
  }
  const auto file = must_open(folder / "deep/er/journal.db");
  const auto found = read_all(file);
  REQUIRE(found.size() == 3);
  const auto of_a = a.tenant < b.tenant ? 0U : 1U;
  CHECK(found[of_a].session == a);
  CHECK(found[of_a].payload.empty());
  CHECK(found[of_a].first_offset == 0);
  CHECK(found[of_a].origin.epoch == 7);
  CHECK(found[of_a].origin.process == written[0].origin.process);
  CHECK(found[of_a + 1].number == 2);
  CHECK_FALSE(found[of_a + 1].first_offset);
  CHECK(found[2].session == b);
  CHECK(file.figures().records == 3);
  REQUIRE(file.figures().oldest);
  CHECK(system_time() - *file.figures().oldest < std::chrono::minutes{5});
}

TEST_CASE("what was left is read by session and in the order written, in pages of bounded bytes", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  const auto b = key_of("acme");
  {
    auto file = must_open(folder / "j");
    for (std::uint64_t i = 1; i <= 20; ++i)
      must_commit(file, {entry_of(b, i, std::string(100, 'b')), entry_of(a, i, std::string(100, 'a'))});
    must_commit(file, {entry_of(a, 1, std::string(100, 'n'))}); // by an actor that counts from 1 again
  }
  auto file = must_open(folder / "j");
  const auto all = read_all(file, 1000);
  REQUIRE(all.size() == 41);
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i].session == all[i - 1].session)
      CHECK(all[i].place > all[i - 1].place);
  CHECK(std::count_if(all.begin() + 1, all.end(),
                      [&](const auto& each) { return each.session != (&each - 1)->session; }) == 1);
  auto page = file.read_left({}, 1000);
  REQUIRE(page);
  CHECK(page->rows.size() == 2);
  // What was removed meanwhile is left out, also where the page ended.
  must_commit(file, {entry_of(a, 9, "new")}, {page->rows.back().place, all[2].place});
  page = file.read_left(page->next, 1);
  REQUIRE(page);
  REQUIRE(page->rows.size() == 1); // one at least
  CHECK(page->rows[0].place == all[3].place);
  CHECK(read_all(file).size() == 39);
  CHECK_FALSE(file.is_left(all[2].place));
  CHECK(file.is_left(all[3].place));
  CHECK_FALSE(file.read_left(journal_place{12345}, 1));
}

TEST_CASE("records are removed by their places, and nothing else", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  auto file = must_open(folder / "j");
  std::vector<journal_entry> entries;
  for (std::uint64_t i = 1; i <= 10; ++i)
    entries.push_back(entry_of(a, i, "x"));
  const auto places = must_commit(file, entries);
  must_commit(file, {}, {places[7], places[2], places[1], places[1], places[9], journal_place{999}});
  CHECK(file.figures().records == 6);
  file = must_open(folder / "k"); // closes the first one
  file = must_open(folder / "j");
  std::vector<std::uint64_t> numbers;
  for (const auto& each : read_all(file))
    numbers.push_back(each.number);
  CHECK(numbers == std::vector<std::uint64_t>{1, 4, 5, 6, 7, 9});
  CHECK(must_commit(file, {entry_of(a, 11, "y")})[0] > places[8]);
}

TEST_CASE("only its owner may read the journal", "[journal_file]") {
  const temp_dir folder;
  const auto before = ::umask(0);
  fs::create_directories(folder / "data");
  std::ofstream(folder / "data/j").close();
  CHECK(mode_of(folder / "data/j") == 0666);
  auto file = must_open(folder / "data/j");
  auto made = must_open(folder / "new/j");
  ::umask(before);
  must_commit(file, {entry_of(key_of("acme"), 1, "x")});
  for (const auto* name : {"data/j", "data/j-wal", "data/j.lock", "new/j", "new/j.lock"}) {
    CAPTURE(name);
    CHECK(mode_of(folder / name) == 0600);
  }
  CHECK(mode_of(folder / "new") == 0700);
  CHECK_FALSE(fs::exists(folder / "data/j-shm"));
}

TEST_CASE("a second process is told who has the journal", "[journal_file]") {
  const temp_dir folder;
  auto file = must_open(folder / "j");
  const auto expected =
      "the journal " + (folder / "j").string() + " is in use by process " + std::to_string(::getpid());
  const auto here = open_failure(folder / "j");
  CHECK(here.code == error_code::conflict);
  CHECK_THAT(here.message, ContainsSubstring(expected));
  CHECK_THAT(in_another_process([&] { return try_open(folder / "j"); }), ContainsSubstring(expected));
  SECTION("also if the lock's file is gone") {
    fs::remove(folder / "j.lock");
    CHECK_THAT(in_another_process([&] { return try_open(folder / "j"); }), ContainsSubstring("in use by"));
  }
  must_commit(file, {entry_of(key_of("acme"), 1, "unharmed")});
  file = must_open(folder / "k");
  CHECK(read_all(must_open(folder / "j")).size() == 1);
}

TEST_CASE("what is no journal is named and left as it is", "[journal_file]") {
  const temp_dir folder;
  SECTION("another kind of file") {
    const std::string letter(8192, 'x');
    embedded_test::write_file(folder / "j", letter);
    CHECK_THAT(open_failure(folder / "j").message,
               ContainsSubstring((folder / "j").string()) && ContainsSubstring("no journal"));
    CHECK(bytes_of(folder / "j") == letter);
  }
  SECTION("another program's database") {
    run_sql(folder / "j", "CREATE TABLE records (id); INSERT INTO records VALUES (1)");
    const auto before = bytes_of(folder / "j");
    CHECK_THAT(open_failure(folder / "j").message, ContainsSubstring("another program's"));
    CHECK(bytes_of(folder / "j") == before);
  }
  SECTION("a later version's journal") {
    must_open(folder / "j");
    run_sql(folder / "j", "PRAGMA user_version = 8");
    CHECK_THAT(open_failure(folder / "j").message, ContainsSubstring("format 8") && ContainsSubstring("format 1"));
  }
  SECTION("a folder, a link, no name") {
    fs::create_directory(folder / "d");
    fs::create_symlink(folder / "elsewhere", folder / "l");
    CHECK_THAT(open_failure(folder / "d").message, ContainsSubstring((folder / "d").string()));
    CHECK_THAT(open_failure(folder / "l").message, ContainsSubstring((folder / "l").string()));
    CHECK_FALSE(fs::exists(folder / "elsewhere"));
    CHECK(open_failure("").code == error_code::invalid_request);
    embedded_test::write_file(folder / "f", "");
    CHECK_THAT(open_failure(folder / "f/j").message, ContainsSubstring((folder / "f").string()));
  }
}

TEST_CASE("a damaged file is told as such", "[journal_file]") {
  const temp_dir folder;
  {
    auto file = must_open(folder / "j");
    for (std::uint64_t i = 0; i < 50; ++i)
      must_commit(file, {entry_of(key_of("acme"), i, std::string(1000, 'x'))});
  }
  auto bytes = bytes_of(folder / "j");
  REQUIRE(bytes.size() > 40'000);
  std::fill(bytes.begin() + 4096, bytes.begin() + 20'000, '\x5a');
  embedded_test::write_file(folder / "j", bytes);
  const auto refused = open_failure(folder / "j");
  CHECK(refused.code == error_code::internal);
  CHECK_THAT(refused.message,
             ContainsSubstring((folder / "j").string()) && ContainsSubstring("damaged") && ContainsSubstring("aside"));
}

TEST_CASE("a damaged record goes to the quarantine, and the others are read", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  const auto harm = GENERATE(as<std::string>{}, "payload = CAST('secret-wore' AS BLOB)", "number = 77", "epoch = 8",
                             "tenant = 'other'", "tenant = 'No Tenant'", "session = x'00'", "process = 5",
                             "first_offset = NULL", "checksum = NULL", "written_at = written_at + 1");
  CAPTURE(harm);
  {
    auto file = must_open(folder / "j");
    must_commit(file, {entry_of(a, 1, "one"), entry_of(a, 2, "secret-word"), entry_of(a, 3, "three")});
  }
  run_sql(folder / "j", "UPDATE records SET " + harm + " WHERE number = 2");
  for (int opened = 0; opened < 2; ++opened) { // once it is put aside, it stays there
    const auto file = must_open(folder / "j");
    CHECK(file.figures().records == 2);
    CHECK(file.figures().quarantined == 1);
    CHECK(read_all(file).size() == 2);
  }
  CHECK_FALSE(files_with(folder.path(), "damaged: it is not what its checksum says").empty());
}

TEST_CASE("what is put into the quarantine is kept with its reason and is not read again", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  {
    auto file = must_open(folder / "j");
    must_commit(file, {entry_of(a, 1, "fitting-word"), entry_of(a, 2, "unfitting-word")});
  }
  {
    auto file = must_open(folder / "j");
    const auto left = read_all(file);
    const std::vector<journal_place> places{left[1].place, journal_place{999}};
    const auto moved = file.quarantine(places, "it does not continue the log");
    REQUIRE(moved);
    CHECK(*moved == 1);
    CHECK(read_all(file).size() == 1);
    CHECK(file.figures().records == 1);
    CHECK(file.figures().quarantined == 1);
    CHECK(must_commit(file, {entry_of(a, 3, "new")})[0].id == 3); // not the place of one that was put aside
  }
  const auto file = must_open(folder / "j");
  CHECK(file.figures().quarantined == 1);
  CHECK(read_all(file).size() == 2);
  CHECK_FALSE(files_with(folder.path(), "unfitting-word").empty());
  CHECK_FALSE(files_with(folder.path(), "it does not continue the log").empty());
}

// --- erasing ---------------------------------------------------------------------------------------------------------

TEST_CASE("after an erasure no byte of the session is in any file", "[journal_file]") {
  const auto seed = seed_of("journal erasure");
  CAPTURE(seed);
  random_writes random(seed);
  for (unsigned history = 0; history < histories(12); ++history) {
    const temp_dir folder;
    std::vector<session_key> sessions;
    for (int i = 0; i < 6; ++i)
      sessions.push_back(key_of("acme"));
    std::map<std::size_t, std::size_t> records; // of each session, in the file
    std::vector<std::pair<journal_place, std::size_t>> places;
    const auto word = [&](std::size_t session) { return "unique-" + sessions[session].id.to_string(); };
    auto file = must_open(folder / "j");
    for (int step = 0; step < 60; ++step) {
      std::vector<journal_entry> added;
      std::vector<std::size_t> whose;
      for (int left = random.roll(6); left > 0; --left) {
        whose.push_back(static_cast<std::size_t>(random.roll(6)));
        auto text = word(whose.back());
        for (auto length = random.roll(4) == 0 ? random.roll(20'000) : random.roll(600); length > 0; length -= 43)
          text += word(whose.back());
        added.push_back(entry_of(sessions[whose.back()], 1, text));
      }
      std::vector<journal_place> removed;
      std::shuffle(places.begin(), places.end(), random.engine());
      for (auto left = places.empty() ? 0 : random.roll(static_cast<int>(places.size())); left > 0; --left) {
        removed.push_back(places.back().first);
        --records[places.back().second];
        places.pop_back();
      }
      const auto made = must_commit(file, added, removed);
      for (std::size_t i = 0; i < made.size(); ++i) {
        places.emplace_back(made[i], whose[i]);
        ++records[whose[i]];
      }
      if (random.roll(12) == 0) {
        file = must_open(folder / "other");
        file = must_open(folder / "j");
      }
      if (random.roll(8) == 0 && !places.empty()) {
        const std::vector<journal_place> aside{places.back().first};
        REQUIRE(file.quarantine(aside, "a test"));
        --records[places.back().second];
        places.pop_back();
      }
    }
    std::size_t left = places.size();
    for (std::size_t session = 0; session < 3; ++session) {
      const std::vector<session_key> erased{sessions[session]};
      const auto gone = file.erase(erased);
      INFO((gone ? "" : gone.failure().message));
      REQUIRE(gone);
      CHECK((*gone)[0].records == records[session]);
      left -= records[session];
      CHECK(files_with(folder.path(), word(session)).empty());
      CHECK(files_with(folder.path(), std::string(sessions[session].id.bytes.begin(), sessions[session].id.bytes.end()))
                .empty());
    }
    CHECK(file.figures().records == left);
    file = must_open(folder / "other");
    file = must_open(folder / "j");
    CHECK(read_all(file).size() == left); // the others' stay
  }
}

TEST_CASE("an erasure takes the quarantine along, and what is damaged there", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  const auto same_id = session_key{tenant_id::parse("other").value(), a.id};
  const std::string id(a.id.bytes.begin(), a.id.bytes.end());
  {
    auto file = must_open(folder / "j");
    must_commit(file, {entry_of(a, 1, "word-one"), entry_of(a, 2, "word-two" + id), entry_of(same_id, 1, "another's")});
  }
  run_sql(folder / "j", "UPDATE records SET session = x'00' WHERE number = 2");
  auto file = must_open(folder / "j");
  const std::vector<journal_place> aside{{1}};
  REQUIRE(file.quarantine(aside, "a test"));
  REQUIRE(file.figures().quarantined == 2);
  const std::vector<session_key> erased{a, key_of("nobody")};
  const auto gone = file.erase(erased);
  REQUIRE(gone);
  CHECK((*gone)[0].quarantined == 2);
  CHECK((*gone)[1].records + (*gone)[1].quarantined == 0);
  CHECK(file.figures().quarantined == 0);
  CHECK(files_with(folder.path(), "word-").empty());
  CHECK(file.figures().records == 1);
  CHECK_FALSE(files_with(folder.path(), "another's").empty());
}

TEST_CASE("an erasure that was interrupted is finished when the journal is opened", "[journal_file]") {
  const temp_dir folder;
  const auto a = key_of("acme");
  {
    auto file = must_open(folder / "j");
    must_commit(file, {entry_of(a, 1, "traced-word"), entry_of(key_of("acme"), 1, "kept")});
  }
  // What the first half of an erasure leaves, on a connection that overwrites nothing.
  run_sql(folder / "j", "PRAGMA secure_delete = OFF; DELETE FROM records WHERE id = 1; INSERT INTO due VALUES ('x')");
  REQUIRE_FALSE(files_with(folder.path(), "traced-word").empty());
  const auto file = must_open(folder / "j");
  CHECK(files_with(folder.path(), "traced-word").empty());
  CHECK(read_all(file).size() == 1);
}

// --- the end of the process, and of the disk -------------------------------------------------------------------------

TEST_CASE("what was acknowledged survives a process that is killed at any moment", "[journal_file]") {
  const auto seed = seed_of("journal crash");
  CAPTURE(seed);
  std::mt19937 random(seed);
  const temp_dir folder;
  const auto session = key_of("acme");
  std::uint64_t acknowledged = 0;
  std::uint64_t removed = 0;
  for (unsigned life = 0; life < histories(25); ++life) {
    // Adds numbers in groups and removes the oldest; says each group only when it is committed.
    forked writer([&](const auto& say) {
      auto file = journal_file::open(folder / "j");
      if (!file)
        return say(file.failure().message);
      std::vector<journal_place> live;
      for (auto number = acknowledged + 1;;) {
        std::vector<journal_entry> group;
        for (int i = 0; i < 5; ++i, ++number)
          group.push_back(entry_of(session, number, payload_of(number)));
        auto places = file->commit(group, live);
        if (!places)
          return say(places.failure().message);
        say(std::to_string(number - 1));
        live.assign(places->begin(), places->begin() + 2); // the first two of each group
      }
    });
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{random() % 60'000};
    const auto before = acknowledged;
    while (std::chrono::steady_clock::now() < until || acknowledged == before) {
      const auto said = writer.heard();
      REQUIRE_FALSE(said.empty());
      REQUIRE_THAT(said, !ContainsSubstring("journal"));
      acknowledged = std::stoull(said);
    }
    writer.kill();
    for (std::string said = writer.heard(); !said.empty(); said = writer.heard()) // what it had still said
      acknowledged = std::stoull(said);
    auto file = must_open(folder / "j");
    const auto left = read_all(file);
    CHECK(file.figures().quarantined == 0);
    std::uint64_t last = removed;
    for (const auto& each : left) {
      CHECK(each.payload == payload_of(each.number));
      last = std::max(last, each.number);
    }
    CHECK(last >= acknowledged);
    CHECK((last - removed) % 5 == 0); // a group is there or not
    for (auto number = before + 1; number <= acknowledged; ++number) {
      const bool may_be_removed = (number - before - 1) % 5 < 2;
      CHECK((may_be_removed ||
             std::any_of(left.begin(), left.end(), [&](const auto& each) { return each.number == number; })));
    }
    std::vector<journal_place> all;
    for (const auto& each : left)
      all.push_back(each.place);
    must_commit(file, {}, all);
    acknowledged = removed = last;
  }
  CHECK(acknowledged > 0);
}

TEST_CASE("a full disk is told, leaves nothing half written, and is no matter once there is room", "[journal_file]") {
  const temp_dir folder;
  const auto said = in_another_process([&]() -> std::string {
    if (!mount_small(folder.path(), "size=3m,mode=0700"))
      return "cannot mount";
    auto opened = std::make_unique<result<journal_file>>(journal_file::open(folder / "j"));
    if (!*opened)
      return opened->failure().message;
    auto& file = **opened;
    const auto session = session_key{*tenant_id::parse("acme"), session_id::make()};
    std::uint64_t number = 0;
    std::vector<journal_place> places;
    std::string text;
    const auto fill = [&] {
      while (true) {
        std::vector<journal_entry> group;
        for (std::uint64_t i = 1; i <= 10; ++i)
          group.push_back(entry_of(session, number + i, std::string(9000, 'x')));
        auto done = file.commit(group, {});
        if (!done)
          return done.failure().message;
        number += 10;
        places.insert(places.end(), done->begin(), done->end());
      }
    };
    text += fill() + "\n";
    if (file.figures().records != number)
      return "counts what is not there";
    // Removing must work on a full disk, or it would stay full.
    std::vector<journal_place> removed(places.begin(), places.begin() + 20);
    if (auto done = file.commit({}, removed); !done)
      text += "removing: " + done.failure().message + "\n";
    std::vector<journal_entry> one{entry_of(session, 777, "small")};
    if (auto done = file.commit(one, {}); !done)
      return "room does not help: " + done.failure().message;
    const auto there = file.figures().records;
    opened.reset();
    auto again = journal_file::open(folder / "j");
    if (!again)
      return again.failure().message;
    return text + (again->figures().records == there && again->figures().quarantined == 0 ? "all there" : "lost");
  });
  if (said == "cannot mount") {
    WARN("SKIPPED, this proves nothing here: cannot mount");
    return;
  }
  INFO(said);
  CHECK_THAT(said, ContainsSubstring("the disk is full; free some space"));
  CHECK_THAT(said, ContainsSubstring("all there"));
}

TEST_CASE("a record that is too large for the journal is refused with its limit", "[journal_file][.slow]") {
  const temp_dir folder;
  auto file = must_open(folder / "j");
  const std::vector<journal_entry> large{entry_of(key_of("acme"), 1, std::string(journal_payload_max + 1, 'x'))};
  const auto refused = file.commit(large, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::payload_too_large);
}
