#include "actors/store_opening.hpp"

#include "db/session_queries.hpp"
#include "messages/store_version.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Versions that are newer than the one to come: each is named in every query for a page.
constexpr std::size_t newer_versions_max = 1000;

bool is_newer(const std::string& a, const std::string& b) {
  return compare_versions(a, b) > 0;
}
bool is_same(const std::string& a, const std::string& b) {
  return compare_versions(a, b) == 0;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

} // namespace

store_opening::store_opening(caf::actor_config& config, supervisor_actor supervisor, store_opening_options options)
  : store_opening_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options)) {}

store_opening::behavior_type store_opening::make_behavior() {
  return {[this](open_store& wanted) {
            answer_ = make_response_promise<result<opened_store>>();
            is_asked_ = true;
            wanted_ = std::move(wanted);
            wanted_.collections = sorted(std::move(wanted_.collections));
            place_ = {wanted_.tenant, wanted_.store};
            deadline_ = clock().now() + options_.timeout;
            look();
            return answer_;
          },
          [this](store_opening_go_on) {
            if (work_)
              (this->*std::exchange(work_, nullptr))();
          }};
}

void store_opening::on_exit() {
  if (std::exchange(is_asked_, false))
    reply(answer_, result<opened_store>(error{error_code::internal, "the opening ended; open the store again", 100ms}));
  supervisor_ = nullptr;
}

// --- whether there is anything to do ---------------------------------------------------------------------------------

void store_opening::look() {
  ask(look_unit(), "open_store", db::decode_store, [this](const db::store_record& store) { on_store(store); });
}

db::unit store_opening::look_unit() const {
  auto wanted = wanted_;
  if (wanted.collections.empty())
    wanted.collections = {wanted.store};
  return db::open_store_unit(*options_.tables, wanted);
}

void store_opening::on_store(const db::store_record& store) {
  if (store.bytes != 0)
    options_.meter->add(wanted_.tenant, {0, store.bytes});
  // One that is made now may have a version that another program has recorded.
  if (std::exchange(is_first_look_, false) && (!store.was_made || store.version != wanted_.version))
    opened_.previous_version = store.version;
  opened_.version = store.version;
  collections_ = sorted(store.collections);
  if (!wanted_.collections.empty() && wanted_.collections != collections_)
    return refuse({error_code::conflict, "the store has other collections than these"});
  if (auto plan = conversion_plan::make(wanted_.converters, collections_); !plan)
    return refuse(plan.failure());
  else
    plan_ = std::move(plan).value();
  for (const auto& recorded : {std::optional(store.version), store.target})
    if (recorded && is_newer(*recorded, wanted_.version))
      return refuse({error_code::store_outdated,
                     "the store is of version " + *recorded + ", which is newer than " + wanted_.version});
  settled_ = {wanted_.version};
  if (!store.target && is_same(store.version, wanted_.version))
    return wanted_.retry_failed ? retry() : succeed();
  if (!wanted_.allow_migration)
    return refuse({error_code::migration_required, "the store is of version " + store.version + ", not of " +
                                                       wanted_.version + "; allow_migration brings its documents on"});
  begin(store);
}

void store_opening::begin(const db::store_record& store) {
  if (store.target == wanted_.version)
    return next_pass();
  ask(db::begin_migration_unit(place_, store, wanted_.version), "begin_migration", db::decode_begun,
      [this](bool has_begun) { has_begun ? next_pass() : look(); });
}

// --- page by page ----------------------------------------------------------------------------------------------------

void store_opening::next_pass() {
  at_ = 0;
  after_.clear();
  next_page();
}

void store_opening::next_page() {
  if (at_ == collections_.size())
    return finish();
  ask(db::unsettled_unit(*options_.tables, place_, collections_[at_], settled_, after_, options_.documents_per_page),
      "read_unsettled", db::decode_unsettled,
      [this](std::vector<db::unsettled_document>& page) { on_page(std::move(page)); });
}

void store_opening::on_page(std::vector<db::unsettled_document> page) {
  if (page.empty()) {
    ++at_;
    after_.clear();
    return next_page();
  }
  after_ = page.back().id;
  page_ = std::move(page);
  done_ = 0;
  conversions_.clear();
  convert_some();
}

void store_opening::convert_some() {
  const auto until = std::chrono::steady_clock::now() + options_.slice;
  while (done_ < page_.size() && std::chrono::steady_clock::now() < until) {
    auto& each = page_[done_++];
    if (each.version && compare_versions(*each.version, wanted_.version) >= 0) {
      note_newer(*each.version);
      continue;
    }
    const auto made =
        plan_.convert(collections_[at_], each.version, each.document, wanted_.version, options_.document_bytes_max);
    conversions_.push_back(
        {std::move(each.id), std::move(each.document), made ? *made : "", made ? "" : made.failure().message});
  }
  if (done_ < page_.size())
    return go_on_with(&store_opening::convert_some);
  if (settled_.size() > newer_versions_max)
    return refuse({error_code::invalid_request, "the store has documents of more than " +
                                                    std::to_string(newer_versions_max) + " versions newer than " +
                                                    wanted_.version});
  write_page();
}

void store_opening::write_page() {
  if (conversions_.empty())
    return next_page();
  ask(db::write_converted_unit(*options_.tables, place_, collections_[at_], wanted_.version, conversions_),
      "write_converted", db::decode_converted, [this](const db::conversions_written& written) { on_written(written); });
}

void store_opening::on_written(const db::conversions_written& written) {
  count(written);
  written.migrated + written.failed > 0 ? next_page() : look_whether_it_goes_on();
}

/// Another process has done all of the page, or has opened the store at a newer version.
void store_opening::look_whether_it_goes_on() {
  ask(look_unit(), "open_store", db::decode_store,
      [this](const db::store_record& store) { store.target == wanted_.version ? next_page() : on_store(store); });
}

void store_opening::finish() {
  ask(db::finish_migration_unit(*options_.tables, place_, wanted_.version, collections_, settled_), "finish_migration",
      db::decode_finished, [this](const db::store_record& store) { on_finished(store); });
}

void store_opening::on_finished(const db::store_record& store) {
  opened_.version = store.version;
  // Something of another version has come meanwhile.
  if (store.target == wanted_.version)
    return next_pass();
  on_store(store);
}

// --- what all steps use ----------------------------------------------------------------------------------------------

void store_opening::note_newer(const std::string& version) {
  if (std::find(settled_.begin(), settled_.end(), version) == settled_.end())
    settled_.push_back(version);
}

void store_opening::count(const db::conversions_written& written) {
  opened_.migrated += written.migrated;
  opened_.failed += written.failed;
  if (written.bytes != 0)
    options_.meter->add(wanted_.tenant, {0, written.bytes});
}

/// Lets others have the thread, then goes on.
void store_opening::go_on_with(void (store_opening::*work)()) {
  work_ = work;
  send(this, store_opening_go_on{});
}

void store_opening::run(db::unit query, std::string_view purpose, std::function<void(const db::unit_outcome&)> then) {
  const auto now = clock().now();
  if (now >= deadline_)
    return refuse({error_code::deadline_exceeded,
                   "the store was not brought to the version in time; what is done stays done: open it again", 1000ms});
  run_unit unit{std::move(query)};
  unit.tenant = wanted_.tenant.text();
  unit.purpose = purpose;
  unit.deadline = std::min<pool_time>(now + options_.request_timeout, deadline_);
  unit.idempotent = true; // a page that was written and is written again finds nothing as it was
  request(supervisor_, *unit.deadline - now + pool_answer_margin, std::move(unit))
      .then(then, [then](const caf::error&) {
        then({{}, db::db_failure{db::failure_kind::wait, "57014", "no answer within the time allowed"}});
      });
}

void store_opening::succeed() {
  is_asked_ = false;
  reply(answer_, result<opened_store>(opened_));
  quit();
}

void store_opening::refuse(error why) {
  is_asked_ = false;
  reply(answer_, result<opened_store>(std::move(why)));
  quit();
}

} // namespace colloquy::actors
