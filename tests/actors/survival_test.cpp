// What the crash checker (tests/checker/) found, on stepped time.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

granted_turn run_turn(stepped_service& service, const session_key& session) {
  auto granted = service.steps.ask<granted_turn>(service.directory, start_turn{session});
  service.steps.run();
  return granted->value().value();
}

turn_status newest_status(stepped_service& service, const session_key& session) {
  auto page = service.steps.ask<turn_page>(service.directory, list_turns{session});
  service.steps.run();
  return page->value().value().turns.at(0).status;
}

} // namespace

TEST_CASE("an old renewal that a journal still has does not bring back a turn that has ended since") {
  stepped_service service;
  const auto session = service.make_session();
  const auto granted = run_turn(service, session);
  auto renewal = std::make_shared<db::session_write>();
  renewal->session = session;
  renewal->log = log_id{session.id.bytes};
  renewal->number = 3;
  db::turn_row renewed;
  static_cast<turn_record&>(renewed) = granted.turn;
  renewal->turns.push_back(renewed);

  end_turn request;
  request.session = session;
  request.turn = granted.turn.id;
  request.usage = token_usage{10, 20};
  service.steps.ask<turn_record>(service.directory, request);
  service.steps.run();
  REQUIRE(newest_status(service, session) == turn_status::completed);

  actors::replay_session replay{session, {{renewal}}};
  auto replayed = service.steps.ask<actors::replayed>(caf::actor_cast<caf::actor>(service.directory), replay);
  service.steps.run();
  REQUIRE(replayed->value());
  CHECK(newest_status(service, session) == turn_status::completed);
}

TEST_CASE("whoever waits for a turn when the service ends is told that it shuts down") {
  stepped_service service;
  const auto session = service.make_session();
  run_turn(service, session);
  auto waiting = service.steps.ask<granted_turn>(service.directory, start_turn{session});
  service.steps.run();
  REQUIRE_FALSE(*waiting);
  caf::anon_send_exit(service.directory, caf::exit_reason::user_shutdown);
  service.steps.run();
  REQUIRE(*waiting);
  CHECK((*waiting)->failure().code == error_code::database_unavailable); // not `internal`, which is a fault of ours
}

TEST_CASE("no turn begins behind the flush of a service that ends, where nothing would be kept of it") {
  stepped_service service;
  const auto session = service.make_session();
  start_turn request;
  request.session = session;
  request.lease = 2s;
  service.steps.ask<granted_turn>(service.directory, request);
  service.steps.run();
  auto waiting = service.steps.ask<granted_turn>(service.directory, start_turn{session});
  service.steps.run();
  REQUIRE_FALSE(*waiting);
  auto closed = service.steps.ask<actors::directory_closed>(caf::actor_cast<caf::actor>(service.directory),
                                                            actors::close_directory{});
  service.steps.run();
  REQUIRE(closed->value());
  auto done = service.steps.ask<flushed>(service.directory, flush{});
  service.steps.run();
  REQUIRE(done->value());
  service.steps.advance(3s, 100ms); // the lease runs out before the service is gone
  const bool is_granted = waiting->has_value() && (*waiting)->has_value();
  CHECK_FALSE(is_granted);
}
