// What becomes of the turn that runs when somebody else wants one: reject, interrupt, rollback, and their races.
#include "tests/actors/turns_fixture.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

void answer_reads(turns& service) {
  while (service.pool.answer_read())
    service.steps.run();
}

append_events keyed(append_events request, const std::string& key) {
  request.repeat = idempotency{key, "same"};
  return request;
}

} // namespace

TEST_CASE("who would rather not wait is rejected while a turn runs or is handed over, and served otherwise") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  const auto rejecting = service.wanted({}, turn_policy::reject);
  const auto turn = service.ask(rejecting).value().turn;
  CHECK(service.refusal(rejecting) == error_code::turn_in_progress);
  REQUIRE(service.ask(service.ending(turn.id)));
  service.pool.reads_at_once = false;
  auto first = service.send(service.wanted());
  service.steps.run();
  CHECK_FALSE(*first);
  auto rejected = service.send(rejecting);
  service.steps.run();
  CHECK(code_of(rejected) == error_code::turn_in_progress);
  answer_reads(service);
  CHECK_FALSE(code_of(first));
}

TEST_CASE("an interrupt ends the running turn at once and keeps what it wrote") {
  turns service;
  const auto first = service.start({"question"});
  REQUIRE(service.ask(service.saying("half an ans", first.id)));
  const auto granted = service.ask(service.wanted({"stop"}, turn_policy::interrupt));
  REQUIRE(granted);
  CHECK(granted.value().turn.number == 2);
  CHECK(texts_of(granted.value().history.messages) == texts{"question", "half an ans", "stop"});
  CHECK(service.events() == texts{"<running 1>", "question", "half an ans", "<interrupted 1>", "<running 2>", "stop"});
  CHECK(service.refusal(service.saying("wer", first.id)) == error_code::turn_lost);
  CHECK(service.refusal(service.ending(first.id)) == error_code::turn_lost);
  CHECK(service.refusal(service.renewing(first.id)) == error_code::turn_lost);
  CHECK(service.refusal(service.part(first.id, "wer")) == error_code::turn_lost);
  CHECK(service.record().turn_count == 0); // neither completed nor failed
}

TEST_CASE("an interrupt goes in front of those who wait, and they go on waiting") {
  turns service;
  service.start();
  auto waiting = service.send(service.wanted({"patient"}));
  service.steps.run();
  const auto granted = service.ask(service.wanted({"urgent"}, turn_policy::interrupt));
  REQUIRE(granted);
  CHECK_FALSE(*waiting);
  REQUIRE(service.ask(service.ending(granted.value().turn.id)));
  REQUIRE(*waiting);
  CHECK(service.said() == texts{"urgent", "patient"});
}

TEST_CASE("an interrupt is served although the queue is full and it would not wait") {
  actors::directory_options options;
  options.turns_queued_max = 1;
  turns service(options);
  service.start();
  service.send(service.wanted());
  auto urgent = service.wanted({}, turn_policy::interrupt);
  urgent.wait = 0s;
  CHECK_FALSE(service.refusal(urgent));
  CHECK(service.stored_status(1) == "interrupted");
}

TEST_CASE("two interrupts at once: both get their turn in order, and the later one's runs on") {
  turns service;
  service.start();
  auto first = service.send(service.wanted({"1"}, turn_policy::interrupt));
  auto second = service.send(service.wanted({"2"}, turn_policy::interrupt));
  service.steps.run();
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK((*first)->value().turn.number == 2);
  CHECK((*second)->value().turn.number == 3);
  CHECK(service.stored_status(1) == "interrupted");
  CHECK(service.stored_status(2) == "interrupted");
  CHECK(service.stored_status(3) == "running");
}

TEST_CASE("interrupts that come while another's history is read end each other in the order in which they came") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  service.pool.reads_at_once = false;
  std::vector<grant_answer> answers;
  answers.push_back(service.send(service.wanted({"0"})));
  service.steps.run();
  REQUIRE(service.pool.reads_held() == 1);
  for (const char* text : {"1", "2", "3"}) {
    auto urgent = service.wanted({text}, turn_policy::interrupt);
    urgent.wait = 0s;
    answers.push_back(service.send(urgent));
    service.steps.run();
  }
  auto patient = service.send(service.wanted({"patient"}));
  service.steps.advance(2s); // they wait for no turn, only for a history
  CHECK(service.pool.reads_held() == 1);
  answer_reads(service);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    INFO(i);
    REQUIRE_FALSE(code_of(answers[i]));
    CHECK((*answers[i])->value().turn.number == static_cast<std::int64_t>(i) + 1);
    CHECK(service.stored_status(static_cast<std::int64_t>(i) + 1) == (i == 3 ? "running" : "interrupted"));
  }
  CHECK_FALSE(*patient);
  service.pool.reads_at_once = true;
  CHECK(service.said() == texts{"before", "0", "1", "2", "3"});
}

TEST_CASE("not more interrupts wait for a slow database than others may wait for a turn") {
  auto options = without_tails();
  options.turns_queued_max = 2;
  turns service(options);
  REQUIRE(service.ask(service.saying("before")));
  service.pool.reads_at_once = false;
  std::vector<grant_answer> answers;
  for (int i = 0; i < 4; ++i)
    answers.push_back(service.send(service.wanted({}, turn_policy::interrupt)));
  service.steps.run();
  CHECK(code_of(answers[3]) == error_code::overloaded);
  answer_reads(service);
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(code_of(answers[static_cast<std::size_t>(i)]));
}

TEST_CASE("an interrupted grant was one: its caller hears of it and finds it ended") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  service.pool.reads_at_once = false;
  auto first = service.send(service.wanted({"1"}));
  service.steps.run();
  auto second = service.send(service.wanted({"2"}, turn_policy::interrupt));
  service.steps.run();
  answer_reads(service);
  service.pool.reads_at_once = true;
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK(service.refusal(service.ending((*first)->value().turn.id)) == error_code::turn_lost);
  CHECK_FALSE(service.refusal(service.ending((*second)->value().turn.id)));
}

TEST_CASE("an interrupt whose history cannot be read has ended the turn, and the next in the queue starts") {
  turns service(without_tails());
  REQUIRE(service.ask(service.saying("before")));
  service.start();
  auto patient = service.send(service.wanted({"patient"}));
  service.steps.run();
  service.pool.reads_at_once = false;
  auto urgent = service.send(service.wanted({"urgent"}, turn_policy::interrupt));
  service.steps.run();
  REQUIRE(service.pool.answer_read(0, fault::lost_before));
  service.steps.run();
  CHECK(code_of(urgent) == error_code::database_unavailable);
  answer_reads(service);
  REQUIRE_FALSE(code_of(patient));
  CHECK(service.stored_status(1) == "interrupted");
}

TEST_CASE("a rollback hides all that the turn wrote, its starting messages too, and nothing of others") {
  for (const bool in_memory : {true, false}) {
    turns service(in_memory ? actors::directory_options{} : without_tails());
    REQUIRE(service.ask(service.saying("before")));
    const auto turn = service.start({"draft"});
    REQUIRE(service.ask(service.saying("more draft", turn.id)));
    REQUIRE(service.ask(service.saying("another's")));
    REQUIRE(service.ask(service.saying("last draft", turn.id)));
    const auto granted = service.ask(service.wanted({"again"}, turn_policy::rollback));
    REQUIRE(granted);
    CHECK(texts_of(granted.value().history.messages) == texts{"before", "another's", "again"});
    CHECK(granted.value().history.trimmed == 0);
    CHECK(service.said() == texts{"before", "another's", "again"});
    CHECK(service.events() == texts{"before", "another's", "<rolled_back 1>", "<running 2>", "again"});
    CHECK(service.everything() == texts{"before", "<running 1>", "draft", "more draft", "another's", "last draft",
                                        "<rolled_back 1>", "<running 2>", "again"});
    CHECK(service.database->log(service.session.id)[6].data.find(turn.id.to_string()) != std::string::npos);
    CHECK(service.record().next_offset == 9); // offsets stay used
    CHECK(service.record().turn_count == 0);
    CHECK(service.refusal(service.saying("late", turn.id)) == error_code::turn_lost);
  }
}

TEST_CASE(
    "what is rolled back stays hidden while its end is not durable, and when it is, and in the next incarnation") {
  turns service(soon_asleep());
  REQUIRE(service.ask(service.saying("before")));
  auto request = service.wanted({"rules of the draft", "draft"});
  request.events[0].role = message_role::system;
  REQUIRE(service.ask(request));
  service.pool.answers_at_once = false;
  auto again = service.send(service.wanted({"again"}, turn_policy::rollback));
  service.steps.run();
  auto meanwhile = service.said();
  CHECK((meanwhile == texts{"before"} || meanwhile == texts{"before", "again"}));
  CHECK(service.events() == texts{"before"});
  service.heal();
  REQUIRE_FALSE(code_of(again));
  CHECK(texts_of((*again)->value().history.messages) == texts{"before", "again"});
  CHECK(service.said() == texts{"before", "again"});
  REQUIRE(service.ask(service.ending((*again)->value().turn.id)));
  service.sleep_and_wake();
  CHECK(service.said() == texts{"before", "again"});
}

TEST_CASE("the system message of a turn that was rolled back leads no later history") {
  turns service(soon_asleep());
  auto request = service.wanted({"rules of the draft", "draft"});
  request.events[0].role = message_role::system;
  REQUIRE(service.ask(request));
  auto budgeted = service.wanted({"again"}, turn_policy::rollback);
  budgeted.token_budget = 1000;
  const auto granted = service.ask(budgeted);
  REQUIRE(granted);
  CHECK(texts_of(granted.value().history.messages) == texts{"again"});
}

TEST_CASE("the first system message that a database read has found leads no history once it is rolled back") {
  turns service(without_tails());
  auto request = service.wanted({"rules of the draft"});
  request.events[0].role = message_role::system;
  REQUIRE(service.ask(request));
  read_history whole;
  whole.session = service.session;
  whole.token_budget = 1000;
  CHECK(texts_of(service.ask(whole).value().messages) == texts{"rules of the draft"});
  REQUIRE(service.ask(service.wanted({"again"}, turn_policy::rollback)));
  CHECK(texts_of(service.ask(whole).value().messages) == texts{"again"});
}

TEST_CASE("an idempotency key of a turn that was rolled back still answers as it did") {
  turns service;
  auto start = service.wanted({"draft"});
  start.repeat = idempotency{"start", "same"};
  const auto turn = service.ask(start).value().turn;
  const auto said = keyed(service.saying("more draft", turn.id), "say");
  const auto first = service.ask(said).value();
  const auto next = service.ask(service.wanted({}, turn_policy::rollback)).value().turn;
  const auto again = service.ask(said);
  REQUIRE(again);
  CHECK(again.value().first_offset == first.first_offset);
  const auto repeated = service.ask(start);
  REQUIRE(repeated);
  CHECK(repeated.value().turn.id == turn.id);
  CHECK(repeated.value().turn.status == turn_status::rolled_back);
  CHECK(service.listed().turns.front().id == next.id);
  CHECK(service.said().empty());
}

TEST_CASE("a rollback whose caller is refused leaves the running turn alone") {
  turns service;
  const auto turn = service.start({"draft"});
  auto request = service.wanted({"\xff"}, turn_policy::rollback);
  CHECK(service.refusal(request) == error_code::invalid_request);
  CHECK(service.said() == texts{"draft"});
  CHECK_FALSE(service.refusal(service.ending(turn.id)));
}

TEST_CASE("a turn that comes to its end just before an interrupt keeps its end") {
  turns service;
  const auto turn = service.start();
  auto ended = service.send(service.ending(turn.id));
  auto urgent = service.send(service.wanted({}, turn_policy::rollback));
  service.steps.run();
  CHECK_FALSE(code_of(ended));
  CHECK_FALSE(code_of(urgent));
  CHECK(service.stored_status(1) == "completed");
  CHECK(service.events() == texts{"<running 1>", "<completed 1>", "<running 2>"});
}

TEST_CASE("a turn that comes to its end just after an interrupt is lost to its owner") {
  turns service;
  const auto turn = service.start();
  auto urgent = service.send(service.wanted({}, turn_policy::interrupt));
  auto end = service.ending(turn.id, turn_status::completed, token_usage{1, 2});
  end.events = {message("too late")};
  auto ended = service.send(end);
  service.steps.run();
  CHECK(code_of(ended) == error_code::turn_lost);
  CHECK(service.said().empty());
  CHECK(service.record().total_tokens == 0);
}

TEST_CASE("how many messages a later history leaves out does not count what was rolled back") {
  for (const bool wakes : {false, true}) {
    auto options = wakes ? soon_asleep() : without_tails();
    options.session_idle_timeout = 1s;
    turns service(options);
    for (const char* text : {"1", "2", "3"})
      REQUIRE(service.ask(service.saying(text)));
    service.sleep_and_wake();
    const auto turn = service.start({"draft"});
    for (int i = 0; i < 3; ++i)
      REQUIRE(service.ask(service.saying("more draft", turn.id)));
    if (wakes)
      service.kill_session();
    auto request = service.wanted({"own"}, turn_policy::rollback);
    request.events[0].tokens = 10;
    request.token_budget = 20;
    const auto granted = service.ask(request);
    REQUIRE(granted);
    CHECK(texts_of(granted.value().history.messages) == texts{"2", "3", "own"});
    CHECK(granted.value().history.trimmed == 1);
    const auto& row = service.database->tables().sessions.at(service.session.id.bytes).turns.at(1).row;
    CHECK(db::decode_int8(*row[count]) == 4); // from which the database tells what is hidden
  }
}

TEST_CASE("whenever one cuts in, turns never overlap, and everybody is told what is so") {
  for (const auto policy : {turn_policy::interrupt, turn_policy::rollback})
    for (const bool in_memory : {true, false})
      for (int when = 0; when < 60; ++when) {
        INFO("cuts in before message " << when);
        turns service(in_memory ? actors::directory_options{} : without_tails());
        REQUIRE(service.ask(service.saying("before")));
        auto first = service.wanted({"1"});
        first.id = turn_id::make();
        auto granted = service.send(first);
        auto patient = service.send(service.wanted({"2"}));
        auto said = service.send(service.saying("within", *first.id));
        auto ended = service.send(service.ending(*first.id, turn_status::completed, token_usage{3, 4}));
        for (int i = 0; i < when; ++i)
          service.steps.step();
        auto urgent = service.send(service.wanted({"urgent"}, policy));
        service.steps.run();
        REQUIRE_FALSE(code_of(urgent));
        const auto number = (*urgent)->value().turn.number;
        REQUIRE_FALSE(code_of(granted));
        const auto running_now = [&] { return running_at_end_of(service.database->log(service.session.id)); };
        const bool completed = !code_of(ended);
        CHECK(service.record().turn_count == (completed ? 1 : 0));
        CHECK(service.record().total_tokens == (completed ? 7 : 0));
        const auto all = service.everything();
        CHECK(std::count(all.begin(), all.end(), "within") == (code_of(said) ? 0 : 1));
        if (!*patient) {
          CHECK(running_now() == number);
          REQUIRE(service.ask(service.ending((*urgent)->value().turn.id)));
          REQUIRE_FALSE(code_of(patient));
        }
        CHECK(running_now() == std::max(number, (*patient)->value().turn.number));
      }
}
