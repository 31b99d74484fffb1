// What a writer owes to sessions that were refused, to those who wait for it, and to the pool.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

namespace {

actors::directory_options one_append_a_batch() {
  actors::directory_options options;
  options.writing.batch_events_max = 1;
  return options;
}

/// As a service sets it.
actors::directory_options gathering() {
  actors::directory_options options;
  options.writing.side_by_side_writes_min = 128;
  options.writing.gathering_max = 2ms;
  return options;
}

} // namespace

TEST_CASE("nothing that a session wrote behind a refused write is written, however long it has to wait") {
  stepped_service service(one_append_a_batch());
  service.database->poison = "poison";
  const auto refused = service.make_session(), other = service.make_session();
  service.pool.answers_at_once = false;
  service.append(refused, {"poison"});
  service.steps.run();
  for (const char* text : {"1", "2", "3"}) // between the refused write and what follows it
    service.append(other, {text});
  service.steps.run();
  service.append(refused, {"after"});
  service.append(refused, {"after that"});
  service.append(other, {"4"});
  service.steps.run();
  service.heal();
  CHECK(service.stored(refused).empty());
  CHECK(service.stored(other) == texts{"1", "2", "3", "4"});
}

TEST_CASE("a flush behind what a refused session wrote is answered when the rest is durable") {
  stepped_service service(one_append_a_batch());
  service.database->poison = "poison";
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  for (const char* text : {"poison", "after", "after that"})
    service.append(session, {text});
  service.steps.run();
  auto done = service.steps.ask<flushed>(service.directory, flush{});
  service.steps.run();
  service.heal(); // takes less than the barrier's own time
  REQUIRE(*done);
  REQUIRE((*done)->has_value());
  CHECK((*done)->value().sessions_refused == 1);
}

TEST_CASE("the next writer still knows of the sessions that were refused, and is not asked to write them again") {
  stepped_service service;
  service.database->poison = "poison";
  const auto session = service.make_session();
  service.append(session, {"poison"});
  service.steps.run();
  service.database->poison = "nothing"; // it would be written now, though its session has stopped
  service.kill_writer();
  service.heal();
  CHECK(service.stored(session).empty());
  auto done = service.steps.ask<flushed>(service.directory, flush{});
  service.steps.run();
  REQUIRE(*done);
  REQUIRE((*done)->has_value());
  CHECK((*done)->value().sessions_refused == 1);
}

TEST_CASE("a flush that waits while the writer is killed is answered by the next one") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  service.append(session, {"a"});
  service.steps.run();
  auto done = service.steps.ask<flushed>(service.directory, flush{});
  service.steps.run();
  CHECK_FALSE(*done);
  service.kill_writer();
  service.heal();
  REQUIRE(*done);
  CHECK((*done)->has_value());
  CHECK(service.stored(session) == texts{"a"});
}

TEST_CASE("a claim that fails on a living connection gives that connection back before another is leased") {
  stepped_service service;
  const auto session = service.make_session();
  for (int i = 0; i < 5; ++i) // the row is locked: each claim runs into the statement's timeout
    service.database->failures.push_back({db::failure_kind::wait, "57014", "canceling statement"});
  service.kill_writer();
  service.append(session, {"a"});
  service.steps.advance(20s);
  CHECK(service.pool.leases() >= 3);
  CHECK(service.pool.leases_kept() == 0);
  service.heal();
  CHECK(service.stored(session) == texts{"a"});
}

TEST_CASE("a fenced writer counts each session that it stops once") {
  stepped_service service(one_append_a_batch());
  const auto first = service.make_session(), second = service.make_session();
  service.database->take_over();
  for (int i = 0; i < 3; ++i) {
    service.append(first, {"x"});
    service.append(second, {"y"});
  }
  service.steps.run();
  auto done = service.steps.ask<flushed>(service.directory, flush{});
  service.steps.advance(1s);
  REQUIRE(*done);
  REQUIRE((*done)->has_value());
  CHECK((*done)->value().sessions_refused == 2);
}

TEST_CASE("a writer whose backend is gone takes another one, whenever it hears of it") {
  stepped_service service;
  const auto session = service.make_session();
  SECTION("while it has nothing to write") {
    service.pool.lose_backend();
    service.steps.run();
    service.append(session, {"a"});
  }
  SECTION("after its next batch was refused") {
    service.pool.lose_backend(/*tell_now=*/false);
    service.append(session, {"a"});
    service.steps.run();
    service.pool.tell_of_loss();
  }
  SECTION("while a batch is on its way to it") {
    service.pool.lose_backend(/*tell_now=*/false);
    service.append(session, {"a"});
    service.pool.tell_of_loss();
  }
  service.steps.advance(5s);
  CHECK(service.stored(session) == texts{"a"});
  CHECK(service.pool.leases() == 2);
}

TEST_CASE("what becomes durable is counted for its tenant: bytes of events, and sessions that were made") {
  actors::directory_options options;
  options.writing.meter = std::make_shared<actors::tenant_meter>();
  auto& meter = *options.writing.meter;
  stepped_service service(options);
  const auto acme = tenant_id::parse("acme").value(), globex = tenant_id::parse("globex").value();
  const auto session = service.make_session();
  service.make_session("globex");
  create_session named;
  named.tenant = acme;
  named.user_id = "ada";
  named.external_id = "taken";
  for (int i = 0; i < 3; ++i) { // one is made
    service.steps.ask<session_record>(service.directory, create_session(named));
    service.steps.run();
  }
  auto counts = meter.take();
  CHECK(counts[acme].sessions == 2);
  CHECK(counts[acme].bytes == 0);
  CHECK(counts[globex].sessions == 1);
  service.pool.answers_at_once = false;
  service.append(session, {"12345", "678"});
  service.steps.run();
  CHECK(meter.take().empty()); // not durable yet
  service.pool.answer_next(fault::lost_after);
  service.heal();
  CHECK(service.stored(session).size() == 2);
  counts = meter.take();
  CHECK(counts.size() == 1);
  CHECK(counts[acme].bytes == 8);
  CHECK(counts[acme].sessions == 0);
}

TEST_CASE("what comes while a small batch is under way goes together behind it") {
  stepped_service service(gathering());
  std::vector<session_key> sessions;
  for (int i = 0; i < 4; ++i)
    sessions.push_back(service.make_session());
  const auto before = service.database->batches_committed();
  service.pool.answers_at_once = false;
  for (const auto& session : sessions) {
    service.append(session, {"x"});
    service.steps.run();
  }
  CHECK(service.pool.answer_next()); // the first, which nobody had to wait with
  service.steps.run();
  CHECK(service.database->batches_committed() == before + 1);
  CHECK(service.pool.answer_next());
  service.steps.run();
  CHECK(service.database->batches_committed() == before + 2);
  for (const auto& session : sessions)
    CHECK(service.stored(session) == texts{"x"});
}

TEST_CASE("those who were just answered are waited for, as long as their commit took and no longer") {
  stepped_service service(gathering());
  std::vector<session_key> sessions;
  for (int i = 0; i < 4; ++i)
    sessions.push_back(service.make_session());
  service.pool.answers_at_once = false;
  for (int i = 0; i < 3; ++i) {
    service.append(sessions[static_cast<std::size_t>(i)], {"x"});
    service.steps.run();
  }
  service.steps.advance(1ms, 1ms);
  CHECK(service.pool.answer_next());
  service.steps.run();
  CHECK_FALSE(service.pool.answer_next()); // two of three are there
  SECTION("until most of them have come") {
    service.append(sessions[3], {"x"});
    service.steps.run();
    CHECK(service.pool.answer_next());
  }
  SECTION("until that time is over") {
    service.steps.advance(1ms, 1ms);
    CHECK(service.pool.answer_next());
  }
}

TEST_CASE("a caller alone is never made to wait for others") {
  stepped_service service(gathering());
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  for (int i = 0; i < 3; ++i) {
    service.append(session, {"x"});
    service.steps.run();
    service.steps.advance(1ms, 1ms);
    CHECK(service.pool.answer_next());
    service.steps.run();
  }
  CHECK(service.stored(session).size() == 3);
}
