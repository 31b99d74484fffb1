// With a journal a turn is handed over once that has it; one that reaches nobody is cancelled.
#include "actors/journal_interface.hpp"
#include "tests/actors/turns_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

struct held_writes {
  std::vector<actors::journal_write> writes{};

  void answer_all() {
    for (auto& each : std::exchange(writes, {}))
      caf::anon_send(each.listener, actors::session_call{actors::journaled{each.write->number}});
  }
};

/// Keeps what it gets, and says nothing of it by itself.
actors::journal_actor spawn_journal(turns& service, std::shared_ptr<held_writes> held) {
  return caf::actor_cast<actors::journal_actor>(
      service.steps.system().spawn([held](caf::event_based_actor*) -> caf::behavior {
        return {[held](const actors::journal_write& write) { held->writes.push_back(write); },
                [](const actors::journal_durable&) {}, [](const actors::journal_process&) {}};
      }));
}

struct journaled_turns : turns {
  journaled_turns() {
    options.journal = spawn_journal(*this, held);
    restart();
    REQUIRE_FALSE(refusal(get_session{session, {}}));
    pool.answers_at_once = false; // durable would be better than journaled
    held->writes.clear();
  }
  ~journaled_turns() { // what it holds holds it
    held->writes.clear();
    caf::anon_send_exit(options.journal, caf::exit_reason::kill);
    steps.run();
    options.journal = nullptr;
  }
  std::shared_ptr<held_writes> held = std::make_shared<held_writes>();
};

} // namespace

TEST_CASE("with a journal a turn is its caller's once the journal has it") {
  journaled_turns service;
  auto granted = service.send(service.wanted({"question"}));
  service.steps.run();
  CHECK_FALSE(*granted);
  REQUIRE(service.held->writes.size() == 1);
  service.held->answer_all();
  service.steps.run();
  REQUIRE_FALSE(code_of(granted));
  auto ended = service.send(service.ending((*granted)->value().turn.id));
  service.steps.run();
  CHECK_FALSE(*ended);
  service.held->answer_all();
  service.steps.run();
  CHECK_FALSE(code_of(ended));
}

TEST_CASE("a turn whose caller goes away before it could be handed over is cancelled at once, and the next starts") {
  journaled_turns service;
  auto gone = service.new_caller();
  gone.ask(service.wanted({"question"}));
  auto next = service.send(service.wanted());
  service.steps.run();
  gone.die();
  service.steps.run();
  while (!service.held->writes.empty()) {
    service.held->answer_all();
    service.steps.run();
  }
  REQUIRE_FALSE(code_of(next));
  CHECK((*next)->value().turn.number == 2);
  service.heal();
  CHECK(service.stored_status(1) == "cancelled");
}

TEST_CASE("a turn that could not be journaled in time is refused and cancelled, so that it blocks nobody") {
  journaled_turns service;
  auto granted = service.send(service.wanted({"question"}));
  service.steps.advance(31s);
  CHECK(code_of(granted) == error_code::deadline_exceeded);
  service.heal();
  CHECK(service.stored_status(1) == "cancelled");
  CHECK(service.record().turn_count == 0);
}
