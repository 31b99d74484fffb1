// The documents actor on a real pool, alone: as one process of several has it.
#pragma once

#include "actors/documents_keeper.hpp"
#include "tests/support/test_cluster.hpp"
#include "tests/support/test_pool.hpp"

#include <caf/scoped_actor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace colloquy::test {

class documents_process {
public:
  explicit documents_process(
      const test_database& database, std::function<void(actors::documents_options&)> change = [](auto&) {})
    : pool_(database.service_conninfo()) {
    actors::documents_options options;
    options.meter = meter;
    change(options);
    actor_ = caf::actor_cast<documents_actor>(pool_.system().spawn<actors::documents_keeper>(
        caf::actor_cast<actors::supervisor_actor>(pool_.handle()), options));
  }
  ~documents_process() { end(); }
  /// At once, whatever is under way.
  void end() {
    if (!actor_)
      return;
    caf::scoped_actor self{pool_.system()};
    self->send_exit(actor_, caf::exit_reason::user_shutdown);
    self->wait_for(std::exchange(actor_, nullptr));
  }

  /// Blocks until the answer. Thread-safe.
  template <class Request>
  result<typename Request::reply> ask(Request request) {
    caf::scoped_actor self{pool_.system()};
    result<typename Request::reply> outcome{error{error_code::internal, "no answer"}};
    self->request(actor_, std::chrono::seconds{120}, std::move(request))
        .receive([&](result<typename Request::reply>& answer) { outcome = std::move(answer); },
                 [&](const caf::error& failed) {
                   outcome = error{error_code::internal, "caf: " + pool_.system().render(failed)};
                 });
    return outcome;
  }

  std::shared_ptr<actors::tenant_meter> meter = std::make_shared<actors::tenant_meter>();

private:
  test_pool pool_;
  documents_actor actor_;
};

/// All at the same time.
inline void at_once(std::vector<std::function<void()>> jobs) {
  std::vector<std::thread> threads;
  for (auto& job : jobs)
    threads.emplace_back(std::move(job));
  for (auto& each : threads)
    each.join();
}

template <class Request>
Request about_documents(const std::string& where = "{}", const std::string& collection = "c",
                        const std::string& tenant_name = "acme") {
  Request wanted;
  wanted.tenant = tenant_id::parse(tenant_name).value();
  wanted.collection = collection;
  if constexpr (requires { wanted.where; })
    wanted.where = parse_filter(where).value();
  return wanted;
}

inline std::string document_text(const std::string& id, const std::string& version = "1",
                                 const std::string& more = "") {
  return R"({"id":")" + id + R"(","version":")" + version + R"(","creation_utc":"2024")" +
         (more.empty() ? "" : "," + more) + "}";
}

inline insert_documents insertion_of(std::vector<std::string> documents, const std::string& collection = "c") {
  auto wanted = about_documents<insert_documents>("{}", collection);
  wanted.documents = std::move(documents);
  return wanted;
}

inline update_document update_of(const std::string& where, const std::string& set, bool is_upsert = false) {
  auto wanted = about_documents<update_document>(where);
  wanted.set = set;
  wanted.is_upsert = is_upsert;
  return wanted;
}

} // namespace colloquy::test
