// Turns that agents run: what an agent gets and gives, and how its turn ends.
#include "tests/actors/agents_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::string why_of(const pending_answer<agent_turn>& answer) {
  REQUIRE(*answer);
  REQUIRE((*answer)->has_value());
  return (*answer)->value().why ? (*answer)->value().why->message : "";
}

turn_status status_of(const pending_answer<agent_turn>& answer) {
  REQUIRE(*answer);
  REQUIRE((*answer)->has_value());
  return (*answer)->value().turn.status;
}

/// The turn has ended so, the log says so, nobody is at work, and the next turn goes on.
void check_ended(agents_at_work& service, const pending_answer<agent_turn>& answer, turn_status how) {
  CHECK(status_of(answer) == how);
  const auto number = (*answer)->value().turn.number;
  CHECK(service.stored_status(number) == to_string(how));
  played_agent next(service.steps);
  REQUIRE(service.tell(service.registering(next)));
  auto after = service.begin(service.asking("next"));
  service.steps.advance(15s);
  REQUIRE(next.at_work() == 1);
  next.answer("done");
  CHECK(status_of(after) == turn_status::completed);
  CHECK(service.figures().requests == 0);
  CHECK(service.figures().at_work == 0);
}

} // namespace

TEST_CASE("an agent gets the history, and its reply completes the turn") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  REQUIRE(service.ask(service.saying("before")));
  auto answer = service.begin(service.asking("question"));
  REQUIRE(agent.at_work() == 1);
  CHECK_FALSE(*answer);
  const auto& got = agent.run();
  CHECK(got.agent == "guide");
  CHECK(got.session == service.session);
  CHECK(got.turn.number == 1);
  CHECK(texts_of(got.history->messages) == texts{"before", "question"});
  CHECK(got.time == 5min);
  CHECK(service.figures().at_work == 1);

  agent.answer("reply");
  CHECK(status_of(answer) == turn_status::completed);
  CHECK(why_of(answer).empty());
  REQUIRE((*answer)->value().messages.size() == 1);
  CHECK((*answer)->value().messages[0].data == "reply");
  CHECK(service.said() == texts{"before", "question", "reply"});
  CHECK(service.record().total_tokens == 7);
  CHECK(service.events() == texts{"before", "<running 1>", "question", "reply", "<completed 1>"});
  CHECK(service.figures().requests == 0);
}

TEST_CASE("what an agent writes while it is at work is heard, and in the log, before its turn ends") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  hearer hears(service.steps);
  REQUIRE(service.ask(subscribe_events{service.session, hears.handle}));
  auto answer = service.begin(service.asking("question"));
  auto passed = agent.say("Twelve");
  REQUIRE_FALSE(code_of(passed));
  CHECK((*passed)->value().listeners == 1);
  agent.say(" hours");
  REQUIRE(hears.deltas.size() == 2);
  CHECK(*hears.deltas[0].text + *hears.deltas[1].text == "Twelve hours");
  CHECK(hears.deltas[0].turn == agent.run().turn.id);
  write_events call;
  call.events = {message("call", message_role::assistant), message("result", message_role::tool)};
  auto written = agent.write(call, agent.run().desk);
  REQUIRE_FALSE(code_of(written));
  CHECK((*written)->value().count == 2);
  agent.answer("reply");
  CHECK(status_of(answer) == turn_status::completed);
  CHECK(hears.events == texts{"<running 1>", "question", "call", "result", "reply", "<completed 1>"});
  CHECK(service.said() == texts{"question", "call", "result", "reply"});
}

TEST_CASE("an agent that answers with an error fails its turn, with the reason in the log") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("question"));
  agent.refuse({error_code::overloaded, "the model is away"});
  CHECK(why_of(answer) == "the model is away");
  CHECK(service.database->log(service.session.id).back().data.find("the model is away") != std::string::npos);
  check_ended(service, answer, turn_status::failed);
}

TEST_CASE("a reason that the log cannot hold is cut, or replaced") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  for (const auto& reason : {std::string(5000, 'x'), std::string("\xff"), std::string("a\0b", 3)}) {
    auto answer = service.begin(service.asking("question"));
    agent.refuse({error_code::internal, reason});
    CHECK(status_of(answer) == turn_status::failed);
  }
}

TEST_CASE("a reply that the session refuses fails the turn and says why") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("question"));
  agent_reply reply;
  reply.messages.push_back(message(std::string(limits::event_bytes_max + 1, 'x'), message_role::assistant));
  agent.answer(std::move(reply));
  CHECK_THAT(why_of(answer), ContainsSubstring("refused"));
  check_ended(service, answer, turn_status::failed);
}

TEST_CASE("the turn of an agent that dies is lost at once") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("question"));
  agent.die();
  service.steps.run();
  CHECK_THAT(why_of(answer), ContainsSubstring("ended"));
  CHECK(service.figures().registered == 0); // it cannot be made anew
  check_ended(service, answer, turn_status::lost);
}

TEST_CASE("an agent that can be made is made anew after it has died") {
  agents_at_work service;
  played_agent agent(service.steps);
  register_agent wanted;
  wanted.name = "guide";
  wanted.make = [&] {
    agent.live_again();
    return agent.handle();
  };
  REQUIRE(service.tell(wanted));
  CHECK(agent.made == 1); // by the test: nobody has needed it
  auto answer = service.begin(service.asking("one"));
  REQUIRE(agent.made == 2);
  agent.die();
  service.steps.run();
  CHECK(status_of(answer) == turn_status::lost);
  answer = service.begin(service.asking("two"));
  CHECK(agent.made == 3);
  REQUIRE(agent.at_work() == 1);
  agent.answer("reply");
  CHECK(status_of(answer) == turn_status::completed);
}

TEST_CASE("a turn whose agent cannot be made fails, and the next goes on") {
  agents_at_work service;
  register_agent wanted;
  wanted.name = "guide";
  SECTION("it throws") {
    wanted.make = []() -> agent_actor { throw std::runtime_error("no memory"); };
  }
  SECTION("it gives none") {
    wanted.make = [] { return agent_actor{}; };
  }
  REQUIRE(service.tell(wanted));
  auto answer = service.begin(service.asking("question"));
  CHECK_THAT(why_of(answer), ContainsSubstring("could not be made"));
  check_ended(service, answer, turn_status::failed);
}

TEST_CASE("an agent that is not done in its time loses its turn, is told, and what it says then is refused") {
  agents_at_work service;
  played_agent agent(service.steps);
  auto wanted = service.registering(agent);
  wanted.time = 100s; // longer than a lease, which is renewed meanwhile
  REQUIRE(service.tell(wanted));
  auto answer = service.begin(service.asking("question"));
  service.steps.advance(99s);
  CHECK_FALSE(*answer);
  REQUIRE_FALSE(code_of(agent.say("still here")));
  service.steps.advance(1100ms);
  CHECK_THAT(why_of(answer), ContainsSubstring("time"));
  REQUIRE(agent.cancelled.size() == 1);
  CHECK(agent.cancelled[0].turn == agent.run().turn.id);
  CHECK(code_of(agent.say("late")) == error_code::turn_lost);
  check_ended(service, answer, turn_status::lost);
  CHECK(service.said() == texts{"question", "next", "done"});
}

TEST_CASE("a turn that is interrupted is taken from its agent, and the other one begins at once") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  const auto policy = GENERATE(turn_policy::interrupt, turn_policy::rollback);
  auto first = service.begin(service.asking("one"));
  auto second = service.begin(service.asking("two", policy));
  CHECK(status_of(first) == (policy == turn_policy::interrupt ? turn_status::interrupted : turn_status::rolled_back));
  REQUIRE(agent.cancelled.size() == 1);
  REQUIRE(agent.at_work() == 2);
  CHECK(code_of(agent.say("late", 0)) == error_code::turn_lost);
  agent.answer("too late"); // of the first
  agent.answer("reply");
  CHECK(status_of(second) == turn_status::completed);
  CHECK(service.said() == (policy == turn_policy::interrupt ? texts{"one", "two", "reply"} : texts{"two", "reply"}));
  CHECK(service.figures().requests == 0);
}

TEST_CASE("whoever knows its id cancels a turn, at work or waiting in line") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto asked = service.asking("one");
  asked.id = turn_id::make();
  auto first = service.begin(asked);
  auto waits = service.asking("two");
  waits.id = turn_id::make();
  auto second = service.begin(waits);
  REQUIRE(service.ask(service.ending(*waits.id, turn_status::cancelled)));
  CHECK(code_of(second) == error_code::turn_lost);
  REQUIRE(service.ask(service.ending(*asked.id, turn_status::cancelled)));
  REQUIRE(agent.cancelled.size() == 1);
  agent.answer("too late");
  check_ended(service, first, turn_status::cancelled);
}

TEST_CASE("a session that is paused takes the turn from its agent") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("one"));
  REQUIRE(service.ask(service.status(session_status::paused)));
  CHECK(status_of(answer) == turn_status::cancelled);
  CHECK(agent.cancelled.size() == 1);
}

TEST_CASE("an agent that nobody has registered gets no turn, and nothing is written") {
  agents_at_work service;
  auto answer = service.begin(service.asking("question"));
  CHECK(code_of(answer) == error_code::not_found);
  CHECK_THAT((*answer)->failure().message, ContainsSubstring("guide"));
  CHECK(service.everything().empty());
  CHECK(service.figures().requests == 0);
}

TEST_CASE("a session's own agent is asked where none is named") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  create_session creation;
  creation.tenant = service.session.tenant;
  creation.user_id = "ada";
  creation.agent_id = "guide";
  const auto made = service.ask(creation).value().key;
  auto asked = service.asking_in(made, "question");
  asked.agent.reset();
  auto answer = service.begin(asked);
  REQUIRE(agent.at_work() == 1);
  agent.answer("reply");
  CHECK(status_of(answer) == turn_status::completed);
  asked.session = service.session; // which has none
  CHECK(code_of(service.begin(asked)) == error_code::invalid_request);
}

TEST_CASE("a tenant's own agent comes before everybody's of that name, and is nobody else's") {
  agents_at_work service;
  played_agent own(service.steps);
  played_agent common(service.steps);
  auto wanted = service.registering(own);
  wanted.tenant = service.session.tenant;
  REQUIRE(service.tell(wanted));
  const auto other = service.make_session("rival");
  CHECK(code_of(service.begin(service.asking_in(other, "x"))) == error_code::not_found);
  REQUIRE(service.tell(service.registering(common)));
  service.begin(service.asking("one"));
  service.begin(service.asking_in(other, "two"));
  CHECK(own.tenants() == texts{"acme"});
  CHECK(common.tenants() == texts{"rival"});
}

TEST_CASE("a request that comes again is answered with the turn that the first one got, and runs nothing") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto asked = service.asking("question");
  asked.repeat = idempotency{"key", "print"};
  auto first = service.begin(asked);
  auto meanwhile = service.begin(asked);
  CHECK(status_of(meanwhile) == turn_status::running);
  agent.answer("reply");
  auto again = service.begin(asked);
  CHECK(status_of(again) == turn_status::completed);
  CHECK((*again)->value().turn.id == (*first)->value().turn.id);
  CHECK(agent.at_work() == 0);
  CHECK(service.said() == texts{"question", "reply"});
}

TEST_CASE("a turn goes on when who asked for it has gone") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  {
    auto asker = service.steps.system().spawn([&](caf::event_based_actor* self) {
      self->request(service.service, 3600s, service.asking("question"))
          .then([](const result<agent_turn>&) {}, [](const caf::error&) {});
    });
    service.steps.run();
    caf::anon_send_exit(asker, caf::exit_reason::kill);
  }
  service.steps.run();
  REQUIRE(agent.at_work() == 1);
  agent.answer("reply");
  CHECK(service.said() == texts{"question", "reply"});
}

TEST_CASE("a session that dies under an agent's turn takes its end all the same") {
  agents_at_work service;
  service.sleep_and_wake();
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("question"));
  REQUIRE(service.ask(flush{}));
  service.kill_session();
  agent.answer("reply");
  service.steps.advance(5s);
  CHECK(status_of(answer) == turn_status::completed);
  CHECK(service.said() == texts{"question", "reply"});
}

TEST_CASE("what an agent is registered with is checked, and named when it is wrong") {
  agents_at_work service;
  played_agent agent(service.steps);
  const auto refusal = [&](auto change) {
    auto wanted = service.registering(agent);
    change(wanted);
    auto answer = service.tell(wanted);
    return answer ? std::string() : answer.failure().message;
  };
  CHECK_THAT(refusal([](auto& wanted) { wanted.name = ""; }), ContainsSubstring("name"));
  CHECK_THAT(refusal([](auto& wanted) { wanted.name = std::string(256, 'x'); }), ContainsSubstring("255"));
  CHECK_THAT(refusal([](auto& wanted) { wanted.agent = nullptr; }), ContainsSubstring("make"));
  CHECK_THAT(refusal([](auto& wanted) { wanted.time = 0ms; }), ContainsSubstring("0 ms"));
  CHECK_THAT(refusal([](auto& wanted) { wanted.time = 3601s; }), ContainsSubstring("3601000 ms"));
  CHECK(refusal([](auto&) {}).empty());
  CHECK(service.tell(remove_agent{"guide", {}}));
  CHECK(service.tell(remove_agent{"guide", {}}).failure().code == error_code::not_found);
  CHECK(code_of(service.begin(service.asking("question"))) == error_code::not_found);
}
