// The journal's file: what it has acknowledged is there when it is opened again, and whatever is wrong with it is said.
#include "tests/db/journal_file_fixture.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::db::journal_test;

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
