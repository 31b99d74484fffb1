// How many agents are at work, who is next, and what becomes of them when the service stops.
#include "tests/actors/agents_fixture.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::vector<session_key> sessions_of(agents_at_work& service, const std::string& tenant, std::size_t count) {
  std::vector<session_key> made;
  for (std::size_t i = 0; i < count; ++i)
    made.push_back(service.make_session(tenant));
  return made;
}

agent_bounds at_most(std::size_t at_work, std::size_t of_a_tenant) {
  agent_bounds bounds;
  bounds.at_work_max = at_work;
  bounds.tenant_at_work_max = of_a_tenant;
  return bounds;
}

turn_status status_of(const pending_answer<agent_turn>& answer) {
  REQUIRE(*answer);
  REQUIRE((*answer)->has_value());
  return (*answer)->value().turn.status;
}

} // namespace

TEST_CASE("a tenant has no more agents at work than it may have, and another tenant is not kept by that") {
  agents_at_work service(at_most(100, 2));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  std::vector<pending_answer<agent_turn>> answers;
  for (const auto& each : sessions_of(service, "acme", 4))
    answers.push_back(service.begin(service.asking_in(each, "x")));
  CHECK(agent.at_work() == 2);
  CHECK(service.figures_of("acme").at_work == 2);
  CHECK(service.figures_of("acme").waiting == 2);
  CHECK(service.figures_of("acme").requests == 4);
  service.begin(service.asking_in(service.make_session("rival"), "y"));
  CHECK(agent.at_work() == 3);
  agent.answer("done");
  CHECK(agent.at_work() == 3); // the next one of the tenant's is at work
  CHECK(service.figures_of("acme").waiting == 1);
  CHECK(status_of(answers[0]) == turn_status::completed);
}

TEST_CASE("two tenants that wait are served in turn, however many one of them sends") {
  agents_at_work service(at_most(1, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  for (const auto& each : sessions_of(service, "acme", 6))
    service.begin(service.asking_in(each, "x"));
  for (const auto& each : sessions_of(service, "rival", 2))
    service.begin(service.asking_in(each, "y"));
  texts order;
  while (agent.at_work() > 0) {
    REQUIRE(agent.at_work() == 1);
    order.push_back(agent.tenants().front());
    agent.answer("done");
  }
  CHECK(order.size() == 8);
  const auto first = [&](std::size_t count) {
    return std::count(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), "rival");
  };
  CHECK(first(3) >= 1);
  CHECK(first(5) == 2);
  CHECK(service.figures().requests == 0);
}

TEST_CASE("a tenant's own bound holds from now on, and is taken away again") {
  agents_at_work service(at_most(100, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  const auto acme = tenant_id::parse("acme").value();
  for (const auto& each : sessions_of(service, "acme", 3))
    service.begin(service.asking_in(each, "x"));
  CHECK(agent.at_work() == 1);
  REQUIRE(service.tell(limit_agents{acme, 3}));
  CHECK(agent.at_work() == 3);
  REQUIRE(service.tell(limit_agents{acme}));
  agent.answer("done");
  service.begin(service.asking("x"));
  CHECK(agent.at_work() == 2);
  CHECK_FALSE(service.tell(limit_agents{acme, 0}));
  CHECK_FALSE(service.tell(limit_agents{acme, 1, 0.0}));
}

TEST_CASE("a turn for which no agent is free in time fails, and says why") {
  agents_at_work service(at_most(1, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  service.begin(service.asking("x"));
  auto wanted = service.asking_in(service.make_session(), "y");
  wanted.wait = 5s;
  auto late = service.begin(wanted);
  service.steps.advance(4s);
  CHECK_FALSE(*late);
  service.steps.advance(1500ms);
  CHECK(status_of(late) == turn_status::failed);
  CHECK((*late)->value().why->code == error_code::overloaded);
  CHECK(agent.at_work() == 1);
  CHECK(service.figures().waiting == 0);
  CHECK(service.figures().requests == 1);
}

TEST_CASE("a turn that is interrupted while it waits for room leaves the line") {
  agents_at_work service(at_most(1, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  service.begin(service.asking_in(service.make_session(), "x")); // has the only place
  auto first = service.begin(service.asking("one"));
  auto second = service.begin(service.asking("two", turn_policy::interrupt));
  CHECK(status_of(first) == turn_status::interrupted);
  CHECK(service.figures().waiting == 1);
  agent.answer("done");
  REQUIRE(agent.at_work() == 1);
  agent.answer("reply");
  CHECK(status_of(second) == turn_status::completed);
}

TEST_CASE("an agent that does not stop keeps its place for a while, and no longer") {
  agents_at_work service(at_most(1, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  service.begin(service.asking("one"));
  auto second = service.begin(service.asking("two", turn_policy::interrupt));
  CHECK(agent.at_work() == 1); // it is still at it
  service.steps.advance(9s);
  CHECK(agent.at_work() == 1);
  service.steps.advance(2s);
  REQUIRE(agent.at_work() == 2);
  agent.answer("reply"); // too late
  agent.answer("reply");
  CHECK(status_of(second) == turn_status::completed);
}

TEST_CASE("requests past the bounds are refused: a tenant's as its quota, all as an overload") {
  auto bounds = at_most(1, 1);
  bounds.requests_max = 5;
  bounds.tenant_requests_max = 3;
  agents_at_work service(bounds);
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  const auto refusal = [&](const std::string& tenant) {
    return code_of(service.begin(service.asking_in(service.make_session(tenant), "x")));
  };
  for (const auto& each : sessions_of(service, "acme", 3))
    service.begin(service.asking_in(each, "x"));
  CHECK(refusal("acme") == error_code::quota_exceeded);
  for (const auto& each : sessions_of(service, "rival", 2))
    service.begin(service.asking_in(each, "x"));
  CHECK(refusal("rival") == error_code::overloaded);
  agent.answer("done");
  auto next = service.begin(service.asking_in(service.make_session("rival"), "x"));
  CHECK_FALSE(*next); // it waits
}

TEST_CASE("no more agents are registered than may be") {
  agent_bounds bounds;
  bounds.agents_max = 3;
  bounds.tenant_agents_max = 2;
  agents_at_work service(bounds);
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent, "a")));
  REQUIRE(service.tell(service.registering(agent, "b")));
  REQUIRE(service.tell(service.registering(agent, "b"))); // in its own place
  CHECK(service.tell(service.registering(agent, "c")).failure().code == error_code::overloaded);
  auto own = service.registering(agent, "c");
  own.tenant = service.session.tenant;
  REQUIRE(service.tell(own));
  own.name = "d";
  CHECK(service.tell(own).failure().code == error_code::overloaded);
}

TEST_CASE("of what an agent writes no more is under way than may be") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  service.begin(service.asking("x"));
  const auto desk = agent.run().desk;
  auto refused = std::make_shared<int>(0);
  auto passed = std::make_shared<int>(0);
  agent.tell([desk, refused, passed](played_self* self) {
    for (int i = 0; i < 100; ++i)
      self->request(desk, 60s, write_delta{"x"})
          .then(
              [refused, passed](const result<delta_passed>& answer) {
                ++*(answer ? passed : refused);
                if (!answer)
                  CHECK(answer.failure().code == error_code::overloaded);
              },
              [](const caf::error&) {});
  });
  CHECK(*passed >= 64);
  CHECK(*refused > 0);
  CHECK(*passed + *refused == 100);
  CHECK_FALSE(code_of(agent.say("again")));
}

TEST_CASE("a service that stops lets agents finish in time, and takes no more turns") {
  agents_at_work service(at_most(1, 1));
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto at_work = service.begin(service.asking("one"));
  auto waits = service.begin(service.asking_in(service.make_session(), "two"));
  auto in_line = service.begin(service.asking("three"));
  auto stopped = service.begin(actors::stop_agents{5s});
  CHECK(status_of(waits) == turn_status::lost);
  CHECK(code_of(in_line) == error_code::database_unavailable);
  CHECK(code_of(service.begin(service.asking_in(service.make_session(), "four"))) == error_code::database_unavailable);
  CHECK_FALSE(*stopped);
  CHECK_FALSE(*at_work);
  agent.answer("done");
  CHECK(status_of(at_work) == turn_status::completed);
  REQUIRE_FALSE(code_of(stopped));
  CHECK((*stopped)->value().cut == 0);
}

TEST_CASE("a service that stops ends the turns of agents that do not finish as lost") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto at_work = service.begin(service.asking("one"));
  auto stopped = service.begin(actors::stop_agents{5s});
  service.steps.advance(4s);
  CHECK_FALSE(*stopped);
  service.steps.advance(2s);
  CHECK(status_of(at_work) == turn_status::lost);
  CHECK((*at_work)->value().why->message == "the service is shutting down");
  CHECK(agent.cancelled.size() == 1);
  CHECK(service.stored_status(1) == "lost");
  REQUIRE_FALSE(code_of(stopped));
  CHECK((*stopped)->value().cut == 1);
}

TEST_CASE("when the agents actor dies its turns are lost, and who asked is told") {
  agents_at_work service;
  played_agent agent(service.steps);
  REQUIRE(service.tell(service.registering(agent)));
  auto answer = service.begin(service.asking("one"));
  caf::anon_send_exit(service.service, caf::exit_reason::kill);
  service.steps.run();
  CHECK(code_of(answer) == error_code::internal);
  CHECK(service.stored_status(1) == "lost");
  CHECK(service.start().number == 2);
}
