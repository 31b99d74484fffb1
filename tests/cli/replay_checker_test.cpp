#include "tests/cli/fake_directory.hpp"

using namespace colloquy;
using namespace colloquy::cli;
using namespace colloquy::cli::test;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

/// Ten conversations of eight messages, twice, replayed.
struct replayed : replay_fixture {
  replayed() {
    plan.copies = 2;
    std::vector<std::string> lines;
    lines.reserve(10);
    for (int i = 0; i < 10; ++i)
      lines.push_back(line_of("c" + std::to_string(i), "suatauua"));
    write_lines(lines);
    appended = append();
    REQUIRE(appended.messages == 160);
  }
  fake_session& session(std::size_t index) { return store->sessions.at(appended.sessions[index]); }

  append_outcome appended;
};

} // namespace

TEST_CASE("everything that came back as it was is verified") {
  replayed replay;
  const auto checked = replay.check(replay.appended);
  CHECK(checked.verified == 160);
  CHECK(checked.messages == 160);
  CHECK(checked.mismatched == 0);
  CHECK(checked.events == 280); // and a status event around each of three turns
  CHECK_FALSE(checked.interrupted);
  CHECK(replay.complaints().empty());
}

TEST_CASE("a log longer than a page is read whole") {
  replay_fixture replay;
  replay.write_lines({line_of("long", std::string(2500, 'u'))});
  const auto appended = replay.append();
  const auto checked = replay.check(appended);
  CHECK(checked.verified == 2500);
  CHECK(checked.events == 7500);
  CHECK(checked.mismatched == 0);
}

TEST_CASE("a changed byte in one copy is named by file, line, copy and session") {
  replayed replay;
  replay.session(7).log[2].data.back() = ' ';
  const auto checked = replay.check(replay.appended);
  CHECK(checked.verified == 159);
  CHECK(checked.mismatched == 1);
  CHECK_THAT(replay.complaints(),
             ContainsSubstring("a.jsonl line 4 (copy 2), session " + replay.appended.sessions[7].to_string()) &&
                 ContainsSubstring("differs from byte"));
}

TEST_CASE("a log that lost its end, its middle or its turns is a mismatch") {
  replayed replay;
  replay.session(0).log.pop_back();                               // only a status event: its offset
  replay.session(1).log.erase(replay.session(1).log.begin() + 2); // a message
  replay.session(2).record.turn_count = 2;                        // of three
  std::swap(replay.session(3).log[2].data, replay.session(3).log[3].data);
  const auto checked = replay.check(replay.appended);
  CHECK(checked.mismatched >= 4);
  CHECK(checked.verified >= 156);
  CHECK(checked.verified < 160);
}

TEST_CASE("what is refused for now is read again") {
  replayed replay;
  replay.store->refuse = [](std::size_t number) -> std::optional<error> {
    return number % 2 == 0 ? std::optional(error{error_code::database_unavailable, "away", 1ms}) : std::nullopt;
  };
  CHECK(replay.check(replay.appended).verified == 160);
}

TEST_CASE("a session that cannot be read is a mismatch") {
  replayed replay;
  const auto before = replay.store->requests;
  replay.store->refuse = [before](std::size_t number) -> std::optional<error> {
    return number == before + 5 ? std::optional(error{error_code::not_found, "no such session"}) : std::nullopt;
  };
  const auto checked = replay.check(replay.appended);
  CHECK(checked.verified == 152);
  CHECK(checked.mismatched == 8);
  CHECK_THAT(replay.complaints(), ContainsSubstring("could not be read back: no such session"));
}

TEST_CASE("reading that gets no answer is given up") {
  replayed replay;
  replay.plan.no_progress_max = 300ms;
  replay.store->refuse = [](std::size_t) { return error{error_code::overloaded, "full", 5ms}; };
  const auto checked = replay.check(replay.appended);
  REQUIRE(checked.given_up.has_value());
  CHECK_THAT(checked.given_up->message, ContainsSubstring("nothing has moved for 300 ms"));
}

TEST_CASE("a file that has changed since is a mismatch") {
  replayed replay;
  replay.write_lines({line_of("c0", "suatauua"), "{", line_of("c2", "suatauua"), line_of("other", "ua")});
  const auto checked = replay.check(replay.appended);
  CHECK(checked.verified == 32); // lines 1 and 3
  CHECK(checked.mismatched > 0);
  CHECK_THAT(replay.complaints(),
             ContainsSubstring("line 2: the file has changed") && ContainsSubstring("line 10: the file has changed"));
}

TEST_CASE("conversations that were not replayed whole are not read") {
  replayed replay;
  replay.appended.sessions[4] = session_id{};
  const auto checked = replay.check(replay.appended);
  CHECK(checked.verified == 152);
  CHECK(checked.mismatched == 0);
}

TEST_CASE("told to stop it answers with what it knows") {
  replayed replay;
  replay.store->swallow = [](std::size_t) { return true; };
  auto checker = replay.system.spawn<replay_checker>(replay.directory, replay.transcripts(), replay.plan,
                                                     std::make_shared<const append_outcome>(replay.appended));
  replay.self->send(checker, begin_check{});
  replay.self->send(checker, stop_replay{});
  const auto checked = replay.wait<check_outcome>();
  CHECK(checked.interrupted);
  CHECK(checked.verified == 0);
}
