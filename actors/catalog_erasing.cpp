// Erasing a user: every session of theirs, then what names them in the sessions of others. See catalog.hpp.
#include "actors/catalog.hpp"

#include "actors/session_checks.hpp"
#include "db/erasure.hpp"
#include "db/session_queries.hpp"

#include <deque>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Each goes through all that the user has; a further one for what came or was busy meanwhile.
constexpr int passes_max = 10;

} // namespace

struct catalog::user_erasure {
  promise_of<erase_user> answer;
  erase_user wanted;
  erased sum{};
  std::deque<session_key> sessions{}; ///< of the page that was read last
  std::string cursor{};               ///< of the next page; "" if there is none
  int passes = 0;
  bool is_unsure = false; ///< more came all the time
  std::size_t gone_in_pass = 0;
  std::size_t left_in_pass = 0;
  std::optional<error> why_left{}; ///< the first of them
  int rounds = 0;                  ///< through the sessions of others
  bool is_everywhere = true;       ///< no other process has such sessions in memory
};

promise_of<erase_user> catalog::erase(erase_user& request) {
  auto answer = make_response_promise<result<erased>>();
  if (is_storable_name(request.user_id))
    erase_all_again(std::make_shared<user_erasure>(user_erasure{answer, std::move(request)}));
  else
    reply(answer, result<erased>(error{error_code::invalid_request,
                                       "user_id must be valid UTF-8 without NUL, 1 to 255 characters"}));
  return answer;
}

void catalog::erase_all_again(std::shared_ptr<user_erasure> of) {
  ++of->passes;
  of->gone_in_pass = of->left_in_pass = 0;
  of->why_left.reset();
  of->cursor.clear();
  erase_page(std::move(of));
}

void catalog::erase_page(std::shared_ptr<user_erasure> of) {
  list_sessions wanted;
  wanted.tenant = of->wanted.tenant;
  wanted.user_id = of->wanted.user_id;
  wanted.cursor = of->cursor;
  const auto now = options_.now();
  auto query = db::list_sessions_page(wanted, now);
  if (!query)
    return reply(of->answer, result<erased>(query.failure()));
  ask_database(wanted.tenant, std::move(query).value(), "list_sessions",
               [this, of, wanted, now](const db::unit_outcome& outcome) {
                 auto page = db::decode_session_page(wanted, now, outcome);
                 if (!page)
                   return reply(of->answer, result<erased>(page.failure()));
                 for (const auto& record : page->sessions)
                   of->sessions.push_back(record.key);
                 of->cursor = std::move(page->next_cursor);
                 erase_next(of);
               });
}

/// One that cannot be erased now, because another process owns it, say, keeps none of the others.
void catalog::erase_next(std::shared_ptr<user_erasure> of) {
  if (of->sessions.empty()) {
    if (!of->cursor.empty())
      return erase_page(std::move(of));
    if (of->gone_in_pass > 0 && of->passes < passes_max)
      return erase_all_again(std::move(of));
    of->is_unsure = of->gone_in_pass > 0;
    return forget_in_memory(std::move(of));
  }
  const auto key = of->sessions.front();
  of->sessions.pop_front();
  ask_directory<erase_session>({key, {}}, [this, of](result<erased> gone) {
    if (gone) {
      ++of->gone_in_pass;
      of->sum.sessions += gone->sessions;
      of->sum.events += gone->events;
      of->sum.turns += gone->turns;
      of->sum.idempotency_keys += gone->idempotency_keys;
      of->sum.participants += gone->participants;
      of->sum.events_kept_for_forks += gone->events_kept_for_forks;
    } else if (gone.failure().code != error_code::not_found) { // else somebody else erases it
      ++of->left_in_pass;
      if (!of->why_left)
        of->why_left = gone.failure();
    }
    erase_next(of);
  });
}

/// Nobody in memory may go on writing in the user's name, and what is on its way has to be there for the next step.
/// Behind that the journal needs none of it any more.
void catalog::forget_in_memory(std::shared_ptr<user_erasure> of) {
  ++of->rounds;
  forget_here(of, [this, of] {
    ask_directory<flush>({of->wanted.tenant, {}}, [this, of](result<flushed> all) {
      if (!all)
        return reply(of->answer, result<erased>(all.failure()));
      forget_here(of, [this, of] { forget_in_database(of, false); });
    });
  });
}

void catalog::forget_here(std::shared_ptr<user_erasure> of, std::function<void()> then) {
  ask_directory<forget_user_here>({of->wanted.tenant, of->wanted.user_id},
                                  [of, then = std::move(then)](result<user_forgotten_here> forgotten) {
                                    if (!forgotten)
                                      return reply(of->answer, result<erased>(forgotten.failure()));
                                    of->is_everywhere = forgotten->is_everywhere;
                                    then();
                                  });
}

/// Step by step until there is nothing left. If there was something, a session may have woken with it meanwhile.
void catalog::forget_in_database(std::shared_ptr<user_erasure> of, bool found_any) {
  ask_database(of->wanted.tenant, db::erase_user_step(of->wanted.tenant, of->wanted.user_id), "erase_user",
               [this, of, found_any](const db::unit_outcome& outcome) {
                 auto changed = db::decode_user_step(outcome);
                 if (!changed)
                   return reply(of->answer, result<erased>(changed.failure()));
                 of->sum.participants += changed->participants;
                 if (changed->participants > 0 || changed->events > 0)
                   return forget_in_database(of, true);
                 if (found_any && of->rounds < passes_max)
                   return forget_in_memory(of);
                 of->is_unsure = of->is_unsure || found_any;
                 answer_erasure(*of);
               });
}

void catalog::answer_erasure(user_erasure& of) {
  if (of.left_in_pass > 0)
    return reply(of.answer,
                 result<erased>(error{of.why_left->code,
                                      std::to_string(of.left_in_pass) + " sessions of the user are left, " +
                                          std::to_string(of.sum.sessions) + " are erased: " + of.why_left->message,
                                      of.why_left->retry_after.value_or(1000ms)}));
  if (!of.is_everywhere)
    return reply(of.answer, result<erased>(error{error_code::not_owner,
                                                 "another process has sessions, too, and may have the user in memory; "
                                                 "ask it as well",
                                                 1000ms}));
  if (of.is_unsure)
    return reply(of.answer, result<erased>(error{error_code::overloaded,
                                                 "something of the user goes on being written; ask again", 1000ms}));
  reply(of.answer, result<erased>(of.sum));
}

} // namespace colloquy::actors
