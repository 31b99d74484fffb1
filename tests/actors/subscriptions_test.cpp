// Who listens: everything from the offset asked for, stored and to come, with no gap and no repeat.
#include "tests/actors/listening_fixture.hpp"

#include <iostream>
#include <memory>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

TEST_CASE("a subscriber gets what is stored, then what comes, each once") {
  for (const std::size_t tail : {std::size_t{0}, std::size_t{6000}, std::size_t{1} << 20})
    for (const event_offset after : {-1, 0, 17, 39}) {
      stepped_service service(small_tails(tail));
      const auto session = service.make_session();
      append_numbered(service, session, 0, 40);
      listener who(service, session, after);
      append_numbered(service, session, 40, 10);
      service.steps.run();
      CHECK(who.seen() == numbers(static_cast<int>(after) + 1, 49));
    }
}

TEST_CASE("a subscriber ahead of the log waits for what is behind its offset") {
  stepped_service service;
  const auto session = service.make_session();
  append_numbered(service, session, 0, 2);
  listener who(service, session, 3);
  append_numbered(service, session, 2, 4);
  CHECK(who.seen() == numbers(4, 5));
}

TEST_CASE("a subscriber gets only what is durable") {
  stepped_service service;
  const auto session = service.make_session();
  listener who(service, session, -1);
  service.pool.answers_at_once = false;
  append_numbered(service, session, 0, 3);
  CHECK(who.seen().empty());
  while (service.pool.answer_next())
    service.steps.run();
  CHECK(who.seen() == numbers(0, 2));
}

TEST_CASE("what is asked of a subscription is checked") {
  stepped_service service;
  const auto session = service.make_session();
  CHECK(refusal(service, subscribe_events{session, event_subscriber{}, -1, {}}) == error_code::invalid_request);
  listener who(service, session, -1);
  CHECK(refusal(service, subscribe_events{session, who.handle(), -2, {}}) == error_code::invalid_request);
  CHECK(refusal(service, subscribe_events{session, who.handle(), -1, "mallory"}) == error_code::not_found);
}

TEST_CASE("one that takes nothing is told to come back, misses nothing, and slows nobody") {
  stepped_service service;
  const auto session = service.make_session();
  listener slow(service, session, -1), quick(service, session, -1);
  slow.takes = false;
  const std::vector<event_input> hundred(100, message("x"));
  int appended_events = 0;
  for (; appended_events < 8000 && !slow.ended(); appended_events += 100) {
    REQUIRE(ask(service, append_of(session, hundred)));
    REQUIRE(quick.offsets().size() == static_cast<std::size_t>(appended_events) + 100);
  }
  REQUIRE(slow.ended());
  CHECK(slow.ended()->why.code == error_code::overloaded);
  CHECK(slow.offsets().size() > limits::subscriber_lag_events_max);
  CHECK(slow.offsets().size() <= limits::subscriber_lag_events_max + 200);
  CHECK(slow.ended()->resume_after == slow.offsets().back());
  const auto before = quick.offsets().size();
  slow.takes = true;
  slow.come_back();
  REQUIRE(ask(service, append_of(session, hundred)));
  CHECK(slow.offsets() == quick.offsets());
  CHECK(quick.offsets().size() == before + 100);
  CHECK_FALSE(slow.ended());
}

TEST_CASE("one that takes nothing is ended for the bytes that wait for it too") {
  stepped_service service;
  const auto session = service.make_session();
  listener slow(service, session, -1);
  slow.takes = false;
  for (int i = 0; i < 10 && !slow.ended(); ++i)
    REQUIRE(ask(service, append_of(session, {message(std::string(std::size_t{2} << 20, 'x'))})));
  REQUIRE(slow.ended());
  CHECK(slow.ended()->why.code == error_code::overloaded);
  CHECK(slow.offsets().size() <= 5);
}

TEST_CASE("of what is stored a slow subscriber has little under way, and gets it all as it takes") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  for (int i = 0; i < 30; ++i)
    REQUIRE(ask(service, append_of(session, std::vector<event_input>(100, message("x")))));
  listener slow(service, session, -1, /*takes=*/false);
  CHECK(slow.offsets().size() == 1000);                      // two pages
  REQUIRE(ask(service, append_of(session, {message("x")}))); // comes when its turn does
  CHECK(slow.offsets().size() == 1000);
  slow.takes = true;
  slow.take_all();
  service.steps.run();
  CHECK(slow.offsets().size() == 3001);
  CHECK_FALSE(slow.ended());
}

TEST_CASE("a subscriber that has ended is forgotten") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  {
    listener gone(service, session, -1), left(service, session, -1);
    passivate(service);
    append_numbered(service, session, 0, 1);
    CHECK(service.pool.wakes(session.id) == 0); // while somebody listens it stays
    left.leave();
    append_numbered(service, session, 1, 1);
    CHECK(left.seen() == numbers(0, 0));
    CHECK(gone.seen() == numbers(0, 1));
  }
  service.steps.run();
  passivate(service);
  append_numbered(service, session, 2, 1);
  CHECK(service.pool.wakes(session.id) == 1);
}

TEST_CASE("what a subscriber says reaches its session also while that is asked to sleep") {
  stepped_service service(short_idle());
  const auto session = service.make_session();
  for (int i = 0; i < 20; ++i)
    REQUIRE(ask(service, append_of(session, std::vector<event_input>(100, message("x")))));
  listener slow(service, session, -1, /*takes=*/false);
  REQUIRE(slow.offsets().size() == 1000);
  service.steps.advance(3s); // idle since long; the directory asks it to sleep each second
  slow.take_all_in(1s);      // right behind that
  service.steps.advance(1s);
  CHECK(slow.offsets().size() == 2000);
  slow.leave_in(1s);
  service.steps.advance(6s);
  REQUIRE(ask(service, get_session{session}));
  CHECK(service.pool.wakes(session.id) == 1); // nobody kept it awake any more
}

TEST_CASE("those who listen hear of the end") {
  stepped_service service;
  auto request = creation();
  request.expires_in = 5s;
  const auto session = ask(service, request)->key;
  append_numbered(service, session, 0, 3);
  listener who(service, session, -1);
  SECTION("erased") {
    REQUIRE(ask(service, erase_session{session}));
    REQUIRE(who.ended());
    CHECK(who.ended()->why.code == error_code::not_found);
  }
  SECTION("expired") {
    service.steps.advance(12s, 250ms);
    REQUIRE(who.ended());
    CHECK(who.ended()->why.code == error_code::session_expired);
  }
  SECTION("another process has it") {
    service.database->take_over_shards();
    service.steps.advance(5s, 250ms);
    REQUIRE(who.ended());
    CHECK(who.ended()->why.code == error_code::not_owner);
  }
  CHECK(who.seen() == numbers(0, 2));
  CHECK(who.ended()->resume_after == 2);
}

TEST_CASE("subscribers of one session are bounded") {
  stepped_service service;
  const auto session = service.make_session();
  listener who(service, session, -1);
  for (std::size_t i = 1; i < limits::subscribers_per_session_max; ++i)
    service.steps.ask<subscribed>(service.directory, subscribe_events{session, who.handle(), -1, {}});
  service.steps.run();
  CHECK(refusal(service, subscribe_events{session, who.handle(), -1, {}}) == error_code::overloaded);
}

TEST_CASE("a read that fails ends a subscription with where to come back") {
  stepped_service service(small_tails(0));
  const auto session = service.make_session();
  append_numbered(service, session, 0, 20);
  service.pool.is_away = true;
  listener who(service, session, 4);
  REQUIRE(who.ended());
  CHECK(who.ended()->why.code == error_code::database_unavailable);
  CHECK(who.ended()->resume_after == 4);
  service.pool.is_away = false;
  who.come_back();
  CHECK(who.seen() == numbers(5, 19));
}

TEST_CASE("whatever happens at the seam, each subscriber sees the durable log once, in order") {
  const random_runs runs(300);
  for (unsigned run = 0; run < runs.count; ++run) {
    INFO("to repeat: COLLOQUY_TEST_SEED=" << runs.first + run);
    std::mt19937 random(runs.first + run);
    const auto roll = [&](int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random); };
    auto options = small_tails(static_cast<std::size_t>(roll(3)) * 3000);
    options.session_idle_timeout = 2s;
    stepped_service service(options);
    const auto session = service.make_session();
    service.pool.answers_at_once = false;
    service.pool.reads_at_once = false;
    std::vector<std::unique_ptr<listener>> all;
    event_offset next = 0;
    for (int step = 0; step < 150; ++step) {
      switch (roll(10)) {
      case 0:
      case 1:
      case 2: {
        const int count = roll(20) == 0 ? 300 : 1 + roll(4);
        auto request = append_of(session, std::vector<event_input>(static_cast<std::size_t>(count), message("x")));
        service.steps.ask<appended>(service.directory, std::move(request));
        next += count;
        break;
      }
      case 3:
      case 4:
        service.pool.answer_next(roll(12) == 0 ? fault::lost_after : fault::none);
        break;
      case 5:
      case 6:
        service.pool.answer_read(static_cast<std::size_t>(roll(2)));
        break;
      case 7:
        if (all.size() < 5)
          all.push_back(std::make_unique<listener>(service, session, roll(static_cast<int>(next) + 1) - 1, roll(2) == 0,
                                                   /*runs=*/false));
        else
          all.erase(all.begin() + roll(5));
        break;
      case 8:
        if (!all.empty()) {
          auto& one = *all[static_cast<std::size_t>(roll(static_cast<int>(all.size())))];
          one.takes = !one.takes;
          one.take_all();
        }
        break;
      default:
        service.steps.advance(roll(2) == 0 ? 100ms : 1500ms, 100ms);
      }
      for (int i = roll(12); i > 0; --i)
        service.steps.step();
      if (roll(3) == 0)
        service.steps.run();
      for (auto& each : all)
        if (each->ended() || each->was_refused())
          each->come_back(/*runs=*/false);
    }
    for (auto& each : all) {
      each->takes = true;
      each->take_all();
    }
    service.heal();
    for (auto& each : all) {
      if (each->ended() || each->was_refused())
        each->come_back();
      each->take_all();
    }
    service.heal();
    const auto& log = service.database->log(session.id);
    for (auto& each : all) {
      const auto offsets = each->offsets();
      const auto first = each->after() + 1;
      REQUIRE(static_cast<event_offset>(offsets.size()) == static_cast<event_offset>(log.size()) - first);
      for (std::size_t i = 0; i < offsets.size(); ++i)
        REQUIRE(offsets[i] == first + static_cast<event_offset>(i));
    }
  }
  std::cout << "subscriptions: " << runs.count << " runs from seed " << runs.first << "\n";
}
