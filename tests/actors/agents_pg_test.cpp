// Agents in a whole service, on PostgreSQL.
#include "messages/text_message.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/test_service.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

struct slow_done {};

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(slow_done)

namespace {

using slow_actor = agent_actor::extend<caf::reacts_to<slow_done>>;

agent_actor::behavior_type parrot(agent_actor::pointer self) {
  return {[self](run_turn& turn) -> result<agent_reply> {
            send_delta(self, turn.desk, "so");
            agent_reply reply;
            reply.messages.push_back(turn.history->messages.back());
            reply.messages.back().role = message_role::assistant;
            reply.usage = token_usage{2, 3};
            return reply;
          },
          [](cancel_run&) {}};
}

agent_actor::behavior_type mute(agent_actor::pointer self) {
  return {[self](run_turn&) { return self->make_response_promise<result<agent_reply>>(); }, [](cancel_run&) {}};
}

agent_actor::behavior_type mortal(agent_actor::pointer self) {
  return {[self](run_turn&) {
            auto never = self->make_response_promise<result<agent_reply>>();
            self->quit(caf::exit_reason::kill);
            return never;
          },
          [](cancel_run&) {}};
}

template <class Implementation>
void register_as(test_service& service, const std::string& name, Implementation agent,
                 std::chrono::milliseconds time = 5min) {
  register_agent wanted;
  wanted.name = name;
  wanted.time = time;
  wanted.make = [&system = service.system(), agent] { return caf::actor_cast<agent_actor>(system.spawn(agent)); };
  REQUIRE(ask(service.system(), service.service().agents(), wanted));
}

start_agent_turn asking(const session_key& session, const std::string& agent, const std::string& text) {
  start_agent_turn wanted;
  wanted.session = session;
  wanted.agent = agent;
  wanted.events = {text_message(message_role::user, text).value()};
  return wanted;
}

} // namespace

TEST_CASE("turns of agents are written as other turns are, and one that dies or is late holds nobody up") {
  test_service service;
  const auto session = service.make_session();
  register_as(service, "parrot", parrot);
  register_as(service, "mute", mute, 100ms);
  register_as(service, "mortal", mortal);
  const auto& agents = service.service().agents();
  for (const auto& [name, status] :
       {std::pair{"parrot", "completed"}, {"mortal", "lost"}, {"mute", "lost"}, {"parrot", "completed"}}) {
    auto ended = ask(service.system(), agents, asking(session, name, name));
    REQUIRE(ended);
    CHECK(to_string(ended->turn.status) == status);
  }
  REQUIRE(service.flush_all());
  CHECK(service.database().value("SELECT string_agg(status, ',' ORDER BY number) FROM turns") ==
        "completed,lost,lost,completed");
  CHECK(service.database().value("SELECT turn_count || '/' || total_tokens FROM sessions") == "2/10");
  const auto log = service.log_of(session);
  CHECK(text_of(log.at(2)) == "parrot"); // as the agent said it, after the turn's beginning and the question
  CHECK(log.at(2).role == message_role::assistant);
}

TEST_CASE("many tenants' agents run in one process, each tenant's within its bound") {
  test_service service;
  std::atomic<int> at_work{0};
  std::atomic<int> most{0};
  register_as(service, "slow", [&](slow_actor::pointer self) -> slow_actor::behavior_type {
    auto answers = std::make_shared<std::deque<caf::typed_response_promise<result<agent_reply>>>>();
    return {[&, self, answers](run_turn&) {
              const int now = ++at_work;
              for (int before = most; now > before && !most.compare_exchange_weak(before, now);) {
              }
              answers->push_back(self->make_response_promise<result<agent_reply>>());
              self->delayed_send(self, 2ms, slow_done{});
              return answers->back();
            },
            [](cancel_run&) {},
            [&, answers](slow_done) {
              --at_work;
              answers->front().deliver(result<agent_reply>(agent_reply{}));
              answers->pop_front();
            }};
  });
  constexpr int tenants = 8;
  constexpr int turns = 10;
  for (int i = 0; i < tenants; ++i)
    REQUIRE(ask(service.system(), service.service().agents(), limit_agents{tenant("t" + std::to_string(i)), 2}));
  std::atomic<int> completed{0};
  std::atomic<int> answered{0};
  for (int i = 0; i < tenants * turns; ++i) {
    const auto session = service.make_session("t" + std::to_string(i % tenants));
    service.system().spawn([&, session](caf::event_based_actor* self) {
      self->request(service.service().agents(), call_timeout, asking(session, "slow", "x"))
          .then(
              [&](const result<agent_turn>& ended) {
                completed += ended && ended->turn.status == turn_status::completed ? 1 : 0;
                ++answered;
              },
              [&](const caf::error&) { ++answered; });
    });
  }
  REQUIRE(eventually([&] { return answered == tenants * turns; }, 60s));
  CHECK(completed == tenants * turns);
  CHECK(most <= 2 * tenants);
}

TEST_CASE("a service that stops has written how the turns of its agents ended") {
  test_service service;
  const auto session = service.make_session();
  register_as(service, "mute", mute);
  caf::scoped_actor self{service.system()};
  auto pending = self->request(service.service().agents(), call_timeout, asking(session, "mute", "x"));
  agents_status status;
  while (status.at_work == 0)
    status = ask(service.system(), service.service().agents(), get_agents_status{}).value();
  REQUIRE(service.service().stop(2s));
  std::optional<result<agent_turn>> ended;
  pending.receive([&](result<agent_turn>& answer) { ended = answer; }, [](const caf::error&) {});
  REQUIRE(ended);
  REQUIRE(*ended);
  CHECK((*ended)->turn.status == turn_status::lost);
  CHECK(service.database().value("SELECT status FROM turns") == "lost");
}
