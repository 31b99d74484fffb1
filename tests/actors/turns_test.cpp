// Asking for a turn: one runs at a time, the others wait in order, and each is numbered, listed and ended.
#include "tests/actors/turns_fixture.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Nothing of the log is in memory and what is read of it waits for answer_read().
void hold_reads(turns& service) {
  service.pool.reads_at_once = false;
}

void answer_reads(turns& service) {
  while (service.pool.answer_read())
    service.steps.run();
}

list_turns page_of(const turns& service, std::size_t limit, std::optional<std::int64_t> before = {}) {
  list_turns request;
  request.session = service.session;
  request.limit = limit;
  request.before = before;
  return request;
}

std::vector<std::int64_t> numbers(const turn_page& page) {
  std::vector<std::int64_t> out;
  for (const auto& turn : page.turns)
    out.push_back(turn.number);
  return out;
}

} // namespace

TEST_CASE("two workers of one conversation never run at once, and their numbers rise") {
  turns service;
  auto first = service.send(service.wanted());
  auto second = service.send(service.wanted());
  service.steps.run();
  REQUIRE(*first);
  CHECK((*first)->value().turn.number == 1);
  CHECK((*first)->value().turn.status == turn_status::running);
  CHECK_FALSE(*second);
  REQUIRE(service.ask(service.ending((*first)->value().turn.id)));
  REQUIRE(*second);
  CHECK((*second)->value().turn.number == 2);
  CHECK((*second)->value().turn.id != (*first)->value().turn.id);
  CHECK(service.events() == texts{"<running 1>", "<completed 1>", "<running 2>"});
}

TEST_CASE("who asked first is served first, whoever ends the turn and however") {
  turns service;
  auto running = service.start();
  std::vector<grant_answer> waiting;
  for (int i = 0; i < 6; ++i)
    waiting.push_back(service.send(service.wanted({std::to_string(i)})));
  service.steps.run();
  std::vector<turn_status> ends{turn_status::completed, turn_status::failed, turn_status::cancelled};
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    CHECK(std::none_of(waiting.begin() + static_cast<std::ptrdiff_t>(i), waiting.end(),
                       [](const auto& each) { return each->has_value(); }));
    REQUIRE(service.ask(service.ending(running.id, ends[i % 3])));
    REQUIRE(*waiting[i]);
    running = (*waiting[i])->value().turn;
    CHECK(running.number == static_cast<std::int64_t>(i) + 2);
  }
  CHECK(service.said() == texts{"0", "1", "2", "3", "4", "5"});
}

TEST_CASE("a wait that is over is turn_in_progress, and nothing of it is written") {
  turns service;
  const auto running = service.start();
  auto request = service.wanted({"never said"});
  request.wait = 5s;
  auto waiting = service.send(request);
  service.steps.advance(4s);
  CHECK_FALSE(*waiting);
  service.steps.advance(1500ms);
  CHECK(code_of(waiting) == error_code::turn_in_progress);
  CHECK((*waiting)->failure().message == "turn 1 is running");
  request.wait = 0s;
  CHECK(service.refusal(request) == error_code::turn_in_progress);
  REQUIRE(service.ask(service.ending(running.id)));
  service.steps.advance(10s);
  CHECK(service.everything() == texts{"<running 1>", "<completed 1>"});
  CHECK(service.stored_status(2).empty());
  CHECK(service.budget->used_bytes() == 0);
  CHECK_FALSE(service.refusal(request)); // nobody runs: who does not want to wait need not
}

TEST_CASE("a queue that is full tells the next one to come back") {
  actors::directory_options options;
  options.turns_queued_max = 2;
  turns service(options);
  const auto running = service.start();
  auto first = service.send(service.wanted());
  auto second = service.send(service.wanted());
  service.steps.run();
  auto refused = service.ask(service.wanted());
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == error_code::overloaded);
  CHECK(refused.failure().retry_after);
  REQUIRE(service.ask(service.ending(running.id)));
  CHECK(*first);
  auto third = service.send(service.wanted());
  service.steps.run();
  CHECK_FALSE(*second);
  CHECK_FALSE(*third);
}

TEST_CASE("a caller who goes away leaves the queue, and holds up nobody") {
  turns service;
  const auto running = service.start();
  auto gone = service.new_caller();
  auto left = gone.ask(service.wanted({"never said"}));
  service.steps.run();
  auto next = service.send(service.wanted());
  service.steps.run();
  CHECK(service.listed().turns.size() == 3);
  gone.die();
  service.steps.run();
  CHECK(service.listed().turns.size() == 2);
  REQUIRE(service.ask(service.ending(running.id)));
  REQUIRE(*next);
  CHECK((*next)->value().turn.number == 2);
  CHECK(service.said().empty());
}

TEST_CASE("a turn is not started for a caller whose death is not known yet") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  const auto running = service.start();
  auto gone = service.new_caller();
  auto left = gone.ask(service.wanted({"never said"}));
  auto next = service.send(service.wanted());
  service.steps.run();
  // The turn's end stands in the session's mailbox when the caller dies, and the word of it comes behind that.
  const auto actor = service.pool.woken(service.session.id);
  REQUIRE(actor);
  gone.die();
  caf::anon_send(actor, actors::session_call{service.ending(running.id)});
  service.steps.run();
  REQUIRE(*next);
  CHECK(service.said().empty());
  CHECK((*next)->value().turn.number == 2);
  CHECK(service.stored_status(3).empty());
}

TEST_CASE("a caller who goes away while the history is read for it gets no turn") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  hold_reads(service);
  auto gone = service.new_caller();
  auto left = gone.ask(service.wanted({"never said"}));
  service.steps.run();
  REQUIRE(service.pool.reads_held() == 1);
  auto next = service.send(service.wanted({"said"}));
  service.steps.run();
  gone.die();
  service.steps.run();
  answer_reads(service);
  REQUIRE(*next);
  CHECK((*next)->value().turn.number == 1);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before", "said"});
}

TEST_CASE("a waiting request is cancelled by the id that its caller chose") {
  turns service;
  const auto running = service.start();
  auto request = service.wanted({"never said"});
  request.id = turn_id::make();
  auto waiting = service.send(request);
  service.steps.run();
  CHECK(service.refusal(service.ending(*request.id)) == error_code::turn_lost); // only a cancel takes it out
  CHECK_FALSE(*waiting);
  const auto cancelled = service.ask(service.ending(*request.id, turn_status::cancelled));
  REQUIRE(cancelled);
  CHECK(cancelled.value().status == turn_status::cancelled);
  CHECK(cancelled.value().id == *request.id);
  CHECK(code_of(waiting) == error_code::turn_lost);
  REQUIRE(service.ask(service.ending(running.id)));
  CHECK(service.everything() == texts{"<running 1>", "<completed 1>"});
}

TEST_CASE("a request is cancelled while its history is being read, and the next one starts") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  hold_reads(service);
  auto request = service.wanted({"never said"});
  request.id = turn_id::make();
  auto cancelled = service.send(request);
  auto next = service.send(service.wanted({"said"}));
  service.steps.run();
  REQUIRE(service.pool.reads_held() == 1);
  auto cancel = service.send(service.ending(*request.id, turn_status::cancelled));
  service.steps.run();
  CHECK_FALSE(code_of(cancel));
  CHECK(code_of(cancelled) == error_code::turn_lost);
  CHECK_FALSE(*next);
  answer_reads(service);
  REQUIRE(*next);
  CHECK((*next)->value().turn.number == 1);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before", "said"});
}

TEST_CASE("the id of a turn is one turn's") {
  turns service;
  const auto running = service.start();
  auto request = service.wanted();
  request.id = running.id;
  CHECK(service.refusal(request) == error_code::conflict);
  request.id = turn_id{};
  CHECK(service.refusal(request) == error_code::conflict);
  request.id = turn_id::make();
  auto waiting = service.send(request);
  service.steps.run();
  CHECK(service.refusal(request) == error_code::conflict);
  REQUIRE(service.ask(service.ending(running.id)));
  REQUIRE(*waiting);
  CHECK((*waiting)->value().turn.id == *request.id);
}

TEST_CASE("a session that is paused or completed cancels the running turn and refuses those who wait") {
  for (const auto status : {session_status::paused, session_status::completed}) {
    turns service;
    const auto running = service.start();
    auto waiting = service.send(service.wanted({"never said"}));
    service.steps.run();
    REQUIRE(service.ask(service.status(status)));
    CHECK(code_of(waiting) == error_code::session_not_active);
    CHECK(service.stored_status(1) == "cancelled");
    CHECK(service.refusal(service.wanted()) == error_code::session_not_active);
    CHECK(service.refusal(service.ending(running.id)) == error_code::turn_lost);
    CHECK(service.said().empty());
    REQUIRE(service.ask(service.status(session_status::active)));
    CHECK(service.start().number == 2);
  }
}

TEST_CASE("a pause while a history is read refuses that request, even if it is over when the history comes") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  hold_reads(service);
  auto waiting = service.send(service.wanted({"never said"}));
  service.steps.run();
  REQUIRE(service.pool.reads_held() == 1);
  auto paused = service.send(service.status(session_status::paused));
  service.steps.run();
  CHECK(code_of(waiting) == error_code::session_not_active);
  auto active = service.send(service.status(session_status::active));
  service.steps.run();
  CHECK_FALSE(code_of(paused));
  CHECK_FALSE(code_of(active));
  answer_reads(service);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before"});
  CHECK(service.stored_status(1).empty());
}

TEST_CASE("those who wait when the session's time has come are told that it has expired") {
  turns service;
  update_session short_life;
  short_life.session = service.session;
  short_life.expires_in = std::optional(10s);
  REQUIRE(service.ask(short_life));
  const auto running = service.start();
  auto waiting = service.send(service.wanted({"never said"}));
  service.steps.advance(20s);
  CHECK(code_of(waiting) == error_code::session_expired);
  CHECK(service.refusal(service.wanted()) == error_code::session_expired);
  CHECK(service.refusal(service.ending(running.id)) == error_code::session_expired);
  CHECK(service.stored_status(1) == "cancelled");
  CHECK(service.everything() == texts{"<running 1>", "<cancelled 1>", "<expired>"});
}

TEST_CASE("a session's turns are listed newest first behind those who wait, whatever is durable of them") {
  turns service;
  service.pool.answers_at_once = false;
  for (int i = 0; i < 4; ++i)
    REQUIRE(service.ask(service.ending(service.start().id)));
  const auto running = service.start();
  auto chosen = service.wanted();
  chosen.id = turn_id::make();
  service.send(chosen);
  service.send(service.wanted());
  for (int round = 0; round < 2; ++round) {
    const auto all = service.listed();
    CHECK(numbers(all) == std::vector<std::int64_t>{0, 0, 5, 4, 3, 2, 1});
    CHECK(all.turns[0].status == turn_status::queued);
    CHECK(all.turns[1].id == *chosen.id); // it asked first, so it is older
    CHECK(all.turns[2].id == running.id);
    CHECK(all.turns[2].status == turn_status::running);
    CHECK(all.turns[3].status == turn_status::completed);
    CHECK_FALSE(all.next_before);

    const auto first = service.ask(page_of(service, 4)).value();
    CHECK(numbers(first) == std::vector<std::int64_t>{0, 0, 5, 4});
    REQUIRE(first.next_before);
    const auto rest = service.ask(page_of(service, 4, first.next_before)).value();
    CHECK(numbers(rest) == std::vector<std::int64_t>{3, 2, 1});
    const auto waiting = service.ask(page_of(service, 1)).value();
    REQUIRE(waiting.next_before);
    const auto next = service.ask(page_of(service, 1, waiting.next_before)).value();
    REQUIRE(next.turns.size() == 1);
    CHECK(next.turns[0].id == *chosen.id);
    CHECK(numbers(service.ask(page_of(service, 1, next.next_before)).value()) == std::vector<std::int64_t>{5});
    service.heal();
  }
  CHECK(service.refusal(page_of(service, 0)) == error_code::invalid_request);
}

TEST_CASE("the last messages of a turn are written with its end, all of them or nothing") {
  turns service;
  const auto turn = service.start();
  auto end = service.ending(turn.id);
  end.events = {message("answer", message_role::assistant), message("\xff")};
  CHECK(service.refusal(end) == error_code::invalid_request);
  end.events.pop_back();
  end.outcome = turn_status::failed;
  CHECK(service.refusal(end) == error_code::invalid_request); // only a completed turn has an answer
  end.outcome = turn_status::completed;
  const auto ended = service.ask(end);
  REQUIRE(ended);
  CHECK(ended.value().status == turn_status::completed);
  CHECK(ended.value().ended_at);
  CHECK_FALSE(ended.value().lease_expires_at);
  CHECK(service.everything() == texts{"<running 1>", "answer", "<completed 1>"});
}

TEST_CASE("why a turn failed stands in its status event") {
  turns service;
  auto end = service.ending(service.start().id, turn_status::failed);
  end.reason = "the \"model\"\nis away";
  REQUIRE(service.ask(end));
  CHECK(service.database->log(service.session.id).back().data.find(R"("reason":"the \"model\"\u000ais away")") !=
        std::string::npos);
  end = service.ending(service.start().id, turn_status::failed);
  end.reason = std::string(limits::title_chars_max + 1, 'x');
  CHECK(service.refusal(end) == error_code::invalid_request);
}

TEST_CASE("pages of turns hold everyone who waits, each once, newest first") {
  turns service;
  const auto done = service.start();
  REQUIRE(service.ask(service.ending(done.id)));
  const auto running = service.start();
  std::vector<turn_id> expected{done.id, running.id};
  for (int i = 0; i < 5; ++i) {
    auto waiting = service.wanted();
    waiting.id = turn_id::make();
    expected.push_back(*waiting.id);
    service.send(waiting);
  }
  service.steps.run();
  std::reverse(expected.begin(), expected.end());
  for (const std::size_t limit : {1, 2, 3, 4, 7, 100}) {
    INFO("limit " << limit);
    list_turns request;
    request.session = service.session;
    request.limit = limit;
    std::vector<turn_id> listed;
    for (int pages = 0; pages < 10; ++pages) {
      const auto page = service.ask(request).value();
      CHECK(page.turns.size() <= limit);
      for (const auto& each : page.turns)
        listed.push_back(each.id);
      request.before = page.next_before;
      if (!page.next_before)
        break;
    }
    CHECK(listed == expected);
  }
}

TEST_CASE("cancelling a turn that waited gives the same answer again, and any other end says that it is lost") {
  turns service;
  service.start();
  auto waiting = service.wanted();
  waiting.id = turn_id::make();
  service.send(waiting);
  const auto first = service.ask(service.ending(*waiting.id, turn_status::cancelled));
  REQUIRE(first);
  service.steps.advance(100ms);
  const auto again = service.ask(service.ending(*waiting.id, turn_status::cancelled));
  REQUIRE(again);
  CHECK(again->status == turn_status::cancelled);
  CHECK(again->ended_at == first->ended_at);
  CHECK(service.refusal(service.ending(*waiting.id)) == error_code::turn_lost);
}

TEST_CASE("a turn that was cancelled while it waited may be asked for again, and is then its caller's") {
  turns service;
  const auto before = service.start();
  auto wanted = service.wanted();
  wanted.id = turn_id::make();
  service.send(wanted);
  REQUIRE(service.ask(service.ending(*wanted.id, turn_status::cancelled)));
  auto again = service.send(wanted);
  REQUIRE(service.ask(service.ending(before.id)));
  REQUIRE(*again);
  REQUIRE_FALSE(code_of(again));
  auto end = service.ending(*wanted.id);
  end.events = {message("answer", message_role::assistant)};
  const auto ended = service.ask(end);
  REQUIRE(ended);
  CHECK(ended->status == turn_status::completed);
  CHECK(service.said() == texts{"answer"});
}
