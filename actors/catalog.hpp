// The catalog: what is asked of no single session, or of one that has yet to be found.
//
// Accepts (from the directory, on behalf of callers; messages/session_requests.hpp tells fields and errors)
//   create_session -> session_record
//       one with an idempotency key: the session that the first request made, or a new one
//   open_session   -> opened_session
//       the session of that external id, or a new one, whoever races
//   list_sessions  -> session_page
//   get_analytics  -> analytics
//   erase_user     -> erased
//       one session after the other, each by its own actor, then what is left. What cannot be erased now keeps nothing
//       else: at the end the answer is the first such error, and tells how many are left
// Ordering: none between requests. Races: two that make the same session end in a unique index; the loser looks again.
// State it owns: requests under way, a bounded number.
// Death: what was under way is answered internal; the directory starts another one.
#pragma once

#include "actors/session_interface.hpp"
#include "db/statement.hpp"
#include "messages/clock.hpp"
#include "messages/directory_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace colloquy::actors {

/// Catalog to directory: make this session now; whether there is one already has been looked at.
struct make_session {
  using reply = session_record;
  create_session wanted;
};

/// Catalog to directory: this user is being erased. Answered when every session of the tenant that is in this process'
/// memory has forgotten who that is, and of the journal's file nothing is left that was durable before.
struct user_forgotten_here {
  bool is_everywhere = true; ///< no other process owns sessions
};
struct forget_user_here {
  using reply = user_forgotten_here;
  tenant_id tenant;
  std::string user_id;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::make_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::forget_user_here)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::user_forgotten_here>)

namespace colloquy::actors {

using catalog_directory = caf::typed_actor<answers<get_session>, answers<erase_session>, answers<make_session>,
                                           answers<forget_user_here>, answers<flush>>;

using catalog_actor = caf::typed_actor<answers<create_session>, answers<open_session>, answers<list_sessions>,
                                       answers<get_analytics>, answers<erase_user>>;

struct catalog_options {
  wall_clock now = system_time;
  std::chrono::milliseconds request_timeout{30'000};
};

class catalog : public catalog_actor::base {
public:
  catalog(caf::actor_config& config, supervisor_actor supervisor, catalog_directory directory, catalog_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  struct user_erasure;

  promise_of<create_session> create(create_session& request);
  void look_up(promise_of<create_session> answer, std::shared_ptr<const create_session> wanted, bool is_last_try);
  promise_of<open_session> open(open_session& request);
  void find(promise_of<open_session> answer, std::shared_ptr<const open_session> request, int tries_left);
  void make(promise_of<open_session> answer, std::shared_ptr<const open_session> request, int tries_left);
  void give(promise_of<open_session> answer, session_id id, std::shared_ptr<const open_session> request,
            int tries_left);
  promise_of<list_sessions> list(list_sessions& request);
  promise_of<get_analytics> analyse(get_analytics& request);
  promise_of<erase_user> erase(erase_user& request);

  // catalog_erasing.cpp
  void erase_all_again(std::shared_ptr<user_erasure> of);
  void erase_page(std::shared_ptr<user_erasure> of);
  void erase_next(std::shared_ptr<user_erasure> of);
  void forget_in_memory(std::shared_ptr<user_erasure> of);
  void forget_in_database(std::shared_ptr<user_erasure> of, bool found_any);
  void forget_here(std::shared_ptr<user_erasure> of, std::function<void()> then);
  void answer_erasure(user_erasure& of);

  void ask_database(const tenant_id& tenant, db::unit query, const char* purpose,
                    std::function<void(const db::unit_outcome&)> then);
  std::uint64_t at_end(std::function<void()> say);
  template <class Request>
  void ask_directory(Request message, std::function<void(result<typename Request::reply>)> then);

  supervisor_actor supervisor_;
  catalog_directory directory_;
  const catalog_options options_;
  bool has_ended_ = false;
  std::map<std::uint64_t, std::function<void()>> under_way_; // what is to be said if this actor ends before its answer
  std::uint64_t last_under_way_ = 0;
};

} // namespace colloquy::actors
