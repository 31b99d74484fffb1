// Opens one store once: sees which version is recorded, converts what is of older ones, records the new one.
//
// Accepts: open_store, once; it ends with the answer.
// What it does: looks at the store, takes note of where it goes, then page by page reads documents of other versions,
//   converts them here (so a host's converters run in this actor, some milliseconds at a time) and writes them back,
//   each page a unit that commits by itself and touches only what is still as it was read. Once none is left the
//   recorded version moves. Whoever else opens the store meanwhile, in another process, does the same; each document
//   is written by one of them. Documents of a version newer than the one to come are left as they are.
// Errors: those of open_store; deadline_exceeded after `timeout`. What is done by then stays done.
// Ordering: one unit at a time.
// State it owns: where it is. Nothing is lost with it but what it has counted.
// Death: the requester's to notice; the next opening goes on.
#pragma once

#include "actors/pool_interface.hpp"
#include "actors/session_interface.hpp"
#include "actors/tenant_meter.hpp"
#include "db/store_queries.hpp"
#include "messages/document_conversion.hpp"
#include "messages/documents_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::actors {

struct store_opening_go_on {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::store_opening_go_on)

namespace colloquy::actors {

using store_opening_actor = caf::typed_actor<answers<open_store>>;
using store_opening_internal = store_opening_actor::extend<caf::reacts_to<store_opening_go_on>>;

struct store_opening_options {
  std::chrono::milliseconds request_timeout{30'000}; ///< of one unit
  std::chrono::milliseconds timeout = limits::store_opening_max;
  std::shared_ptr<tenant_meter> meter = std::make_shared<tenant_meter>();
  std::shared_ptr<const db::document_tables> tables = std::make_shared<const db::document_tables>();
  std::size_t document_bytes_max = limits::document_bytes_max; ///< of what converters make
  std::size_t documents_per_page = 200;
  std::chrono::milliseconds slice{5}; ///< converting without letting others have the thread
};

class store_opening : public store_opening_internal::base {
public:
  store_opening(caf::actor_config& config, supervisor_actor supervisor, store_opening_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  void look();
  void on_store(const db::store_record& store);
  void begin(const db::store_record& store);
  void next_pass();
  void next_page();
  void on_page(std::vector<db::unsettled_document> page);
  void convert_some();
  void write_page();
  void on_written(const db::conversions_written& written);
  void look_whether_it_goes_on();
  void finish();
  void on_finished(const db::store_record& store);

  // store_opening_retry.cpp
  void retry();
  void next_failed();
  void on_failed(std::vector<db::failed_document> page);
  void retry_some();
  void write_retried();

  db::unit look_unit() const;
  void note_newer(const std::string& version);
  void count(const db::conversions_written& written);
  /// Asks the database, and goes on with what it says, or refuses with its error.
  template <class Decode, class Then>
  void ask(db::unit query, std::string_view purpose, Decode decode, Then then) {
    run(std::move(query), purpose, [this, decode, then](const db::unit_outcome& outcome) {
      auto said = decode(outcome);
      said ? then(*said) : refuse(std::move(said.failure()));
    });
  }
  void run(db::unit query, std::string_view purpose, std::function<void(const db::unit_outcome&)> then);
  void go_on_with(void (store_opening::*work)());
  void succeed();
  void refuse(error why);

  supervisor_actor supervisor_;
  const store_opening_options options_;
  open_store wanted_;
  promise_of<open_store> answer_;
  bool is_asked_ = false; ///< and not answered yet
  pool_time deadline_{};
  opened_store opened_;
  bool is_first_look_ = true;
  db::store_place place_;
  std::vector<std::string> collections_;
  conversion_plan plan_;
  std::vector<std::string> settled_; ///< the version to come and those that are newer
  void (store_opening::*work_)() = nullptr;

  // The page at hand: of the collection `at_`, ids up to `after_`; the first `done_` of it are converted.
  std::size_t at_ = 0;
  std::string after_;
  std::vector<db::unsettled_document> page_;
  std::size_t done_ = 0;
  std::vector<db::document_conversion> conversions_;

  // The same of what has failed before.
  std::int64_t after_number_ = 0;
  std::vector<db::failed_document> failed_;
  std::map<std::string, std::vector<db::retried_conversion>> retried_; // by collection
};

} // namespace colloquy::actors
