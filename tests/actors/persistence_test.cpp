// What becomes of accepted events when batches, connections and writers fail. Time is stepped; the database is a model.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

TEST_CASE("accepted comes before the database has answered, durable only after") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  auto accepted = service.append(session, {"a"});
  auto durable = service.append(session, {"b"}, durability::durable);
  service.steps.run();
  REQUIRE(*accepted);
  CHECK((*accepted)->value().first_offset == 0);
  CHECK_FALSE(*durable);
  REQUIRE(service.pool.answer_next());
  service.steps.run();
  while (service.pool.answer_next())
    service.steps.run();
  REQUIRE(*durable);
  CHECK((*durable)->value().first_offset == 1);
  CHECK(service.stored(session) == texts{"a", "b"});
}

TEST_CASE("what gathers while two batches are away is one batch") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  for (int i = 0; i < 10; ++i) {
    service.append(session, {std::to_string(i)});
    service.steps.run();
  }
  CHECK(service.pool.held() == 2);
  while (service.pool.answer_next())
    service.steps.run();
  CHECK(service.database->batch_sizes() == std::vector<std::size_t>{0, 1, 1, 8});
}

TEST_CASE("a batch is bounded in rows, and one append is never split") {
  actors::directory_options options;
  options.writing.batch_events_max = 10;
  stepped_service service(options);
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  service.append(session, {"first"});
  service.append(session, {"second"});
  service.append(session, texts(7, "x"));
  service.append(session, texts(7, "y"));
  service.append(session, texts(25, "z"));
  service.steps.run();
  while (service.pool.answer_next())
    service.steps.run();
  CHECK(service.database->batch_sizes() == std::vector<std::size_t>{0, 1, 1, 7, 7, 25});
}

TEST_CASE("a connection lost before the commit: the batches are sent again, once") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  service.append(session, {"a"});
  service.steps.run();
  service.append(session, {"b"});
  service.steps.run();
  service.append(session, {"c"});
  service.steps.run();
  REQUIRE(service.pool.answer_next(fault::lost_before));
  service.heal();
  CHECK(service.stored(session) == texts{"a", "b", "c"});
  CHECK(service.pool.leases() == 2);
}

TEST_CASE("a connection lost after the commit: what committed is not sent again") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  auto first = service.append(session, {"a"}, durability::durable);
  service.steps.run();
  auto second = service.append(session, {"b"}, durability::durable);
  service.steps.run();
  REQUIRE(service.pool.answer_next(fault::lost_after));
  service.heal();
  CHECK(service.stored(session) == texts{"a", "b"});
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK((*second)->value().first_offset == 1);
}

TEST_CASE("a writer killed with batches in flight: nothing is lost and nothing comes twice") {
  for (const auto how : {fault::none, fault::lost_before, fault::lost_after}) {
    stepped_service service;
    const auto session = service.make_session();
    service.pool.answers_at_once = false;
    service.append(session, {"a"});
    service.steps.run();
    service.append(session, {"b"});
    service.steps.run();
    service.append(session, {"c"});
    service.steps.run();
    if (how != fault::none)
      service.pool.answer_next(how); // the answer reaches nobody
    service.kill_writer();
    service.append(session, {"d"});
    auto flushed_all = service.steps.ask<flushed>(service.directory, flush{});
    service.heal();
    REQUIRE(*flushed_all);
    CHECK((*flushed_all)->has_value());
    CHECK(service.stored(session) == texts{"a", "b", "c", "d"});
  }
}

TEST_CASE("one refused event stops its own session, and all that is not its own is durable") {
  stepped_service service;
  service.database->poison = "poison";
  std::vector<session_key> sessions;
  for (int tenant = 0; tenant < 50; ++tenant)
    sessions.push_back(service.make_session("tenant-" + std::to_string(tenant)));
  service.pool.answers_at_once = false;
  service.append(sessions[0], {"first"}); // occupy both places in flight, so that the rest is one batch
  service.steps.run();
  service.append(sessions[1], {"first"});
  service.steps.run();
  for (int i = 0; i < 1000; ++i)
    service.append(sessions[static_cast<std::size_t>(i % 50)], {i == 537 ? "poison" : std::to_string(i)});
  service.steps.run();
  service.heal();

  std::size_t durable = 0;
  for (const auto& session : sessions)
    durable += service.stored(session).size();
  // Session 37 keeps what came before the refused event: 10 of its 20.
  CHECK(service.stored(sessions[37]).size() == 10);
  CHECK(durable == 2 + 49 * 20 + 10);
  auto refused = service.append(sessions[37], {"more"});
  auto other = service.append(sessions[38], {"more"}, durability::durable);
  service.steps.advance(1s);
  REQUIRE_FALSE((*refused)->has_value());
  CHECK((*refused)->failure().code == error_code::internal);
  CHECK((*other)->has_value());
}

TEST_CASE("a deadlock is tried again after a pause") {
  stepped_service service;
  const auto session = service.make_session();
  service.database->failures.push_back({db::failure_kind::retry, "40P01", "deadlock detected"});
  auto done = service.append(session, {"a"}, durability::durable);
  service.steps.run();
  CHECK_FALSE(*done);
  service.steps.advance(1s);
  REQUIRE(*done);
  CHECK((*done)->has_value());
  CHECK(service.pool.leases() == 1);
}

TEST_CASE("a writer whose row another process has taken writes nothing more and says so") {
  stepped_service service;
  const auto session = service.make_session();
  service.database->take_over();
  auto done = service.append(session, {"a"}, durability::durable);
  service.steps.advance(1s);
  REQUIRE(*done);
  REQUIRE_FALSE((*done)->has_value());
  CHECK((*done)->failure().code == error_code::not_owner);
  CHECK((*done)->failure().retry_after);
  CHECK(service.stored(session).empty());
}

TEST_CASE("without a database events are accepted up to the budget, then callers are told to wait") {
  actors::directory_options options;
  options.budget = std::make_shared<byte_budget>(10 * limits::event_overhead_bytes);
  stepped_service service(options);
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  int accepted = 0;
  std::optional<error> refused;
  for (int i = 0; i < 20; ++i) {
    auto answer = service.append(session, {"x"});
    service.steps.run();
    REQUIRE(*answer);
    if ((*answer)->has_value())
      ++accepted;
    else
      refused = (*answer)->failure();
  }
  CHECK(accepted == 9); // an event costs its overhead and its bytes
  REQUIRE(refused);
  CHECK(refused->code == error_code::overloaded);
  CHECK(refused->retry_after);
  service.heal();
  CHECK(service.budget->used_bytes() == 0);
  CHECK(service.stored(session).size() == 9);
}

TEST_CASE("a caller who wants durability is told when its deadline comes first, and the event stays accepted") {
  stepped_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  auto answer = service.append(session, {"slow"}, durability::durable);
  service.steps.advance(29s);
  CHECK_FALSE(*answer);
  service.steps.advance(2s);
  REQUIRE(*answer);
  REQUIRE_FALSE((*answer)->has_value());
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
  service.heal();
  CHECK(service.stored(session) == texts{"slow"});
}
