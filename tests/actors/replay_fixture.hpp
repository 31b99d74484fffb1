// What the tests of replays share: records as a journal gives them back, and a service that keeps a journal through the
// deaths of its processes, on stepped time.
#pragma once

#include "actors/journal.hpp"
#include "actors/journal_replay.hpp"
#include "tests/actors/conversation_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

inline std::shared_ptr<db::session_write> write_of(const session_key& session, std::uint64_t number) {
  auto write = std::make_shared<db::session_write>();
  write->session = session;
  write->log = log_id{session.id.bytes};
  write->number = number;
  write->bytes = 1000;
  return write;
}

inline event event_at(event_offset offset, std::string data, turn_id turn = {}) {
  event made;
  made.role = message_role::user;
  made.data = std::move(data);
  made.offset = offset;
  made.turn = turn;
  made.messages = offset + 1;
  made.created_at = timestamp{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1}};
  return made;
}

inline std::shared_ptr<db::session_write> events_write(const session_key& session, std::uint64_t number,
                                                       std::vector<event> events) {
  auto write = write_of(session, number);
  write->events = std::make_shared<const std::vector<event>>(std::move(events));
  return write;
}

inline pending_answer<actors::replayed> begin_replay(stepped_service& service, const session_key& session,
                                                     std::vector<db::session_write_ptr> writes) {
  auto answer = service.steps.ask<actors::replayed>(caf::actor_cast<caf::actor>(service.directory),
                                                    actors::replay_session{session, {std::move(writes)}});
  service.steps.run();
  return answer;
}

inline actors::replayed replay(stepped_service& service, const session_key& session,
                               std::vector<db::session_write_ptr> writes) {
  const auto answer = begin_replay(service, session, std::move(writes));
  REQUIRE(*answer);
  INFO((**answer ? "" : (*answer)->failure().message));
  REQUIRE(**answer);
  return (*answer)->value();
}

/// Processes on one database and one journal, one after another.
class journaled_service {
public:
  explicit journaled_service(actors::journal_options options = {})
    : options_(std::move(options)) {
    options_.now = service.steps.clock();
  }
  ~journaled_service() {
    service.pool.answers_at_once = service.pool.reads_at_once = true;
    end_journal();
  }

  /// Another process begins on what the last one, which is dead, has left. Nothing is replayed yet.
  void start(actors::directory_options options = {}, bool knows_of_death = true) {
    auto file = db::journal_file::open(folder / "j", service.steps.clock());
    INFO((file ? "" : file.failure().message));
    REQUIRE(file);
    journal = caf::actor_cast<actors::journal_actor>(
        service.steps.system().spawn<actors::journal>(std::move(*file), options_));
    options.journal = journal;
    crash(service, std::move(options), knows_of_death);
  }

  /// As `kill -9`: nobody says a last word, and what is under way on the connections never comes to its end.
  void die() {
    caf::anon_send_exit(service.directory, caf::exit_reason::kill);
    service.steps.run();
    end_journal();
    while (service.pool.answer_next(fault::lost_before))
      service.steps.run();
    service.pool.answers_at_once = true;
  }

  pending_answer<actors::journal_replay> begin_replay(std::chrono::milliseconds patience = std::chrono::seconds{1}) {
    auto owned = service.steps.ask<actors::shards_owned>(caf::actor_cast<caf::actor>(service.directory),
                                                         actors::await_ownership{});
    service.steps.advance(std::chrono::seconds{1});
    REQUIRE(*owned);
    REQUIRE(**owned);
    actors::replay_options options;
    options.owned = (*owned)->value();
    options.patience = patience;
    auto answer = service.steps.ask<actors::journal_replay>(
        service.steps.system().spawn<actors::journal_replayer>(journal, service.directory, options),
        actors::run_replay{});
    service.steps.run();
    return answer;
  }

  /// A whole replay, as a start does it.
  result<actors::journal_replay> replay() {
    auto answer = begin_replay();
    service.steps.advance(std::chrono::seconds{2});
    REQUIRE(*answer);
    return **answer;
  }

  actors::journal_status status() {
    auto answer = service.steps.ask<actors::journal_status>(journal, actors::get_journal_status{});
    service.steps.run();
    return answer->value().value();
  }

  stepped_service service;
  temp_dir folder;
  actors::journal_actor journal;

private:
  void end_journal() {
    if (journal)
      caf::anon_send_exit(journal, caf::exit_reason::kill);
    service.steps.run();
    journal = nullptr;
  }

  actors::journal_options options_;
};

} // namespace colloquy::test
