// What the journal's file has erased is nowhere; what it has acknowledged survives the process and a full disk.
#include "tests/db/journal_file_fixture.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::db::journal_test;

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
      return cannot_mount;
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
    // Removing needs a little room, too, which there may be or not.
    const std::vector<journal_place> removed(places.begin(), places.begin() + 20);
    const bool is_removed = file.commit({}, removed).has_value();
    if (file.figures().records != number - (is_removed ? 20 : 0))
      return "counts what it has not removed";
    if (::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT, "size=6m") != 0)
      return cannot_mount;
    if (auto done = file.commit({}, removed); !done)
      return "removing: " + done.failure().message;
    std::vector<journal_entry> one{entry_of(session, 777, std::string(100'000, 'x'))};
    if (auto done = file.commit(one, {}); !done)
      return "room does not help: " + done.failure().message;
    const auto there = file.figures().records;
    opened.reset();
    auto again = journal_file::open(folder / "j");
    if (!again)
      return again.failure().message;
    return text + (again->figures().records == there && again->figures().quarantined == 0 ? "all there" : "lost");
  });
  if (said == cannot_mount) {
    WARN("SKIPPED, this proves nothing here: " << cannot_mount);
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
