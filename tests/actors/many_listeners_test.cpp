// Ten thousand who listen to one session get one and the same text, and one and the same block of events.
#include "tests/actors/turns_fixture.hpp"

#include <chrono>
#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t crowd = 10'000;

struct heard_by_all {
  std::set<const void*> blocks{}, texts_so_far{}, parts{};
  std::size_t news = 0, deltas = 0;
};

event_subscriber crowd_actor(turns& service, const std::shared_ptr<heard_by_all>& heard) {
  return caf::actor_cast<event_subscriber>(
      service.steps.system().spawn([heard](event_subscriber::pointer) -> event_subscriber::behavior_type {
        return {[heard](const events_arrived& arrived) {
                  ++heard->news;
                  heard->blocks.insert(arrived.events.get());
                },
                [heard](const delta_arrived& delta) {
                  ++heard->deltas;
                  (delta.is_text_so_far ? heard->texts_so_far : heard->parts).insert(delta.text.get());
                },
                [](const subscription_ended&) {}};
      }));
}

} // namespace

TEST_CASE("what ten thousand listeners get is shared by all of them, and costs no more than one message each") {
  turns service;
  const auto turn = service.start();
  REQUIRE(service.ask(service.part(turn.id, "begun ")));
  const auto heard = std::make_shared<heard_by_all>();
  std::vector<event_subscriber> actors;
  const auto offset = service.record().durable_offset;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < crowd; ++i) {
    if (i % 2 == 0) // some of them are several in one
      actors.push_back(crowd_actor(service, heard));
    service.send(subscribe_events{service.session, actors.back(), offset, {}});
  }
  service.steps.run();
  CHECK(heard->deltas == crowd);
  CHECK(heard->texts_so_far.size() == 1);
  CHECK(service.ask(service.part(turn.id, "part")).value().listeners == crowd);
  CHECK(heard->deltas == 2 * crowd);
  CHECK(heard->parts.size() == 1);
  REQUIRE(service.ask(service.saying("message", turn.id)));
  CHECK(heard->news == crowd);
  CHECK(heard->blocks.size() == 1);
  for (const auto& actor : actors)
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  service.steps.run();
  CHECK(service.ask(service.part(turn.id, "nobody")).value().listeners == 0);
  CHECK(std::chrono::steady_clock::now() - began < 20s); // quadratic, it would be minutes
}

TEST_CASE("the text so far is a new one once more has been said") {
  turns service;
  const auto turn = service.start();
  const auto heard = std::make_shared<heard_by_all>();
  std::vector<event_subscriber> actors;
  for (const char* part : {"a", "b"}) {
    REQUIRE(service.ask(service.part(turn.id, part)));
    actors.push_back(crowd_actor(service, heard));
    REQUIRE(service.ask(subscribe_events{service.session, actors.back(), -1, {}}));
  }
  CHECK(heard->texts_so_far.size() == 2);
}
