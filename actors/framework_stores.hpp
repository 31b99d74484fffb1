// The framework stores actor: customers, and context variables with their values, kept as documents.
//
// Accepts (messages/customers_interface.hpp, messages/context_variables_interface.hpp; the *_requests.hpp tell fields
// and errors) what both interfaces have. Each is one or a few units of the pool, one after the other; what changes
// documents of several collections is one unit, and so one transaction.
// What it does: sees to it that each tenant that is asked about has its guest; counts the bytes that are stored and
//   taken away in the tenants' meter.
// Errors: overloaded past `under_way_max`.
// framework_stores.cpp: customers, and what all requests have; framework_stores_variables.cpp: variables and values;
// framework_stores_checks.hpp: what is refused at once; tagged_documents.hpp: things with tags.
// Ordering: none between requests.
// State it owns: requests under way; which tenants are known to have their guest, `tenants_known_max` at most.
// Death: what is under way is answered internal; its keeper (actors/framework_stores_keeper.hpp) starts another one.
#pragma once

#include "actors/framework_collections.hpp"
#include "actors/pool_interface.hpp"
#include "actors/session_interface.hpp"
#include "actors/tagged_documents.hpp"
#include "actors/tenant_meter.hpp"
#include "db/document_queries.hpp"
#include "messages/clock.hpp"
#include "messages/context_variables_interface.hpp"
#include "messages/customers_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::actors {

using framework_stores_actor = customers_actor::extend_with<context_variables_actor>;

struct framework_stores_options {
  wall_clock now = system_time;
  std::chrono::milliseconds request_timeout{30'000};
  std::shared_ptr<tenant_meter> meter = std::make_shared<tenant_meter>();
  std::shared_ptr<const db::document_tables> tables = std::make_shared<const db::document_tables>();
  framework_collections collections{};
  std::size_t document_bytes_max = limits::document_bytes_max;
  std::size_t under_way_max = 1'000;
  std::size_t tenants_known_max = 10'000;
};

class framework_stores : public framework_stores_actor::base {
public:
  framework_stores(caf::actor_config& config, supervisor_actor supervisor, framework_stores_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  template <class Value>
  using callback = std::function<void(result<Value>)>;

  /// Answers a request that passes the checks with what `work` gives to its callback.
  template <class Request, class Work>
  promise_of<Request> serve(Request& request, Work work);
  documents_door door();
  void run(const tenant_id& tenant, db::unit query, bool idempotent, std::function<void(const db::unit_outcome&)> then);
  void run(run_unit unit, int tries, std::function<void(const db::unit_outcome&)> then);

  /// `work` once the tenant has its guest.
  void with_guest(const tenant_id& tenant, std::function<void(result<void>)> work);
  void about_guest(const list_customers& wanted, std::function<void(result<void>)> work);
  template <class Value, class Work>
  void about_customer(const tenant_id& tenant, const std::string& id, callback<Value> then, Work work);
  std::string document_of(const create_customer& wanted, const std::string& id) const;

  // framework_stores_variables.cpp
  std::string document_of(const create_context_variable& wanted, const std::string& id) const;
  void with_variable(const tenant_id& tenant, const std::string& id, callback<context_variable_record> then);
  void put(const put_context_value& wanted, callback<context_value_record> then);
  void insert_value(const put_context_value& wanted, const std::string& modified, callback<context_value_record> then);
  /// `then` is given what became of the value, if its variable is there.
  void change_value(const update_document& change, const std::string& variable, callback<document_updated> then);
  void get(const get_context_value& wanted, callback<context_value_record> then);
  void remove(const delete_context_value& wanted, callback<context_value_deleted> then);
  void list(const list_context_values& wanted, callback<context_value_page> then);
  void look_up(const look_up_context_value& wanted, callback<looked_up_value> then);
  void look_up(const look_up_context_value& wanted, const context_variable_record& variable,
               const std::vector<std::string>& tags, callback<looked_up_value> then);
  /// A value for one of several keys, of which the first that has one counts.
  struct value_search {
    std::vector<std::string> keys;
    std::optional<std::string> rules;
    find_documents page;
    std::string best{}; ///< the document of keys[best_key]
    std::size_t best_key = 0;
  };
  void look_further(const std::shared_ptr<value_search>& search, callback<looked_up_value> then);

  supervisor_actor supervisor_;
  const framework_stores_options options_;
  tagged_documents customers_;
  tagged_documents variables_;
  std::map<std::uint64_t, std::function<void()>> under_way_; // what is to be said if this actor ends before its answer
  std::uint64_t last_number_ = 0;
  std::set<tenant_id> with_guest_;
};

} // namespace colloquy::actors
