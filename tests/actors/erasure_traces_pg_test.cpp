// What is left of an erased conversation, looked for as bytes: in every table, in the journal's files, in every reply.
//
// Not looked for: what PostgreSQL itself keeps for a while of rows that are deleted; docs/decisions/0008 tells.
#include "tests/actors/erasure_traces.hpp"

using namespace colloquy;
using namespace colloquy::test;

namespace {

std::optional<error_code> code_of(const auto& answer) {
  return answer ? std::nullopt : std::optional(answer.failure().code);
}

/// The same requests once more, under the same keys: they are new.
void repeat_requests(traced_service& service, const session_key& gone, const topic& of) {
  create_session creation;
  creation.tenant = gone.tenant;
  creation.user_id = "somebody";
  creation.repeat = of.repeat("createkey");
  const auto made = service.must(creation);
  CHECK(made.key.id != gone.id);
  CHECK(words_in(text_of(made), of).empty());
  append_events append;
  append.session = gone;
  append.events = {user_message("x")};
  append.repeat = of.repeat("appendkey");
  CHECK(code_of(service.ask(append)) == error_code::not_found);
  start_turn turn;
  turn.session = gone;
  turn.repeat = of.repeat("turnkey");
  CHECK(code_of(service.ask(turn)) == error_code::not_found);
  creation.repeat.reset();
  creation.external_id = of.word("external");
  const auto opened = service.must(open_session{creation});
  CHECK(opened.was_made);
  auto words = words_in(text_of(opened.session), of);
  words.erase("external"); // asked for just now
  CHECK(words.empty());
}

std::int64_t sessions_counted(traced_service& service, const std::string& user) {
  get_analytics request;
  request.tenant = tenant("acme");
  request.from = system_time() - std::chrono::hours{24};
  request.to = system_time() + std::chrono::hours{24};
  request.user_id = user;
  const auto counted = service.must(request);
  return counted.sessions_active + counted.messages + counted.turns_completed + counted.turns_failed;
}

} // namespace

TEST_CASE("of an erased session no word is in any table, in the journal or in a reply") {
  traced_service service;
  const topic of("gone");
  const auto session = service.have_conversation(of);
  const auto listener = service.listen_to(session);
  const auto all = all_of(places());
  REQUIRE(service.in_tables(of) == all);
  REQUIRE_FALSE(words_in(service.replies_about(session), of).empty());
  REQUIRE(sessions_counted(service, of.word("user")) > 0);
  CHECK(service.all_tables().find(of.word("delta")) == std::string::npos); // never kept

  const auto gone = service.must(erase_session{session});
  CHECK(gone.events > 0);

  CHECK(service.in_tables(of).empty());
  CHECK(service.in_journal(of).empty());
  CHECK(words_in(service.replies_about(session), of).empty());
  CHECK(sessions_counted(service, of.word("user")) == 0);
  REQUIRE(eventually([&] { return listener->ended().has_value(); }));
  CHECK(listener->ended()->code == error_code::not_found);
  repeat_requests(service, session, of);
}

TEST_CASE("what a fork shows of an erased session goes with the last fork") {
  traced_service service;
  const topic of("base");
  const auto session = service.have_conversation(of);
  fork_session forking;
  forking.session = session;
  forking.at_offset = 0; // the guest's message
  forking.repeat = of.repeat("createkey");
  const auto fork = service.must(forking).key;
  forking.session = fork;
  const auto second = service.must(forking).key;

  service.must(erase_session{session});
  // What a fork is made with, and the one message that it shows.
  const word_set shown{"agent", "call", "guest", "metakey", "metavalue", "said", "source", "title", "trace", "user"};
  auto kept = shown;
  kept.insert({"createkey", "createkeyprint"}); // of the fork of the fork
  CHECK(service.in_tables(of) == kept);
  CHECK(words_in(service.replies_about(fork), of) == shown);
  const word_set made_with{"agent", "createkey", "createkeyprint", "metakey", "metavalue", "title", "user"};
  CHECK(std::ranges::includes(made_with, service.in_journal(of))); // of the forks, if they still are in it

  service.must(erase_session{fork});
  CHECK(service.in_tables(of) == shown);
  CHECK(words_in(service.replies_about(second), of) == shown);

  service.must(erase_session{second});
  CHECK(service.in_tables(of).empty());
  CHECK(service.in_journal(of).empty());
  CHECK(words_in(service.replies_about(second), of).empty());
}

TEST_CASE("of an erased user no word is in any table or in the journal, also where the user was a guest") {
  traced_service service;
  const topic of("user");
  const topic other("other");
  const auto first = service.have_conversation(of);
  fork_session forking;
  forking.session = first;
  service.must(forking);
  const auto hosted = service.create(other, other.word("user"));
  service.must(set_participant{hosted, of.word("user"), participant_role::writer});
  service.must(set_participant{hosted, other.word("guest"), participant_role::writer});
  append_events append;
  append.session = hosted;
  append.as_user = of.word("user");
  append.events = {other.message("said")};
  service.must(append);
  append.as_user.reset();
  append.events = {other.message("asked")};
  service.must(append);
  service.must(flush{});
  REQUIRE(words_in(service.history_of(hosted), of) == word_set{"user"}); // and the journal knows what is durable

  erase_user erasing;
  erasing.tenant = tenant("acme");
  erasing.user_id = of.word("user");
  const auto gone = service.must(erasing);
  CHECK(gone.sessions == 2);
  CHECK(gone.participants > 0);

  CHECK(service.in_tables(of).empty());
  CHECK(service.in_journal(of).empty());
  CHECK(words_in(service.replies_about(first), of).empty());
  CHECK(words_in(service.replies_about(hosted), of).empty());
  service.must(set_participant{hosted, other.word("guest"), participant_role::reader});
  // What the user said there stays.
  CHECK(words_in(service.replies_about(hosted), other).contains("said"));
}
