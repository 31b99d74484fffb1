// The directory: finds the session actor of a conversation, or wakes it. All callers go through it, so that a session
// can end and come back without anybody noticing.
//
// Accepts (messages/directory_interface.hpp)
//   whatever is asked of one session   handed to its actor, which answers
//   create_session                     a new actor makes it; with an idempotency key the catalog looks first
//   open_session, list_sessions, get_analytics, erase_user   handed to the catalog
//   flush         answered when everything accepted before is durable (of all sessions, whichever were asked for)
//   get_health    figures, at once but for what ownership, writer and journal know
//   limit_sessions   how many sessions and running turns of a tenant may be here at once, from now on (no answer)
// and from its own: session_finished, session_ended, make_fork and run_erasure from sessions; writer_ready and
// writer_fenced from the writer; shards_owned and ownership_lost from the ownership actor; expire_resident from the
// sweeper; make_session and forget_user_here from the catalog; replay_session and journal_replayed from who
// replays a journal, before which nothing is swept: what the sweeper writes would be in the way of what was accepted.
// Ordering: requests for one session reach it in the order in which they came here. Ownership: only sessions of shards
// that this process owns are woken; others are not_owner. When another process has
//   taken over, every session here is told so, the writer ends, and all begins anew under another process id.
// Waking: a session is woken once, whoever asks; requests that come while it falls asleep are held (a bounded number)
//   and go to its next incarnation. A session that died is woken only behind a barrier of a writer that has settled,
//   because a writer may still hold its writes; what is asked of it meanwhile waits at most for request_timeout twice.
// State it owns: who is awake, least recently used first; the writer and its ledger; catalog, sweeper, ownership.
// Bounds: sessions_resident_max; near it the least recently used are asked to sleep, at it new ones are `overloaded`.
//   Of a tenant, if it has one: at it new ones are `quota_exceeded`, and some of its own are asked to sleep, so that it
//   may try again. What frees more than it takes (an erasure), and what was accepted before (a replay), pass by that.
// Death of the catalog or the sweeper: another is started. Of the ownership actor: as if the shards were lost. Of the
//   writer: another is started on the same ledger, and every session sends again what is not durable. Of the journal:
//   what is accepted is answered when it is durable, and get_health tells. Its own death ends all of them.
#pragma once

#include "actors/catalog.hpp"
#include "actors/ownership.hpp"
#include "actors/session.hpp"
#include "actors/sweeper.hpp"
#include "actors/writer.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace colloquy::actors {

struct directory_tick {};

/// From who replays a journal: what it has of a session. Answered by the session.
struct replay_session {
  using reply = replayed;
  session_key session;
  replay_writes records;
};

/// From who replays a journal: it is done, and what only time brings about may begin. Without a journal it has begun.
struct journal_replayed {};

/// No more requests are taken, and no turn begins any more; answered when every session knows.
struct directory_closed {};
struct close_directory {
  using reply = directory_closed;
};

/// What of which session is accepted and not durable; at most 1,000 sessions.
struct undurable_report {
  std::vector<undurable_left> sessions;
};
struct report_undurable {
  using reply = undurable_report;
};

/// Told once it is known what this process owns.
struct await_ownership {
  using reply = shards_owned;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::directory_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::replay_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_replayed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::await_ownership)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::close_directory)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::directory_closed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::report_undurable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::undurable_report>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::shards_owned>)

namespace colloquy::actors {

struct directory_options {
  wall_clock now = system_time;
  std::shared_ptr<byte_budget> budget;
  std::size_t session_undurable_bytes_max = std::size_t{32} << 20;
  std::size_t tenant_undurable_bytes_max = std::size_t{128} << 20;
  std::size_t sessions_resident_max = 1'000'000;
  std::size_t tail_bytes_max = std::size_t{256} << 20;
  std::size_t turns_queued_max = 64;
  bool sliding_expiry = false;
  std::chrono::milliseconds session_idle_timeout{300'000};
  std::chrono::milliseconds request_timeout{30'000};
  tokenizer count_tokens{};
  journal_actor journal{}; ///< null: none
  writer_options writing;
  ownership_options owning;
  sweeper_options sweeping;
};

using directory_internal =
    directory_actor::extend<caf::reacts_to<session_finished>, caf::reacts_to<session_ended>, answers<make_fork>,
                            answers<run_erasure>, caf::reacts_to<writer_ready>, caf::reacts_to<writer_fenced>,
                            caf::reacts_to<shards_owned>, caf::reacts_to<ownership_lost>, answers<expire_resident>,
                            answers<make_session>, answers<replay_session>, caf::reacts_to<journal_replayed>,
                            answers<forget_user_here>, answers<await_ownership>,
                            caf::replies_to<give_up>::with<result<given_up>>, answers<close_directory>,
                            answers<report_undurable>, caf::reacts_to<directory_tick>>;

class directory : public directory_internal::base {
public:
  directory(caf::actor_config& config, supervisor_actor supervisor, directory_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using flush_promise = promise_of<flush>;

  struct waiting_flush {
    flush_promise answer;
    time_point deadline;
  };

  enum class residence : std::uint8_t { awake, falling_asleep, draining };

  // Tenants are kept once, however many sessions they have.
  struct resident_key {
    const tenant_id* tenant = nullptr;
    session_id id;
    bool operator==(const resident_key&) const = default;
    session_key full() const { return {*tenant, id}; }
  };
  struct resident_hash {
    std::size_t operator()(const resident_key& key) const noexcept { return std::hash<session_id>{}(key.id); }
  };
  struct resident;
  using held_request = std::function<void(result<resident*>)>;
  struct holding { // while it falls asleep or drains
    std::vector<held_request> requests;
    time_point until; // while it drains: then what is held is refused
  };
  struct resident {
    session_actor actor;
    const resident_key* key = nullptr;
    resident* older = nullptr; // by use
    resident* newer = nullptr;
    time_point last_used;
    std::unique_ptr<holding> held;
    residence state = residence::awake;
  };
  struct tenant_entry {
    std::shared_ptr<tenant_account> account; // shared with its sessions
    time_point asked_to_sleep = time_point::min();
  };
  using tenant_map = std::unordered_map<tenant_id, tenant_entry>;
  using resident_map = std::unordered_map<resident_key, resident, resident_hash>;

  // directory.cpp: requests and residents
  template <class Request>
  promise_of<Request> route(Request& request);
  template <class Request>
  void pass(Request& request);
  template <class Request>
  void hand_over(const promise_of<Request>& answer, const session_key& key, session_call call);
  promise_of<create_session> create(create_session& request);
  template <class Request>
  promise_of<create_session> start_new(const tenant_id& tenant, Request&& first);
  resident* find(const session_key& key);
  result<resident*> find_or_wake(const session_key& key, bool passes_quota = false);
  resident* start_session(const session_key& key, session::origin from);
  std::optional<error> why_not_here(session_id id) const;
  tenant_entry& entry_of(const tenant_id& tenant);
  std::optional<error> make_room(const tenant_id& tenant, bool passes_quota);
  std::optional<error> make_room_of_tenant(const tenant_id& tenant);
  void touch(resident& used);
  void unlink(resident& from);

  // directory_residents.cpp: how they leave
  void limit(const limit_sessions& wanted);
  void put_some_to_sleep(const tenant_id& tenant, std::int64_t wanted);
  void drop_if_unused(const tenant_id& tenant);
  void put_to_sleep(resident& entry);
  void ask_to_sleep(const session_key& key, const session_actor& actor);
  resident* find_falling_asleep(const session_key& key, caf::actor_id actor);
  void on_sleep_answer(const session_key& key, caf::actor_id of, sleep_answer answer);
  void on_session_ended(const session_ended& ended);
  void drain(resident& entry);
  void await_writes_of(const session_key& key, caf::actor_id of);
  void end_draining(const session_key& key, caf::actor_id of);
  void drain_further();
  void refuse_held_too_long(time_point now);
  void end_residence(const session_key& key);
  void on_tick();
  promise_of<expire_resident> expire(const expire_resident& request);

  // directory_service.cpp: writer, ownership and the others
  void start_writer();
  void start_catalog();
  void start_sweeper();
  void start_ownership(process_id former = {});
  void on_down(const caf::down_msg& down);
  void on_owned(const shards_owned& news);
  void note_owned(const shards_owned& news);
  void on_lost(const ownership_lost& news);
  void begin_anew(process_id process);
  void on_writer_ready();
  void resend_answered(caf::actor_id of_writer);
  flush_promise flush_all();
  void pass_barrier(waiting_flush waiting);
  void expire_flushes(time_point now);
  struct health_asking;
  template <class Reply, class Actor, class Question>
  void ask_health(const std::shared_ptr<health_asking>& asking, const Actor& whom, Question question,
                  std::function<void(service_health&, const Reply*)> note);
  promise_of<get_health> tell_health();
  void begin_sweeping();
  promise_of<await_ownership> tell_ownership();
  promise_of<report_undurable> collect_undurable();
  template <class Answer>
  void tell_sessions(const session_call& call, const std::function<bool(const resident_key&)>& is_meant,
                     std::function<void(std::size_t)> then);
  promise_of<close_directory> close();
  promise_of<forget_user_here> forget(const forget_user_here& request);
  void forget_in_journal(promise_of<forget_user_here> answer, const tenant_id& tenant);

  supervisor_actor supervisor_;
  const directory_options options_;
  std::shared_ptr<tail_cache> tails_;
  std::shared_ptr<const session_environment> environment_; // null until it is known what is owned
  db::shard_set owned_;
  shards_owned last_owned_;
  std::shared_ptr<writer_ledger> ledger_;
  writer_actor writer_;
  catalog_actor catalog_;
  sweeper_actor sweeper_;
  ownership_actor ownership_;
  tenant_map tenants_; // those who have sessions here, or bounds
  resident_map residents_;
  resident* oldest_ = nullptr;
  resident* newest_ = nullptr;
  bool is_closed_ = false;
  bool sweeps_ = false; // a journal has been replayed, or there is none
  bool journal_is_gone_ = false;
  bool writer_settled_ = false; // it is ready and every session has sent again
  std::size_t resends_under_way_ = 0;
  std::vector<waiting_flush> flushes_; // until the writer is settled
  // Those that wait for a settled writer, or to ask it once more; with the actor that died, as another may live by
  // then.
  std::vector<std::pair<session_key, caf::actor_id>> draining_;
  std::vector<promise_of<await_ownership>> awaiting_ownership_;
};

} // namespace colloquy::actors
