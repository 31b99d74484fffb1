// The framework stores actor on a real pool.
#pragma once

#include "actors/framework_stores_keeper.hpp"
#include "actors/framework_stores_records.hpp"
#include "tests/actors/documents_pg_fixture.hpp"
#include "tests/support/catch.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace colloquy::test {

using texts = std::vector<std::string>;

inline const auto acme = tenant_id::parse("acme").value();

class stores {
public:
  explicit stores(const test_database& database, const config::settings& settings = {},
                  std::size_t document_bytes_max = limits::document_bytes_max)
    : pool_(database.service_conninfo()) {
    actors::framework_stores_options options;
    options.meter = meter;
    options.tables = std::make_shared<const db::document_tables>(settings);
    options.collections = actors::framework_collections::of(settings);
    options.document_bytes_max = document_bytes_max;
    options.now = [this] { return now.load(); };
    actor_ = caf::actor_cast<actors::framework_stores_actor>(pool_.system().spawn<actors::framework_stores_keeper>(
        caf::actor_cast<actors::supervisor_actor>(pool_.handle()), options));
  }
  ~stores() {
    caf::scoped_actor self{pool_.system()};
    self->send_exit(actor_, caf::exit_reason::user_shutdown);
    self->wait_for(actor_);
  }

  template <class Request>
  result<typename Request::reply> ask(Request request) {
    caf::scoped_actor self{pool_.system()};
    result<typename Request::reply> outcome{error{error_code::internal, "no answer"}};
    self->request(actor_, std::chrono::seconds{60}, std::move(request))
        .receive([&](result<typename Request::reply>& answer) { outcome = std::move(answer); },
                 [&](const caf::error& failed) {
                   outcome = error{error_code::internal, "caf: " + pool_.system().render(failed)};
                 });
    return outcome;
  }
  template <class Request>
  typename Request::reply must(Request request) {
    auto answer = ask(std::move(request));
    if (!answer)
      throw std::runtime_error(std::string(to_string(answer.failure().code)) + ": " + answer.failure().message);
    return *std::move(answer);
  }
  template <class Request>
  error_code refusal(Request request) {
    auto answer = ask(std::move(request));
    return answer ? throw std::runtime_error("not refused") : answer.failure().code;
  }

  std::atomic<timestamp> now{std::chrono::sys_days(std::chrono::year(2024) / 1 / 1)};
  std::shared_ptr<actors::tenant_meter> meter = std::make_shared<actors::tenant_meter>();

private:
  test_pool pool_;
  actors::framework_stores_actor actor_;
};

inline create_customer customer(const std::string& id, texts tags = {}) {
  create_customer wanted;
  wanted.tenant = acme;
  wanted.id = id;
  wanted.name = "Name of " + id;
  wanted.tags = std::move(tags);
  return wanted;
}

inline create_context_variable variable(const std::string& id, std::optional<std::string> rules = {}) {
  create_context_variable wanted;
  wanted.tenant = acme;
  wanted.id = id;
  wanted.name = "Variable " + id;
  wanted.freshness_rules = std::move(rules);
  return wanted;
}

inline put_context_value value(const std::string& variable, const std::string& key, const std::string& data) {
  return {acme, variable, key, data};
}

inline texts ids_of(const customer_page& page) {
  texts ids;
  for (const auto& each : page.customers)
    ids.push_back(each.id);
  return ids;
}

inline std::string count(const test_database& database, const std::string& collection) {
  return database.value("SELECT count(*) FROM documents AS d JOIN collections AS c ON c.id = d.collection_id"
                        " AND c.tenant_id = d.tenant_id WHERE c.name = '" +
                        collection + "'");
}

inline std::string looked_up(stores& from, const std::string& of, std::optional<std::string> customer,
                             std::optional<std::string> agent) {
  const auto found = from.must(look_up_context_value{acme, of, std::move(customer), std::move(agent)});
  return found.value ? found.value->key + "=" + found.value->data : "none";
}

} // namespace colloquy::test
