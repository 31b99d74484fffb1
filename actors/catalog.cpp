#include "actors/catalog.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_labels.hpp"
#include "db/analytics_queries.hpp"
#include "db/session_queries.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t under_way_max = 1000;
constexpr int finds_max = 3; // whoever made it may have erased it again meanwhile
constexpr auto range_max = std::chrono::days{366};

/// Not inlined: in what std::function calls, GCC 12 takes the value for an error that nobody has set.
[[gnu::noinline]] bool has_failed(const result<session_record>& answer, error_code as) {
  return !answer && answer.failure().code == as;
}

const db::db_failure ended{db::failure_kind::wait, "", "the catalog ended; ask again"};
const error busy{error_code::overloaded, "too many requests of this kind are under way", 100ms};

} // namespace

catalog::catalog(caf::actor_config& config, supervisor_actor supervisor, catalog_directory directory,
                 catalog_options options)
  : catalog_actor::base(config)
  , supervisor_(std::move(supervisor))
  , directory_(std::move(directory))
  , options_(std::move(options)) {}

catalog::behavior_type catalog::make_behavior() {
  return {[this](create_session& request) { return create(request); },
          [this](open_session& request) { return open(request); },
          [this](list_sessions& request) { return list(request); },
          [this](get_analytics& request) { return analyse(request); },
          [this](erase_user& request) { return erase(request); }};
}

void catalog::on_exit() {
  has_ended_ = true;
  for (auto& [number, say] : std::exchange(under_way_, {}))
    say();
  supervisor_ = nullptr;
  directory_ = nullptr;
}

std::uint64_t catalog::at_end(std::function<void()> say) {
  under_way_.emplace(++last_under_way_, std::move(say));
  return last_under_way_;
}

void catalog::ask_database(const tenant_id& tenant, db::unit query, const char* purpose,
                           std::function<void(const db::unit_outcome&)> then) {
  if (has_ended_)
    return then({{}, ended});
  if (under_way_.size() >= under_way_max)
    return then({{}, db::db_failure{db::failure_kind::wait, "", busy.message}});
  const auto number = at_end([then] { then({{}, ended}); });
  run_unit unit{std::move(query)};
  unit.tenant = tenant.text();
  unit.purpose = purpose;
  unit.deadline = clock().now() + options_.request_timeout;
  unit.idempotent = true;
  request(supervisor_, options_.request_timeout + pool_answer_margin, std::move(unit))
      .then(
          [this, number, then](const db::unit_outcome& outcome) {
            under_way_.erase(number);
            then(outcome);
          },
          [this, number, then](const caf::error&) {
            under_way_.erase(number);
            then({{}, db::db_failure{db::failure_kind::wait, "57014", "no answer within the time allowed"}});
          });
}

template <class Request>
void catalog::ask_directory(Request message, std::function<void(result<typename Request::reply>)> then) {
  using reply = result<typename Request::reply>;
  if (has_ended_)
    return then(reply(error{error_code::internal, ended.message, 100ms}));
  const auto number = at_end([then]() mutable { then(reply(error{error_code::internal, ended.message, 100ms})); });
  request(directory_, 2 * options_.request_timeout, std::move(message))
      .then(
          [this, number, then](reply& answer) mutable {
            under_way_.erase(number);
            then(std::move(answer));
          },
          [this, number, then](const caf::error&) mutable {
            under_way_.erase(number);
            then(reply(error{error_code::deadline_exceeded, "no answer within the time allowed", 1000ms}));
          });
}

template void catalog::ask_directory(erase_session, std::function<void(result<erased>)>);
template void catalog::ask_directory(forget_user_here, std::function<void(result<user_forgotten_here>)>);
template void catalog::ask_directory(flush, std::function<void(result<flushed>)>);

// --- making ----------------------------------------------------------------------------------------------------------

promise_of<create_session> catalog::create(create_session& request) {
  auto answer = make_response_promise<result<session_record>>();
  if (!is_storable(*request.repeat))
    reply(answer, result<session_record>(unstorable_key()));
  else if (auto problem = check_creation(request))
    reply(answer, result<session_record>(*problem));
  else
    look_up(answer, std::make_shared<const create_session>(std::move(request)), false);
  return answer;
}

void catalog::look_up(promise_of<create_session> answer, std::shared_ptr<const create_session> wanted,
                      bool is_last_try) {
  const auto scope = scope_of("create", *wanted->repeat);
  ask_database(wanted->tenant, db::find_key(wanted->tenant, session_id{}, scope, wanted->repeat->key), "find_key",
               [this, answer, wanted, is_last_try](const db::unit_outcome& outcome) mutable {
                 auto known = db::decode_key(outcome);
                 if (!known)
                   return reply(answer, result<session_record>(known.failure()));
                 if (*known && (*known)->fingerprint != wanted->repeat->fingerprint)
                   return reply(answer, result<session_record>(error{error_code::idempotency_mismatch,
                                                                     "idempotency key \"" + wanted->repeat->key +
                                                                         "\" was used before, with another request"}));
                 if (*known && (*known)->reply) // as it was answered the first time
                   return reply(answer, result<session_record>(*(*known)->reply));
                 if (*known)
                   return static_cast<void>(answer.delegate(directory_, get_session{{wanted->tenant, (*known)->made}}));
                 ask_directory(make_session{*wanted},
                               [this, answer, wanted, is_last_try](result<session_record> made) mutable {
                                 // The key may have been what was taken: by a twin of this request that was faster.
                                 if (has_failed(made, error_code::conflict) && !is_last_try)
                                   return look_up(std::move(answer), wanted, true);
                                 reply(answer, std::move(made));
                               });
               });
}

promise_of<open_session> catalog::open(open_session& request) {
  auto answer = make_response_promise<result<opened_session>>();
  if (auto problem = check_creation(request.wanted))
    reply(answer, result<opened_session>(*problem));
  else if (!request.wanted.external_id)
    reply(answer,
          result<opened_session>(error{error_code::invalid_request, "an external_id is needed to open a session by"}));
  else
    find(answer, std::make_shared<const open_session>(std::move(request)), finds_max);
  return answer;
}

void catalog::find(promise_of<open_session> answer, std::shared_ptr<const open_session> request, int tries_left) {
  const auto& wanted = request->wanted;
  ask_database(wanted.tenant, db::find_session(wanted.tenant, *wanted.external_id), "find_session",
               [this, answer, request, tries_left](const db::unit_outcome& outcome) mutable {
                 auto found = db::decode_found(outcome);
                 if (!found)
                   return reply(answer, result<opened_session>(found.failure()));
                 if (*found)
                   give(std::move(answer), **found, request, tries_left);
                 else
                   make(std::move(answer), request, tries_left);
               });
}

void catalog::make(promise_of<open_session> answer, std::shared_ptr<const open_session> request, int tries_left) {
  auto wanted = request->wanted;
  wanted.repeat.reset(); // its name is its key
  ask_directory(make_session{std::move(wanted)},
                [this, answer, request, tries_left](result<session_record> made) mutable {
                  if (made)
                    return reply(answer, result<opened_session>(opened_session{std::move(made).value(), true}));
                  if (has_failed(made, error_code::conflict) && tries_left > 1)
                    return find(std::move(answer), request, tries_left - 1);
                  reply(answer, result<opened_session>(made.failure()));
                });
}

void catalog::give(promise_of<open_session> answer, session_id id, std::shared_ptr<const open_session> request,
                   int tries_left) {
  ask_directory(get_session{{request->wanted.tenant, id}, request->as_user},
                [this, answer, request, tries_left](result<session_record> found) mutable {
                  if (found)
                    return reply(answer, result<opened_session>(opened_session{std::move(found).value(), false}));
                  // It was just erased, and its name is free behind that; or it is another user's, and stays taken.
                  if (has_failed(found, error_code::not_found))
                    return make(std::move(answer), request, tries_left);
                  reply(answer, result<opened_session>(found.failure()));
                });
}

// --- looking ---------------------------------------------------------------------------------------------------------

promise_of<list_sessions> catalog::list(list_sessions& request) {
  auto answer = make_response_promise<result<session_page>>();
  if (request.limit < 1 || request.limit > limits::page_events_max) {
    reply(answer, result<session_page>(
                      error{error_code::invalid_request, "limit is " + std::to_string(request.limit) + "; 1 to " +
                                                             std::to_string(limits::page_events_max) + " is allowed"}));
    return answer;
  }
  if (auto problem = check_labels(request.labels)) {
    reply(answer, result<session_page>(*problem));
    return answer;
  }
  const auto now = options_.now();
  auto query = db::list_sessions_page(request, now);
  if (!query) {
    reply(answer, result<session_page>(query.failure()));
    return answer;
  }
  const auto tenant = request.tenant;
  ask_database(tenant, std::move(query).value(), "list_sessions",
               [answer, now, wanted = std::move(request)](const db::unit_outcome& outcome) mutable {
                 reply(answer, db::decode_session_page(wanted, now, outcome));
               });
  return answer;
}

promise_of<get_analytics> catalog::analyse(get_analytics& request) {
  auto answer = make_response_promise<result<analytics>>();
  // Without a sign, because the difference of two times need not fit into one.
  const auto range = static_cast<std::uint64_t>(request.to.time_since_epoch().count()) -
                     static_cast<std::uint64_t>(request.from.time_since_epoch().count());
  if (request.from >= request.to || range > static_cast<std::uint64_t>(timestamp::duration(range_max).count())) {
    reply(answer, result<analytics>(error{error_code::invalid_request, "from is " + to_rfc3339(request.from) +
                                                                           ", to is " + to_rfc3339(request.to) +
                                                                           "; from must be before to, by at most 366 "
                                                                           "days"}));
    return answer;
  }
  const auto tenant = request.tenant;
  auto query = db::read_analytics(request, options_.now()); // before the answer's handler takes the request along
  ask_database(tenant, std::move(query), "analytics",
               [answer, wanted = std::move(request)](const db::unit_outcome& outcome) mutable {
                 reply(answer, db::decode_analytics(wanted, outcome));
               });
  return answer;
}

} // namespace colloquy::actors
