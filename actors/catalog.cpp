#include "actors/catalog.hpp"

#include "actors/session_checks.hpp"
#include "db/analytics_queries.hpp"
#include "db/erasure.hpp"
#include "db/session_queries.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t under_way_max = 1000;
constexpr int finds_max = 3; // whoever made it may have erased it again meanwhile
constexpr auto range_max = std::chrono::days{366};

const db::db_failure ended{db::failure_kind::wait, "", "the catalog ended; ask again"};
const error busy{error_code::overloaded, "too many requests of this kind are under way", 100ms};

} // namespace

struct catalog::user_erasure {
  promise_of<erase_user> answer;
  erase_user wanted;
  erased sum;
  std::deque<session_key> sessions{};
  bool is_stuck = false; ///< nothing of the last page has gone
};

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

template <class Request, class Then>
void catalog::ask_directory(Request message, Then then) {
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
  ask_database(wanted->tenant, db::find_key(wanted->tenant, session_id{}, "create", wanted->repeat->key), "find_key",
               [this, answer, wanted, is_last_try](const db::unit_outcome& outcome) mutable {
                 auto known = db::decode_key(outcome);
                 if (!known)
                   return reply(answer, result<session_record>(known.failure()));
                 if (*known && (*known)->fingerprint != wanted->repeat->fingerprint)
                   return reply(answer, result<session_record>(error{error_code::idempotency_mismatch,
                                                                     "idempotency key \"" + wanted->repeat->key +
                                                                         "\" was used before, with another request"}));
                 if (*known)
                   return static_cast<void>(answer.delegate(directory_, get_session{{wanted->tenant, (*known)->made}}));
                 ask_directory(make_session{*wanted},
                               [this, answer, wanted, is_last_try](result<session_record> made) mutable {
                                 // The key may have been what was taken: by a twin of this request that was faster.
                                 if (!made && made.failure().code == error_code::conflict && !is_last_try)
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
    find(answer, std::make_shared<const create_session>(std::move(request.wanted)), finds_max);
  return answer;
}

void catalog::find(promise_of<open_session> answer, std::shared_ptr<const create_session> wanted, int tries_left) {
  ask_database(wanted->tenant, db::find_session(wanted->tenant, *wanted->external_id), "find_session",
               [this, answer, wanted, tries_left](const db::unit_outcome& outcome) mutable {
                 auto found = db::decode_found(outcome);
                 if (!found)
                   return reply(answer, result<opened_session>(found.failure()));
                 if (*found)
                   give(std::move(answer), {wanted->tenant, **found}, wanted, tries_left);
                 else
                   make(std::move(answer), wanted, tries_left);
               });
}

void catalog::make(promise_of<open_session> answer, std::shared_ptr<const create_session> wanted, int tries_left) {
  auto request = *wanted;
  request.repeat.reset(); // its name is its key
  ask_directory(make_session{std::move(request)},
                [this, answer, wanted, tries_left](result<session_record> made) mutable {
                  if (made)
                    return reply(answer, result<opened_session>(opened_session{std::move(made).value(), true}));
                  if (made.failure().code == error_code::conflict && tries_left > 1)
                    return find(std::move(answer), wanted, tries_left - 1);
                  reply(answer, result<opened_session>(made.failure()));
                });
}

void catalog::give(promise_of<open_session> answer, const session_key& key,
                   std::shared_ptr<const create_session> wanted, int tries_left) {
  ask_directory(get_session{key}, [this, answer, wanted, tries_left](result<session_record> found) mutable {
    if (found)
      return reply(answer, result<opened_session>(opened_session{std::move(found).value(), false}));
    if (found.failure().code == error_code::not_found) // just erased; its name is free behind that
      return make(std::move(answer), wanted, tries_left);
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
  if (request.from >= request.to || request.to - request.from > range_max) {
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

// --- erasing a user --------------------------------------------------------------------------------------------------

promise_of<erase_user> catalog::erase(erase_user& request) {
  auto answer = make_response_promise<result<erased>>();
  if (!is_storable_name(request.user_id)) {
    reply(answer, result<erased>(error{error_code::invalid_request,
                                       "user_id must be valid UTF-8 without NUL, 1 to 255 characters"}));
    return answer;
  }
  erase_next(std::make_shared<user_erasure>(user_erasure{answer, std::move(request), {}}));
  return answer;
}

/// A page of the user's sessions, erased one by one, then the next page, until there is none.
void catalog::erase_next(std::shared_ptr<user_erasure> of) {
  if (of->sessions.empty()) {
    if (std::exchange(of->is_stuck, true))
      return reply(of->answer,
                   result<erased>(error{error_code::overloaded,
                                        "sessions of the user are just being erased by somebody else", 1000ms}));
    list_sessions wanted;
    wanted.tenant = of->wanted.tenant;
    wanted.user_id = of->wanted.user_id;
    const auto now = options_.now();
    auto query = db::list_sessions_page(wanted, now);
    if (!query)
      return reply(of->answer, result<erased>(query.failure()));
    return ask_database(wanted.tenant, std::move(query).value(), "list_sessions",
                        [this, of, wanted, now](const db::unit_outcome& outcome) {
                          auto page = db::decode_session_page(wanted, now, outcome);
                          if (!page)
                            return reply(of->answer, result<erased>(page.failure()));
                          if (page->sessions.empty())
                            return erase_rest(of);
                          for (const auto& record : page->sessions)
                            of->sessions.push_back(record.key);
                          erase_next(of);
                        });
  }
  const auto key = of->sessions.front();
  of->sessions.pop_front();
  ask_directory(erase_session{key}, [this, of](result<erased> gone) {
    if (!gone && gone.failure().code != error_code::not_found) // somebody else erases it
      return reply(of->answer, result<erased>(gone.failure()));
    if (gone) {
      of->is_stuck = false;
      of->sum.sessions += gone->sessions;
      of->sum.events += gone->events;
      of->sum.turns += gone->turns;
      of->sum.idempotency_keys += gone->idempotency_keys;
      of->sum.participants += gone->participants;
      of->sum.events_kept_for_forks += gone->events_kept_for_forks;
    }
    erase_next(of);
  });
}

void catalog::erase_rest(std::shared_ptr<user_erasure> of) {
  ask_database(of->wanted.tenant, db::erase_user_step(of->wanted.tenant, of->wanted.user_id), "erase_user",
               [this, of](const db::unit_outcome& outcome) {
                 auto changed = db::decode_user_step(outcome);
                 if (!changed)
                   return reply(of->answer, result<erased>(changed.failure()));
                 of->sum.participants += changed->participants;
                 if (changed->participants > 0 || changed->events > 0)
                   return erase_rest(of);
                 reply(of->answer, result<erased>(of->sum));
               });
}

} // namespace colloquy::actors
