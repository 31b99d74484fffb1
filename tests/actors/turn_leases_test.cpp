// How a turn ends: by its owner, by time, with its holder, with the service; and what becomes of what comes too late.
#include "tests/actors/turns_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

start_turn leased(start_turn request, std::chrono::seconds lease) {
  request.lease = lease;
  return request;
}

/// Whatever its owner still sends is refused, and nothing of it is written.
void check_lost(turns& service, turn_id turn) {
  const auto before = service.everything();
  CHECK(service.refusal(service.saying("late", turn)) == error_code::turn_lost);
  auto end = service.ending(turn, turn_status::completed, token_usage{1, 1});
  end.events = {message("late")};
  CHECK(service.refusal(end) == error_code::turn_lost);
  CHECK(service.refusal(service.ending(turn, turn_status::failed)) == error_code::turn_lost);
  CHECK(service.refusal(service.ending(turn, turn_status::cancelled)) == error_code::turn_lost);
  CHECK(service.refusal(service.renewing(turn)) == error_code::turn_lost);
  CHECK(service.refusal(service.part(turn, "late")) == error_code::turn_lost);
  CHECK(service.everything() == before);
  CHECK(service.record().turn_count == 0);
  CHECK(service.record().total_tokens == 0);
}

} // namespace

TEST_CASE("a turn whose lease runs out is lost, the next starts, and the late owner writes nothing") {
  turns service;
  const auto turn = service.ask(leased(service.wanted({"question"}), 10s)).value().turn;
  REQUIRE(turn.lease_expires_at);
  CHECK(*turn.lease_expires_at - turn.started_at == 10s);
  auto next = service.send(service.wanted());
  service.steps.advance(9s);
  CHECK_FALSE(*next);
  service.steps.advance(1500ms);
  REQUIRE_FALSE(code_of(next));
  CHECK(service.stored_status(1) == "lost");
  CHECK(service.events() == texts{"<running 1>", "question", "<lost 1>", "<running 2>"});
  check_lost(service, turn.id);
}

TEST_CASE("a lease that is over counts before anybody has noticed") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 10s)).value().turn;
  service.steps.advance(9900ms);
  CHECK_FALSE(service.refusal(service.saying("in time", turn.id)));
  service.steps.advance(100ms, 100ms);
  auto late = service.send(service.saying("late", turn.id));
  service.steps.run();
  CHECK(code_of(late) == error_code::turn_lost);
  check_lost(service, turn.id);
  CHECK(service.said() == texts{"in time"});
}

TEST_CASE("a lease that is renewed goes on from then") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 10s)).value().turn;
  for (int i = 0; i < 3; ++i) {
    service.steps.advance(9s);
    const auto renewed = service.ask(service.renewing(turn.id, 10s));
    REQUIRE(renewed);
    CHECK(*renewed.value().lease_expires_at == service.steps.clock()() + 10s);
    CHECK(renewed.value().status == turn_status::running);
  }
  service.steps.advance(9s);
  CHECK_FALSE(service.refusal(service.saying("still here", turn.id)));
  CHECK(service.refusal(service.renewing(turn.id, 0s)) == error_code::invalid_request);
  CHECK(service.refusal(service.renewing(turn.id, limits::lease_max + 1s)) == error_code::invalid_request);
  CHECK(service.refusal(service.renewing(turn_id::make())) == error_code::turn_lost);
  service.steps.advance(1500ms);
  CHECK(service.stored_status(1) == "lost");
  CHECK(service.everything() == texts{"<running 1>", "still here", "<lost 1>"});
}

TEST_CASE("a lease can be renewed to be shorter") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 3600s)).value().turn;
  REQUIRE(service.ask(service.renewing(turn.id, 1s)));
  service.steps.advance(1500ms);
  CHECK(service.stored_status(1) == "lost");
}

TEST_CASE("a turn that ends with its holder is lost when that dies, and the next starts") {
  turns service;
  auto holder = service.new_caller();
  auto request = service.wanted();
  request.ends_with_caller = true;
  auto granted = holder.ask(request);
  auto next = service.send(service.wanted());
  service.steps.run();
  REQUIRE_FALSE(code_of(granted));
  CHECK_FALSE(*next);
  holder.die();
  service.steps.run();
  REQUIRE_FALSE(code_of(next));
  CHECK(service.stored_status(1) == "lost");
  check_lost(service, (*granted)->value().turn.id);
}

TEST_CASE("the death of a former holder ends nobody else's turn") {
  turns service;
  auto holder = service.new_caller();
  auto request = service.wanted();
  request.ends_with_caller = true;
  auto granted = holder.ask(request);
  service.steps.run();
  REQUIRE(service.ask(service.ending((*granted)->value().turn.id)));
  const auto other = service.start();
  holder.die();
  service.steps.run();
  CHECK_FALSE(service.refusal(service.ending(other.id)));
}

TEST_CASE("a turn that does not end with its caller goes on when that dies") {
  turns service;
  auto asker = service.new_caller();
  auto granted = asker.ask(service.wanted());
  service.steps.run();
  asker.die();
  service.steps.run();
  CHECK_FALSE(service.refusal(service.ending((*granted)->value().turn.id)));
}

TEST_CASE("ending a turn twice the same way gives the same answer, another way is turn_lost, and it counts once") {
  for (const auto how : {turn_status::completed, turn_status::failed, turn_status::cancelled})
    for (const bool is_durable : {true, false}) {
      turns service;
      service.pool.answers_at_once = is_durable;
      const auto turn = service.start();
      auto end = service.ending(turn.id, how, token_usage{30, 12});
      if (how == turn_status::completed)
        end.events = {message("answer")};
      const auto first = service.ask(end);
      REQUIRE(first);
      for (int round = 0; round < 2; ++round) {
        const auto again = service.ask(end);
        REQUIRE(again);
        CHECK(again.value().ended_at == first.value().ended_at);
        CHECK(again.value().number == 1);
        CHECK(again.value().usage.has_value() == (how != turn_status::cancelled));
        for (const auto other : {turn_status::completed, turn_status::failed, turn_status::cancelled})
          if (other != how)
            CHECK(service.refusal(service.ending(turn.id, other)) == error_code::turn_lost);
        service.start(); // then it is not the last one any more
        REQUIRE(service.ask(service.ending(service.listed().turns.front().id, turn_status::cancelled)));
      }
      service.heal();
      const bool counts = how != turn_status::cancelled;
      CHECK(service.record().turn_count == (counts ? 1 : 0));
      CHECK(service.record().total_tokens == (counts ? 42 : 0));
      CHECK(service.database->turn_count(service.session.id) == (counts ? 1 : 0));
      CHECK(service.database->total_tokens(service.session.id) == (counts ? 42 : 0));
      CHECK(service.said() == (how == turn_status::completed ? texts{"answer"} : texts{}));
    }
}

TEST_CASE("the end of a turn that never was is turn_lost") {
  turns service;
  CHECK(service.refusal(service.ending(turn_id::make())) == error_code::turn_lost);
  auto wrong = service.ending(service.start().id);
  for (const auto how : {turn_status::queued, turn_status::running, turn_status::interrupted, turn_status::rolled_back,
                         turn_status::lost}) {
    wrong.outcome = how;
    CHECK(service.refusal(wrong) == error_code::invalid_request);
  }
}

TEST_CASE("counters stay exact when connections and writers are lost while turns end") {
  for (const auto how : {fault::none, fault::lost_before, fault::lost_after}) {
    turns service;
    service.pool.answers_at_once = false;
    for (int i = 0; i < 5; ++i) {
      REQUIRE(service.ask(service.ending(service.start().id, turn_status::completed, token_usage{3, 4})));
      if (i == 2)
        service.pool.answer_next(how);
      if (i == 3)
        service.kill_writer();
    }
    service.heal();
    CHECK(service.database->turn_count(service.session.id) == 5);
    CHECK(service.database->total_tokens(service.session.id) == 35);
    CHECK(service.record().turn_count == 5);
    CHECK(service.record().total_tokens == 35);
  }
}

TEST_CASE("a session whose actor is killed keeps its turn running, and its counters") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  REQUIRE(service.ask(service.ending(service.start().id, turn_status::completed, token_usage{3, 4})));
  const auto turn = service.start({"question"});
  service.kill_session();
  CHECK_FALSE(service.refusal(service.saying("answer", turn.id)));
  CHECK(service.refusal(service.wanted({}, turn_policy::reject)) == error_code::turn_in_progress);
  REQUIRE(service.ask(service.ending(turn.id, turn_status::completed, token_usage{3, 4})));
  CHECK(service.record().turn_count == 2);
  CHECK(service.record().total_tokens == 14);
  CHECK(service.start().number == 3);
}

TEST_CASE("a session whose actor is killed still loses its turn when the lease is over") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  const auto turn = service.ask(leased(service.wanted(), 5s)).value().turn;
  service.kill_session();
  service.record();
  service.steps.advance(6s);
  CHECK(service.stored_status(1) == "lost");
  check_lost(service, turn.id);
}

TEST_CASE("a session that comes back after its lease was over serves nobody in that turn") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  const auto turn = service.ask(leased(service.wanted(), 5s)).value().turn;
  service.kill_session();
  service.steps.advance(6s);
  auto late = service.send(service.saying("late", turn.id)); // wakes it
  service.steps.run();
  CHECK(code_of(late) == error_code::turn_lost);
  CHECK(service.stored_status(1) == "lost");
}

TEST_CASE("those who wait for a turn when the session's actor dies are told so") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  const auto turn = service.start();
  auto waiting = service.send(service.wanted({"never said"}));
  service.steps.run();
  service.kill_session();
  CHECK(code_of(waiting) == error_code::internal);
  CHECK_FALSE(service.refusal(service.ending(turn.id)));
  CHECK(service.said().empty());
}

TEST_CASE("after a clean restart a running turn keeps its lease") {
  turns service;
  const auto turn = service.ask(leased(service.wanted({"question"}), 60s)).value().turn;
  service.restart();
  CHECK_FALSE(service.refusal(service.saying("answer", turn.id)));
  CHECK(service.refusal(service.wanted({}, turn_policy::reject)) == error_code::turn_in_progress);
  REQUIRE(service.ask(service.ending(turn.id, turn_status::completed, token_usage{3, 4})));
  CHECK(service.events() == texts{"<running 1>", "question", "answer", "<completed 1>"});
  CHECK(service.record().total_tokens == 7);
}

TEST_CASE("a lease that was renewed outlives a clean restart as it was renewed, and no longer") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 5s)).value().turn;
  REQUIRE(service.ask(service.renewing(turn.id, 40s)));
  service.restart(); // takes 15 s
  CHECK_FALSE(service.refusal(service.saying("answer", turn.id)));
  service.steps.advance(26s);
  CHECK(service.refusal(service.saying("late", turn.id)) == error_code::turn_lost);
  CHECK(service.stored_status(1) == "lost");
}

TEST_CASE("after a crash a running turn is lost before anybody is served, and the next is numbered on") {
  turns service;
  const auto turn = service.ask(leased(service.wanted({"question"}), 3600s)).value().turn;
  service.crash();
  auto ended = service.send(service.ending(turn.id, turn_status::completed, token_usage{3, 4})); // wakes it
  auto next = service.send(service.wanted({"again"}));
  service.steps.run();
  CHECK(code_of(ended) == error_code::turn_lost);
  REQUIRE_FALSE(code_of(next));
  CHECK((*next)->value().turn.number == 2);
  CHECK(service.stored_status(2) == "running");
  CHECK(service.events() == texts{"<running 1>", "question", "<lost 1>", "<running 2>", "again"});
  check_lost(service, turn.id);
}

TEST_CASE("a session that is overdue when it wakes writes nothing, because the end of its log is the sweeper's") {
  actors::directory_options options;
  options.sweeping.sweep_interval = std::chrono::hours{1000};
  turns service(options);
  REQUIRE(service.ask(leased(service.wanted({"question"}), 3600s)));
  service.crash();
  service.steps.advance(std::chrono::hours{25}, std::chrono::minutes{10});
  const auto before = service.everything();
  CHECK(service.refusal(get_session{service.session, {}}) == error_code::session_expired);
  service.steps.advance(2s);
  CHECK(service.everything() == before);
}

TEST_CASE("a turn that a clean restart has carried over is lost with a crash of the process that took it over") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 3600s)).value().turn;
  service.restart();
  CHECK_FALSE(service.refusal(service.saying("answer", turn.id)));
  service.crash();
  CHECK(service.refusal(service.saying("late", turn.id)) == error_code::turn_lost);
  CHECK(service.stored_status(1) == "lost");
}

TEST_CASE("a turn is carried over two clean restarts") {
  turns service;
  const auto turn = service.ask(leased(service.wanted(), 3600s)).value().turn;
  service.restart();
  REQUIRE(service.ask(service.saying("1", turn.id)));
  service.restart();
  REQUIRE(service.ask(service.saying("2", turn.id)));
  CHECK_FALSE(service.refusal(service.ending(turn.id)));
  CHECK(service.said() == texts{"1", "2"});
}

TEST_CASE("no sleep while a turn runs, however long nobody asks") {
  turns service(soon_asleep());
  service.sleep_and_wake();
  const auto turn = service.ask(leased(service.wanted(), 3600s)).value().turn;
  const auto wakes = service.pool.wakes(service.session.id);
  service.steps.advance(600s, 500ms);
  CHECK_FALSE(service.refusal(service.ending(turn.id)));
  CHECK(service.pool.wakes(service.session.id) == wakes);
}

TEST_CASE("the end of a turn is written although the budget is used up, so that the next can start") {
  actors::directory_options options;
  options.budget = std::make_shared<byte_budget>(8'000);
  turns service(options);
  const auto turn = service.ask(leased(service.wanted(), 5s)).value().turn;
  service.pool.answers_at_once = false;
  auto large = byte_reservation::take(service.budget, 7'900);
  REQUIRE(large);
  service.steps.advance(6s);
  CHECK(service.refusal(service.ending(turn.id)) == error_code::turn_lost);
  large = nullptr;
  service.heal();
  CHECK(service.stored_status(1) == "lost");
  CHECK(service.budget->used_bytes() == 0);
  CHECK(service.start().number == 2);
}
