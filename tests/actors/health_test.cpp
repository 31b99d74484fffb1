// How a service says it is, and how it goes on without a part that it cannot replace.
#include "tests/actors/conversation_fixture.hpp"
#include "tests/actors/journal_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

service_health health_of(stepped_service& service) {
  return ask(service, get_health{}).value();
}

/// A service with a journal, and that journal's actor.
struct journaled_service : stepped_service {
  journaled_service() {
    auto file = db::journal_file::open(folder / "j", steps.clock());
    REQUIRE(file);
    actors::directory_options options;
    options.journal = journal = caf::actor_cast<actors::journal_actor>(
        steps.system().spawn<actors::journal>(std::move(*file), actors::journal_options{}));
    crash(*this, options);
  }
  ~journaled_service() {
    caf::anon_send_exit(journal, caf::exit_reason::user_shutdown);
    steps.run();
  }

  temp_dir folder;
  actors::journal_actor journal;
};

} // namespace

TEST_CASE("health tells what is accepted and where it waits") {
  actors::directory_options options;
  options.writing.batch_events_max = 2;
  stepped_service service(options);
  const auto session = service.make_session();
  CHECK(health_of(service).sessions_resident == 1);
  CHECK(health_of(service).undurable_bytes == 0);
  service.pool.answers_at_once = false;
  for (int i = 0; i < 9; ++i)
    REQUIRE(ask(service, append_of(session, {message("x")})));
  const auto full = health_of(service);
  CHECK(full.batches_in_flight == options.writing.batches_in_flight_max);
  CHECK(full.writes_queued == 9 - options.writing.batches_in_flight_max); // each went alone, at once
  CHECK(full.undurable_bytes > 0);
  CHECK(full.undurable_bytes_max == service.budget->bytes_max());
  CHECK_FALSE(full.journal_on);
  service.heal();
  const auto after = health_of(service);
  CHECK(after.batches_in_flight == 0);
  CHECK(after.writes_queued == 0);
  CHECK(after.undurable_bytes == 0);
}

TEST_CASE("health counts the sessions that the database refused") {
  stepped_service service;
  const auto session = service.make_session();
  service.database->poison = "poison";
  REQUIRE(ask(service, append_of(session, {message("poison")})));
  service.steps.advance(1s);
  CHECK(health_of(service).sessions_refused == 1);
}

TEST_CASE("health tells how full the journal is") {
  journaled_service service;
  const auto session = service.make_session();
  service.pool.answers_at_once = false;
  REQUIRE(ask(service, append_of(session, {message("x")})));
  const auto health = health_of(service);
  CHECK(health.journal_on);
  CHECK(health.journal_problem.empty());
  CHECK(health.journal_bytes > 0);
  CHECK(health.journal_bytes_max > health.journal_bytes);
}

TEST_CASE("where the journal's actor has died, accepted waits for durable, and health says why") {
  journaled_service service;
  const auto session = service.make_session();
  caf::anon_send_exit(service.journal, caf::exit_reason::kill);
  service.steps.run();
  CHECK(health_of(service).journal_problem.find("the journal's actor has ended") == 0);
  service.pool.answers_at_once = false;
  const auto accepted = begin(service, append_of(session, {message("x")}));
  CHECK_FALSE(*accepted);
  service.heal();
  REQUIRE(*accepted);
  CHECK((*accepted)->has_value());
}
