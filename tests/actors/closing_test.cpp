// A service that ends: what it has accepted before its last flush is kept, and behind that it accepts nothing.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

auto close(stepped_service& service) {
  return service.steps.ask<actors::directory_closed>(caf::actor_cast<caf::actor>(service.directory),
                                                     actors::close_directory{});
}

} // namespace

TEST_CASE("what waits for its session to wake when the service ends is refused, not accepted behind the last flush") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 1);
  crash(service);
  service.pool.reads_at_once = false;
  auto append = begin(service, append_of(session, {message("late")}));
  auto end = begin(service, end_of(session, turn_id::make()));
  auto read = begin(service, history_of(session));
  auto closed = close(service);
  service.steps.run();
  CHECK(*closed);
  REQUIRE(ask(service, flush{}));
  while (service.pool.reads_held() > 0 && service.pool.answer_read())
    service.steps.run();
  REQUIRE(*append);
  REQUIRE(*end);
  CHECK(code_of(append) == error_code::database_unavailable);
  CHECK(code_of(end) == error_code::database_unavailable);
  REQUIRE(*read);
  CHECK((*read)->has_value()); // reading harms nobody
  CHECK(service.stored(session) == texts{"0"});
}

TEST_CASE("what is held for a session that falls asleep when the service ends is refused, and wakes nobody") {
  actors::directory_options options;
  options.sessions_resident_max = 10;
  stepped_service service(options);
  std::vector<session_key> all;
  for (int i = 0; i < 9; ++i)
    all.push_back(service.make_session());
  service.steps.advance(2s);
  const auto oldest = all.front();
  for (std::size_t i = 1; i < all.size(); ++i)
    REQUIRE(ask(service, get_session{all[i], {}}));
  service.steps.advance(2s);
  service.steps.ask<session_record>(service.directory, creation()); // the oldest one is asked to sleep for it
  auto held = service.steps.ask<granted_turn>(service.directory, start_turn{oldest});
  auto closed = close(service);
  service.steps.run();
  CHECK(*closed);
  REQUIRE(*held);
  CHECK(code_of(held) == error_code::database_unavailable);
  CHECK(service.pool.wakes(oldest.id) == 0);
}
