#include "actors/documents.hpp"

#include "actors/documents_checks.hpp"
#include "actors/session_checks.hpp"
#include "db/session_queries.hpp"
#include "db/store_queries.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error ended{error_code::internal, "what looks after documents ended; look whether it was done, and ask again",
                  100ms};
const error busy{error_code::overloaded, "too many requests about documents are under way", 100ms};
const error not_for_one_user{error_code::forbidden,
                             "what is in this collection holds for all users; it is not for one of them to change"};
const db::db_failure no_answer{db::failure_kind::wait, "57014", "no answer within the time allowed"};

// Who has lost a race tries again: after an id that was taken once, to be told which; after a document that was taken
// more often, because many may want the same first one at once.
constexpr int tries_max = 10;
constexpr int tries_max_of_taken_id = 2;

constexpr std::chrono::milliseconds tick_interval_max{1'000};

/// What a request keeps in memory and sends to the database.
std::size_t bytes_of(const insert_documents& request) {
  std::size_t bytes = 0;
  for (const auto& each : request.documents)
    bytes += each.size();
  return bytes;
}
std::size_t bytes_of(const update_document& request) {
  return request.set.size();
}
template <class Request>
std::size_t bytes_of(const Request&) {
  return 0;
}

/// A key belongs to a kind of request.
void tell_kind(insert_documents& request) {
  if (request.repeat)
    request.repeat->scope = scope_of("insert", *request.repeat);
}
void tell_kind(update_document& request) {
  if (request.repeat)
    request.repeat->scope = scope_of("upsert", *request.repeat);
}
template <class Request>
void tell_kind(Request&) {}

template <class Request>
constexpr bool is_write = std::is_same_v<Request, insert_documents> || std::is_same_v<Request, update_document> ||
                          std::is_same_v<Request, delete_document>;

template <class Request>
std::optional<error> check(const Request& request, std::size_t bytes_max,
                           const std::set<std::string>& shared_by_users) {
  if constexpr (is_write<Request>)
    if (request.as_user && shared_by_users.contains(request.collection))
      return not_for_one_user;
  if constexpr (requires { check_request(request, bytes_max); })
    return check_request(request, bytes_max);
  else
    return check_request(request);
}

} // namespace

documents::documents(caf::actor_config& config, supervisor_actor supervisor, documents_options options)
  : documents_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options)) {}

documents::behavior_type documents::make_behavior() {
  const auto& tables = *options_.tables;
  const auto tick_interval = std::min(tick_interval_max, options_.erasing_interval);
  erases_at_ = clock().now() + options_.erasing_interval;
  delayed_send(this, tick_interval, documents_tick{});
  return {[this, &tables](insert_documents& wanted) {
            // Without a key, one that was done and whose answer was lost would find its own documents there.
            const bool is_repeatable = wanted.repeat.has_value();
            return serve(
                wanted, "insert_documents", is_repeatable,
                [&](const auto& asked) { return db::insert_unit(tables, asked); }, db::decode_inserted);
          },
          [this](find_documents& wanted) { return find(wanted); },
          [this, &tables](find_document& wanted) {
            return serve(
                wanted, "find_document", true, [&](const auto& asked) { return db::find_one_unit(tables, asked); },
                [](const auto&, const auto& outcome) { return db::decode_one(outcome); });
          },
          [this](update_document& wanted) { return update(wanted); },
          [this, &tables](delete_document& wanted) {
            return serve(
                wanted, "delete_document", false, [&](const auto& asked) { return db::delete_unit(tables, asked); },
                [](const auto&, const auto& outcome) { return db::decode_deleted(outcome); });
          },
          [this](list_collections& wanted) {
            return serve(wanted, "list_collections", true, db::collections_unit, db::decode_collections);
          },
          [this](delete_collection& wanted) { return remove(wanted); },
          [this](open_store& wanted) { return open(wanted); },
          [this](list_failed_migrations& wanted) {
            return serve(wanted, "list_failed_migrations", true, db::list_failed_unit, db::decode_failed_page);
          },
          [this, tick_interval](documents_tick) {
            delayed_send(this, tick_interval, documents_tick{});
            end_overdue_units();
            if (clock().now() < erases_at_)
              return;
            erases_at_ = clock().now() + options_.erasing_interval;
            find_erasures();
          }};
}

void documents::on_exit() {
  for (auto& [number, say] : std::exchange(under_way_, {}))
    say();
  for (auto& [store, opener] : std::exchange(openers_, {}))
    send_exit(opener, caf::exit_reason::user_shutdown);
  openings_.clear();
  units_.clear();
  supervisor_ = nullptr;
}

template <class Request, class Make, class Decode>
promise_of<Request> documents::serve(Request& request, std::string_view purpose, bool idempotent, Make make,
                                     Decode decode) {
  auto answer = make_response_promise<result<typename Request::reply>>();
  const auto task = begin(request, answer);
  if (!task)
    return answer;
  result<db::unit> query = make(task->wanted);
  if (!query)
    end(task, result<typename Request::reply>(query.failure()));
  else
    run(task->wanted.tenant, std::move(query).value(), purpose, idempotent,
        [this, task, decode](const db::unit_outcome& outcome) { end(task, decode(task->wanted, outcome)); });
  return answer;
}

template <class Request>
documents::task_of<Request> documents::begin(Request& request, promise_of<Request> answer) {
  using answer_type = result<typename Request::reply>;
  const auto bytes = bytes_of(request);
  if (under_way_.size() >= options_.under_way_max || bytes > options_.bytes_under_way_max - bytes_under_way_) {
    reply(answer, answer_type(busy));
    return nullptr;
  }
  if (auto problem = check(request, options_.document_bytes_max, options_.shared_by_users)) {
    reply(answer, answer_type(*std::move(problem)));
    return nullptr;
  }
  auto begun = std::make_shared<pending_request<Request>>();
  begun->wanted = std::move(request);
  tell_kind(begun->wanted);
  begun->answer = answer;
  begun->bytes = bytes;
  begun->number = ++last_number_;
  bytes_under_way_ += bytes;
  under_way_.emplace(begun->number, [answer] { reply(answer, answer_type(ended)); });
  return begun;
}

template <class Request>
void documents::end(const task_of<Request>& task, result<typename Request::reply> how) {
  if (under_way_.erase(task->number) == 0)
    return;
  bytes_under_way_ -= task->bytes;
  reply(task->answer, std::move(how));
}

template <class Request>
void documents::end(const task_of<Request>& task, result<db::written<typename Request::reply>> how) {
  if (!how)
    return end(task, result<typename Request::reply>(std::move(how.failure())));
  if (how->bytes != 0)
    options_.meter->add(task->wanted.tenant, {0, how->bytes});
  end(task, result<typename Request::reply>(std::move(how->reply)));
}

void documents::run(const tenant_id& tenant, db::unit query, std::string_view purpose, bool idempotent,
                    std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(query)};
  unit.tenant = tenant.text();
  unit.purpose = purpose;
  unit.deadline = clock().now() + options_.request_timeout;
  unit.idempotent = idempotent;
  run(std::move(unit), 1, std::move(then));
}

void documents::run(run_unit unit, int tries, std::function<void(const db::unit_outcome&)> then) {
  const auto number = ++last_unit_;
  units_.emplace(number, running_unit{*unit.deadline + pool_answer_margin, std::move(then)});
  request(supervisor_, caf::infinite, unit)
      .then(
          [this, unit, tries, number](const db::unit_outcome& outcome) {
            const auto allowed = outcome.failure ? tries_max_of_taken_id : tries_max;
            auto on_end = end_unit(number);
            if (on_end && tries < allowed && db::lost_race(outcome))
              run(unit, tries + 1, std::move(on_end));
            else if (on_end)
              on_end(outcome);
          },
          [this, number](const caf::error&) {
            if (const auto on_end = end_unit(number))
              on_end({{}, no_answer});
          });
}

/// None: it was late, and that was said.
std::function<void(const db::unit_outcome&)> documents::end_unit(std::uint64_t number) {
  const auto running = units_.extract(number);
  return running ? std::move(running.mapped().then) : nullptr;
}

/// The pool answers each within its deadline; this is for the day on which it does not.
void documents::end_overdue_units() {
  std::vector<std::uint64_t> overdue;
  for (const auto& [number, unit] : units_)
    if (unit.late <= clock().now())
      overdue.push_back(number);
  for (const auto number : overdue)
    end_unit(number)({{}, no_answer});
}

// --- finding ---------------------------------------------------------------------------------------------------------

promise_of<find_documents> documents::find(find_documents& request) {
  auto answer = make_response_promise<result<document_page>>();
  const auto task = begin(request, answer);
  if (!task)
    return answer;
  auto few = db::find_few_unit(*options_.tables, task->wanted);
  if (!few) {
    find_and_count(task);
    return answer;
  }
  run(task->wanted.tenant, std::move(*few), "find_documents", true, [this, task](const db::unit_outcome& outcome) {
    auto page = db::decode_few(outcome);
    if (page && !*page)
      return find_and_count(task);
    end(task, page ? result<document_page>(std::move(**page)) : result<document_page>(page.failure()));
  });
  return answer;
}

void documents::find_and_count(const task_of<find_documents>& task) {
  auto query = db::find_unit(*options_.tables, task->wanted);
  if (!query)
    return end(task, result<document_page>(query.failure()));
  run(task->wanted.tenant, std::move(query).value(), "find_documents", true,
      [this, task](const db::unit_outcome& outcome) { end(task, db::decode_page(task->wanted, outcome)); });
}

// --- updating --------------------------------------------------------------------------------------------------------

promise_of<update_document> documents::update(update_document& request) {
  auto answer = make_response_promise<result<document_updated>>();
  if (const auto task = begin(request, answer))
    // Done twice it would perhaps be done to two documents: the first may not match any more.
    run(task->wanted.tenant, db::update_unit(*options_.tables, task->wanted, options_.document_bytes_max),
        "update_document", task->wanted.repeat.has_value(),
        [this, task](const db::unit_outcome& outcome) { on_updated(task, outcome); });
  return answer;
}

void documents::on_updated(const task_of<update_document>& task, const db::unit_outcome& outcome) {
  const auto& wanted = task->wanted;
  auto how = db::decode_updated(wanted, outcome, options_.document_bytes_max);
  if (!how || !wanted.is_upsert || how->is_repeated || how->reply.matched > 0)
    return end(task, std::move(how));
  if (auto problem = check_upsert(wanted, options_.document_bytes_max))
    return end(task, result<document_updated>(*std::move(problem)));
  run(wanted.tenant, db::upsert_unit(*options_.tables, wanted, options_.document_bytes_max), "upsert_document",
      wanted.repeat.has_value(), [this, task](const db::unit_outcome& second) {
        end(task, db::decode_updated(task->wanted, second, options_.document_bytes_max));
      });
}

// --- deleting collections --------------------------------------------------------------------------------------------

promise_of<delete_collection> documents::remove(delete_collection& request) {
  auto answer = make_response_promise<result<collection_deleted>>();
  const auto task = begin(request, answer);
  if (!task)
    return answer;
  if (!options_.tables->find(task->wanted.collection)) {
    remove(task, 0, options_.request_timeout);
    return answer;
  }
  run(task->wanted.tenant, db::count_collection_unit(*options_.tables, task->wanted), "count_collection", true,
      [this, task](const db::unit_outcome& outcome) {
        auto expected = db::decode_collection_count(outcome);
        expected ? remove(task, *expected, options_.deleting_timeout)
                 : end(task, result<collection_deleted>(std::move(expected.failure())));
      });
  return answer;
}

void documents::remove(const task_of<delete_collection>& task, std::int64_t expected,
                       std::chrono::milliseconds timeout) {
  run_unit unit{
      db::delete_collection_unit(*options_.tables, task->wanted, options_.documents_per_erasure_max, expected)};
  unit.tenant = task->wanted.tenant.text();
  unit.purpose = "delete_collection";
  unit.deadline = clock().now() + timeout;
  run(std::move(unit), 1, [this, task](const db::unit_outcome& outcome) {
    auto deleted = db::decode_deletion(task->wanted, outcome);
    if (!deleted)
      return end(task, result<collection_deleted>(std::move(deleted.failure())));
    if (deleted->bytes != 0)
      options_.meter->add(task->wanted.tenant, {0, deleted->bytes});
    if (deleted->hidden)
      erase(std::move(*deleted->hidden));
    end(task, result<collection_deleted>(collection_deleted{deleted->documents}));
  });
}

// --- opening stores --------------------------------------------------------------------------------------------------

promise_of<open_store> documents::open(open_store& request) {
  auto answer = make_response_promise<result<opened_store>>();
  if (openings_count_ >= options_.openings_max) {
    reply(answer, result<opened_store>(busy));
    return answer;
  }
  const auto task = begin(request, answer);
  if (!task)
    return answer;
  const store_name store{task->wanted.tenant.text(), task->wanted.store};
  auto& waiting = openings_[store];
  waiting.push_back(task);
  ++openings_count_;
  if (waiting.size() == 1)
    open_next(store);
  return answer;
}

void documents::open_next(const store_name& store) {
  const auto task = openings_.at(store).front();
  store_opening_options options;
  options.request_timeout = options_.request_timeout;
  options.timeout = options_.opening_timeout;
  options.meter = options_.meter;
  options.tables = options_.tables;
  options.document_bytes_max = options_.document_bytes_max;
  options.documents_per_page = options_.documents_per_conversion_max;
  const auto opener = caf::actor_cast<store_opening_actor>(spawn<store_opening>(supervisor_, std::move(options)));
  openers_[store] = opener;
  const auto on_opened = [this, store, task](result<opened_store> how) {
    end(task, std::move(how));
    openers_.erase(store);
    const auto waiting = openings_.find(store);
    if (waiting == openings_.end())
      return;
    --openings_count_;
    waiting->second.pop_front();
    if (waiting->second.empty())
      openings_.erase(waiting);
    else
      open_next(store);
  };
  request(opener, options_.opening_timeout + options_.request_timeout + 2 * pool_answer_margin, task->wanted)
      .then([on_opened](result<opened_store>& answer) { on_opened(std::move(answer)); },
            [on_opened](const caf::error&) { on_opened(ended); });
}

} // namespace colloquy::actors
