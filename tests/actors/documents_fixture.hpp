// The documents actor behind its keeper, on stepped time, with a pool that only notes what it is asked. Nothing is
// stored: what the statements do is tested against a server.
#pragma once

#include "actors/documents_keeper.hpp"
#include "tests/actors/tenants_fixture.hpp"
#include "tests/support/stepped_system.hpp"

#include <caf/send.hpp>
#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

/// One row, as the server sends it in binary.
inline db::rows one_row(const std::vector<std::optional<std::string>>& values) {
  std::shared_ptr<PGresult> made(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK), PQclear);
  char name[] = "column";
  PGresAttDesc column{};
  column.name = name;
  column.format = 1;
  std::vector<PGresAttDesc> columns(values.size(), column);
  PQsetResultAttrs(made.get(), static_cast<int>(columns.size()), columns.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto bytes = values[i].value_or("");
    PQsetvalue(made.get(), 0, static_cast<int>(i), bytes.data(),
               values[i] ? static_cast<int>(bytes.size()) : -1); // -1: null
  }
  return db::rows(std::shared_ptr<const pg_result>(made));
}

class stepped_documents {
public:
  explicit stepped_documents(std::function<void(actors::documents_options&)> change = [](auto&) {}) {
    actors::documents_options options;
    options.request_timeout = std::chrono::seconds{5};
    options.opening_timeout = std::chrono::seconds{60};
    options.meter = meter;
    change(options);
    actor = caf::actor_cast<documents_actor>(
        steps.system().spawn<actors::documents_keeper>(pool.spawn(steps.system()), options));
    steps.run();
  }
  ~stepped_documents() {
    end();
    pool.end();
  }
  void end() {
    if (actor)
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
    steps.run();
  }

  template <class Request>
  pending_answer<typename Request::reply> begin(Request request) {
    auto answer = steps.ask<typename Request::reply>(actor, std::move(request));
    steps.run();
    return answer;
  }
  template <class Request>
  result<typename Request::reply> ask(Request request) {
    auto answer = begin(std::move(request));
    if (!*answer)
      return error{error_code::internal, "no answer yet"};
    return **answer;
  }
  template <class Request>
  std::string refusal(Request request) {
    auto answer = ask(std::move(request));
    if (answer)
      throw std::runtime_error("not refused");
    return std::string(to_string(answer.failure().code)) + ": " + answer.failure().message;
  }

  /// Who has asked for the oldest held unit ends, without a word.
  void kill_asker() {
    caf::response_promise& answer = pool.held.at(0).answer;
    caf::anon_send_exit(caf::actor_cast<caf::actor>(answer.source()), caf::exit_reason::kill);
    steps.run();
  }
  void hold_all() {
    pool.holding = [](const actors::run_unit&) { return true; };
  }

  stepped_system steps;
  noting_pool pool;
  std::shared_ptr<actors::tenant_meter> meter = std::make_shared<actors::tenant_meter>();
  documents_actor actor;
};

} // namespace colloquy::test
