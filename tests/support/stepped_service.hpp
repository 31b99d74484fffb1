// The directory with its sessions and its writer on the stepped system and the model of the database.
#pragma once

#include "actors/directory.hpp"
#include "tests/support/fake_postgres.hpp"
#include "tests/support/stepped_system.hpp"

#include <caf/send.hpp>

#include <memory>
#include <string>
#include <vector>

namespace colloquy::test {

struct stepped_service {
  explicit stepped_service(actors::directory_options options = {}) {
    options.now = database->now = steps.clock();
    if (!options.budget)
      options.budget = std::make_shared<byte_budget>(std::size_t{64} << 20);
    options.writing.batch_timeout = std::chrono::seconds{30};
    options.writing.barrier_timeout = std::chrono::seconds{30};
    budget = options.budget;
    directory = caf::actor_cast<directory_actor>(
        steps.system().spawn<actors::directory>(pool.spawn(steps.system()), std::move(options)));
    steps.run();
  }
  ~stepped_service() {
    pool.answers_at_once = pool.reads_at_once = true;
    while (pool.answer_next()) {
    }
    while (pool.reads_held() > 0 && pool.answer_read())
      steps.run();
    caf::anon_send_exit(directory, caf::exit_reason::user_shutdown);
    steps.run();
  }

  session_key make_session(const std::string& tenant_name = "acme") {
    create_session request;
    request.tenant = tenant_id::parse(tenant_name).value();
    request.user_id = "ada";
    auto made = steps.ask<session_record>(directory, std::move(request));
    steps.run();
    return made->value().value().key;
  }

  pending_answer<appended> append(const session_key& session, std::vector<std::string> texts,
                                  durability wanted = durability::accepted) {
    append_events request;
    request.session = session;
    request.wanted = wanted;
    for (auto& text : texts) {
      event_input input;
      input.role = message_role::user;
      input.data = std::move(text);
      request.events.push_back(std::move(input));
    }
    return steps.ask<appended>(directory, std::move(request));
  }

  /// The database is well again, and time enough passes for everything to come to rest.
  void heal() {
    pool.is_away = false;
    pool.answers_at_once = pool.reads_at_once = true;
    database->failures.clear();
    database->failures_of.clear();
    for (int i = 0; i < 50; ++i) {
      while (pool.answer_next() || pool.answer_read())
        steps.run();
      steps.advance(std::chrono::milliseconds{200}, std::chrono::milliseconds{200});
    }
  }

  void kill_writer() {
    caf::anon_send_exit(caf::actor_cast<caf::actor>(pool.leaseholder()), caf::exit_reason::kill);
    steps.run();
  }

  std::vector<std::string> stored(const session_key& session) const {
    std::vector<std::string> out;
    for (const auto& entry : database->log(session.id))
      out.push_back(entry.data);
    return out;
  }

  stepped_system steps;
  std::shared_ptr<fake_postgres> database = std::make_shared<fake_postgres>();
  fake_pool pool{database};
  std::shared_ptr<byte_budget> budget;
  directory_actor directory;
};

} // namespace colloquy::test
