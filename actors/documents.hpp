// The documents actor: collections of JSON documents, and stores that bring theirs from version to version.
//
// Accepts (messages/documents_interface.hpp; messages/document_requests.hpp and store_requests.hpp tell fields and
// errors)
//   insert_documents, find_documents, find_document, update_document, delete_document, list_collections,
//   list_failed_migrations
//       checked here, then a unit of the pool each, so that several run at once. An upsert that matched nothing is a
//       second unit, which updates or inserts. What lost a race against another request is run again, some times at
//       most
//   open_store
//       by an actor of its own (actors/store_opening.hpp), one after the other for each store, so that of two at once
//       the second finds what the first has done; answered within `opening_timeout` and some seconds
//   delete_collection
//       answered once nobody finds it any more, however many documents it had: those are then erased in steps, one
//       after the other. One in a table of its own is deleted step by step and then answered, within `deleting_timeout`
// What it does: counts the bytes that are stored and taken away in the tenants' meter; every `erasing_interval` goes on
//   with erasing what somebody has begun and nobody finished; once a second ends units that the pool has not answered
//   `pool_answer_margin` behind their deadline, for which CAF's own timeouts would wake its clock each time.
// Errors: overloaded past `under_way_max` requests or `bytes_under_way_max` of what they would write.
// Ordering: none between requests.
// State it owns: requests under way, which stores are being opened, and what is to be erased. The rows in
//   document_erasures are the truth.
// Death: what is under way is answered internal (what it would have written may be written, or not); openings end, and
//   the next one goes on. The keeper (actors/documents_keeper.hpp) starts another one.
#pragma once

#include "actors/framework_collections.hpp"
#include "actors/pool_interface.hpp"
#include "actors/session_interface.hpp"
#include "actors/store_opening.hpp"
#include "actors/tenant_meter.hpp"
#include "db/document_erasures.hpp"
#include "db/document_queries.hpp"
#include "messages/documents_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace colloquy::actors {

struct documents_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::documents_tick)

namespace colloquy::actors {

struct documents_options {
  std::chrono::milliseconds request_timeout{30'000};
  std::shared_ptr<tenant_meter> meter = std::make_shared<tenant_meter>();
  std::shared_ptr<const db::document_tables> tables = std::make_shared<const db::document_tables>();
  std::set<std::string> shared_by_users = framework_collections{}.shared_by_users({}); ///< see there
  std::size_t document_bytes_max = limits::document_bytes_max;
  std::size_t under_way_max = 1'000;
  std::size_t bytes_under_way_max = std::size_t{256} << 20;
  std::size_t openings_max = 100; ///< under way or waiting for another one of the same store
  std::chrono::milliseconds opening_timeout = limits::store_opening_max;
  std::size_t documents_per_conversion_max = 200;
  std::chrono::milliseconds deleting_timeout = limits::collection_deletion_max; ///< of one that has its own table
  std::size_t documents_per_erasure_max = db::erased_at_once_max;
  std::chrono::milliseconds erasing_interval{60'000};
  std::size_t erasures_max = 1'000; ///< kept in mind; others are found again
};

using documents_internal = documents_actor::extend<caf::reacts_to<documents_tick>>;

class documents : public documents_internal::base {
public:
  documents(caf::actor_config& config, supervisor_actor supervisor, documents_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  /// A request that is under way, until it is answered.
  template <class Request>
  struct pending_request {
    Request wanted;
    promise_of<Request> answer;
    std::size_t bytes = 0;
    std::uint64_t number = 0;
  };
  template <class Request>
  using task_of = std::shared_ptr<const pending_request<Request>>;
  using store_name = std::pair<std::string, std::string>; // the tenant's and its own

  template <class Request, class Make, class Decode>
  promise_of<Request> serve(Request& request, std::string_view purpose, bool idempotent, Make make, Decode decode);
  /// None: it is answered already.
  template <class Request>
  task_of<Request> begin(Request& request, promise_of<Request> answer);
  template <class Request>
  void end(const task_of<Request>& task, result<typename Request::reply> how);
  template <class Request>
  void end(const task_of<Request>& task, result<db::written<typename Request::reply>> how);

  promise_of<find_documents> find(find_documents& request);
  void find_and_count(const task_of<find_documents>& task);
  promise_of<update_document> update(update_document& request);
  void on_updated(const task_of<update_document>& task, const db::unit_outcome& outcome);
  promise_of<delete_collection> remove(delete_collection& request);
  void remove(const task_of<delete_collection>& task, std::int64_t expected, std::chrono::milliseconds timeout);
  void erase(db::collection_erasure what);
  void erase_next();
  void find_erasures();
  promise_of<open_store> open(open_store& request);
  void open_next(const store_name& store);

  void run(const tenant_id& tenant, db::unit query, std::string_view purpose, bool idempotent,
           std::function<void(const db::unit_outcome&)> then);
  void run(run_unit unit, int tries, std::function<void(const db::unit_outcome&)> then);
  std::function<void(const db::unit_outcome&)> end_unit(std::uint64_t number);
  void end_overdue_units();

  supervisor_actor supervisor_;
  const documents_options options_;
  std::map<std::uint64_t, std::function<void()>> under_way_; // what is to be said if this actor ends before its answer
  std::uint64_t last_number_ = 0;
  std::size_t bytes_under_way_ = 0;

  /// Of the pool. CAF's timeout for each would wake its clock for each.
  struct running_unit {
    caf::actor_clock::time_point late;
    std::function<void(const db::unit_outcome&)> then;
  };
  std::map<std::uint64_t, running_unit> units_;
  std::uint64_t last_unit_ = 0;
  caf::actor_clock::time_point erases_at_{};

  std::map<store_name, std::deque<task_of<open_store>>> openings_; // the first of each is under way
  std::size_t openings_count_ = 0;
  std::map<store_name, store_opening_actor> openers_;

  std::deque<db::collection_erasure> to_erase_; // the first is under way
};

} // namespace colloquy::actors
